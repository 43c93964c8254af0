import type * as z from 'zod';
import type { CreateSchedule } from '../contract/schedule-schemas.ts';
import type { Instant } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Timing } from '../domain/schedules.ts';
import { cronFault, nextInstant } from '../domain/timing.ts';

type Body = z.output<typeof CreateSchedule>;

const LOOKED_AT = 100;
const RARE_MS = 40 * 86_400_000;

/**
 * When a schedule fires, of what is asked for.
 * @param anchor what a rate is counted from where no `startAt` is given
 * @throws AppError 'invalid-request' for a cron expression that cannot be read, fires too often, or never
 */
export const toTiming = (body: Body, anchor: Instant, now: Instant): Timing => {
  const startAt = body.startAt === undefined ? undefined : Date.parse(body.startAt);
  const window = { startAt, endAt: body.endAt === undefined ? undefined : Date.parse(body.endAt) };
  const [field, timing] = ofBody(body, startAt ?? anchor, window);
  if (nextInstant(timing, now) === undefined) throw refusal(field, 'has no time left to fire: none is to come');
  if (timing.kind === 'cron') requireRare(timing, now);
  return timing;
};

type Window = Pick<Timing, 'startAt' | 'endAt'>;

const ofBody = (
  { cron, timeZone = 'UTC', everySeconds, at = '' }: Body,
  anchor: Instant,
  window: Window,
): readonly [field: string, timing: Timing] => {
  if (everySeconds !== undefined) return ['everySeconds', { kind: 'every', everySeconds, anchor, ...window }];
  if (cron === undefined) return ['at', { kind: 'at', at: Date.parse(at), ...window }];
  const expression = cron.trim().replaceAll(/\s+/g, ' ');
  const fault = cronFault(expression, timeZone);
  if (fault !== undefined) throw refusal('cron', fault);
  return ['cron', { kind: 'cron', cron: expression, timeZone, ...window }];
};

/** Two firings that are too near are near each other on each of their days. */
const requireRare = (timing: Timing, now: Instant): void => {
  let before = nextInstant(timing, now);
  for (let looks = 0; before !== undefined && looks < LOOKED_AT; looks++) {
    const next = nextInstant(timing, before);
    if (next !== undefined && next - before < LIMITS.scheduleLeastSeconds * 1_000) {
      throw refusal('cron', `must leave ${LIMITS.scheduleLeastSeconds} seconds or more between two firings`);
    }
    // One that is rare is rare: to look for all that it will ever do would take long.
    if (next !== undefined && next - before > RARE_MS && looks > 2) return;
    before = next;
  }
};

const refusal = (field: string, detail: string): AppError =>
  new AppError('invalid-request', `/${field}: ${detail}`, {
    faults: [{ in: 'body', pointer: `/${field}`, detail }],
  });
