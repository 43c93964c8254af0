import { type Command, currentAttempt } from '../domain/command.ts';
import { parentOf } from '../domain/trace-context.ts';
import { spansOf } from '../telemetry/command-spans.ts';
import type { Deps } from './deps.ts';

/** Tells those who operate this installation of a change that was stored. `before` is undefined for a new command. */
export const noteChange = (
  { metrics, tracing, log, clock }: Pick<Deps, 'metrics' | 'tracing' | 'log' | 'clock'>,
  before: Command | undefined,
  after: Command,
): void => {
  metrics.changed(before, after);
  if (tracing.exports) for (const span of spansOf(before, after, clock.now())) tracing.record(span);
  if (before?.status === after.status) return;
  const { id: command, tenant, status, trace, result } = after;
  const attempt = currentAttempt(after);
  log.debug('A command moved', {
    ...{ tenant, command, status },
    ...(attempt ? { attempt: `${command}-${attempt.number}`, target: attempt.target } : {}),
    ...(result ? { reason: result.reason, exitCode: result.exitCode } : {}),
    ...(trace ? { traceId: parentOf(trace).traceId } : {}),
  });
};
