import type { Instant } from '../domain/clock.ts';
import { type Attempt, type Command, isFinal, type Status } from '../domain/command.ts';
import { parentOf, type TraceContext, withSpan } from '../domain/trace-context.ts';
import { hashedSpanId } from './span-ids.ts';
import type { Span } from './tracing.ts';

/*
 * A command's spans follow from its record: each is told by whoever stored the change that ended it, and has an id that anyone can
 * work out. So a trace goes on across queues, workers and restarts with nothing to hand over but the record.
 *
 *   <the caller's span, or the request's>
 *   └─ command                submitted … ended
 *      ├─ submit command      until it was stored
 *      ├─ queue               waiting, before each attempt
 *      └─ attempt             one for each
 *         ├─ start            until the start ticket was redeemed
 *         └─ run              the process; what it does is below this one
 */

type Part = 'command' | 'submit' | `${'queue' | 'attempt' | 'start' | 'run'}-${number}`;

export const spanIdOf = ({ tenant, id }: Pick<Command, 'tenant' | 'id'>, part: Part): string =>
  hashedSpanId(tenant, id, part);

/** What a process is told of the trace that it belongs to, when its run is recorded here. */
export const runContextOf = (command: Command, trace: TraceContext, attempt: number): TraceContext =>
  withSpan(trace, { spanId: spanIdOf(command, `run-${attempt}`) });

/** The spans that ended with a change. `before` is undefined for a new command. */
export const spansOf = (before: Command | undefined, after: Command, now: Instant): readonly Span[] => {
  if (!after.trace) return [];
  const to = spanMaker(after, after.trace);
  if (!before) {
    const attributes = { 'errand.priority': after.spec.priority };
    return [to('submit', 'submit command', [after.submittedAt, now], { kind: 'producer', attributes })];
  }
  const spans: Span[] = [];
  for (const attempt of after.attempts) {
    const earlier = before.attempts.find(({ number }) => number === attempt.number);
    if (earlier?.endedAt === undefined) spans.push(...spansOfAttempt(after, earlier, attempt, to));
  }
  if (isFinal(after.status) && !isFinal(before.status)) spans.push(...spansOfEnd(after, now, to));
  return spans;
};

type ToSpan = ReturnType<typeof spanMaker>;

interface Details {
  readonly below?: Part;
  readonly kind?: Span['kind'];
  readonly attributes?: Span['attributes'];
  readonly failure?: string | undefined;
}

const spanMaker = (command: Command, trace: TraceContext) => {
  const parent = parentOf(trace);
  const own = spanIdOf(command, 'command');
  const common = { 'errand.command.id': command.id, 'errand.tenant.id': command.tenant };
  return (part: Part, name: string, [startedAt, endedAt]: readonly [Instant, Instant], how: Details = {}): Span => {
    const { below = 'command', kind = 'internal', attributes = {}, failure } = how;
    const spanId = spanIdOf(command, part);
    const above = part === 'command' ? parent.spanId : spanIdOf(command, below);
    return {
      at: { ...parent, spanId },
      // A trace that begins with the command names the command's own span.
      ...(above === own && part === 'command' ? {} : { parentSpanId: above }),
      ...{ name, kind, startedAt },
      // Clocks of several machines need not agree.
      endedAt: Math.max(startedAt, endedAt),
      attributes: { ...common, ...attributes },
      ...(failure === undefined ? {} : { failure }),
    };
  };
};

/** What began to wait before an attempt was asked for, or after it. */
const waitingSince = ({ submittedAt, attempts }: Command, before: Attempt | undefined): Instant => {
  const last = attempts.findLast(({ number }) => before === undefined || number < before.number);
  return last?.endedAt ?? last?.requestedAt ?? submittedAt;
};

const spansOfAttempt = (command: Command, earlier: Attempt | undefined, attempt: Attempt, to: ToSpan): Span[] => {
  const { number, target, requestedAt, startedAt, endedAt, status, result } = attempt;
  const attributes = { 'errand.attempt.number': number, 'errand.target': target };
  const failure = failureOf(status, result?.reason);
  const spans: Span[] = [];
  // A start that nobody saw is told with its end.
  const isStarted = startedAt !== undefined && earlier?.startedAt === undefined;
  const neverStarted = startedAt === undefined && endedAt !== undefined && earlier?.startedAt === undefined;
  if (isStarted || neverStarted) {
    spans.push(to(`queue-${number}`, 'queue', [waitingSince(command, attempt), requestedAt], { attributes }));
    const below = `attempt-${number}` as const;
    const start = { below, attributes, failure: neverStarted ? failure : undefined };
    spans.push(to(`start-${number}`, 'start', [requestedAt, startedAt ?? endedAt ?? requestedAt], start));
  }
  if (endedAt === undefined) return spans;
  const ended = { ...attributes, ...endAttributesOf(status, result) };
  if (startedAt !== undefined) {
    const below = `attempt-${number}` as const;
    spans.push(to(`run-${number}`, 'run', [startedAt, endedAt], { below, attributes: ended, failure }));
  }
  spans.push(
    to(`attempt-${number}`, 'attempt', [requestedAt, endedAt], { kind: 'consumer', attributes: ended, failure }),
  );
  return spans;
};

const spansOfEnd = (command: Command, now: Instant, to: ToSpan): Span[] => {
  const { submittedAt, endedAt = now, status, result, spec, attempts } = command;
  const last = attempts.at(-1);
  const neverTried = last === undefined || (last.endedAt ?? endedAt) < endedAt;
  const waited = [waitingSince(command, undefined), endedAt] as const;
  const attributes = {
    'errand.target': spec.target,
    'errand.attempts': attempts.length,
    ...endAttributesOf(status, result),
  };
  return [
    ...(neverTried ? [to(`queue-${(last?.number ?? 0) + 1}`, 'queue', waited)] : []),
    to('command', 'command', [submittedAt, endedAt], { attributes, failure: failureOf(status, result?.reason) }),
  ];
};

const endAttributesOf = (status: Status, result: Command['result']): Span['attributes'] => ({
  'errand.status': status,
  ...(result ? { 'errand.reason': result.reason } : {}),
  // https://opentelemetry.io/docs/specs/semconv/registry/attributes/process/
  ...(typeof result?.exitCode === 'number' ? { 'process.exit.code': result.exitCode } : {}),
});

/** A command that was canceled did what was asked of it. */
const failureOf = (status: Status, reason: string | undefined): string | undefined =>
  status === 'succeeded' || status === 'canceled' || !isFinal(status) ? undefined : (reason ?? status);
