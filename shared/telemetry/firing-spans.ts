import type { Instant } from '../domain/clock.ts';
import type { Firing, Schedule } from '../domain/schedules.ts';
import { parentOf, type TraceContext } from '../domain/trace-context.ts';
import { hashedSpanId } from './span-ids.ts';
import type { Span } from './tracing.ts';

/** Of an instant of a schedule: the trace of its command begins with it. */
export const firingSpanId = ({ tenant, id }: Pick<Schedule, 'tenant' | 'id'>, at: Instant): string =>
  hashedSpanId(tenant, id, at);

/** An instant that was decided about, from the look that began with it. */
export const firingSpanOf = (
  { tenant, id }: Schedule,
  { at, decidedAt, outcome, reason }: Firing,
  { trace, lookedAt }: { readonly trace: TraceContext; readonly lookedAt: Instant },
): Span => ({
  at: { ...parentOf(trace), spanId: firingSpanId({ tenant, id }, at) },
  name: 'fire schedule',
  kind: 'producer',
  startedAt: lookedAt,
  endedAt: Math.max(lookedAt, decidedAt),
  attributes: {
    'errand.schedule.id': id,
    'errand.tenant.id': tenant,
    'errand.schedule.late_ms': Math.max(0, lookedAt - at),
    'errand.status': outcome,
    ...(reason === undefined ? {} : { 'errand.reason': reason }),
  },
  failure: outcome === 'refused' ? (reason ?? outcome) : undefined,
});
