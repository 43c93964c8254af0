import type { AttemptView, CommandSummary, CommandView } from '../contract/schemas.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { type Attempt, type Command, currentAttempt } from '../domain/command.ts';
import { LIMITS } from '../domain/limits.ts';
import type { StreamName } from '../domain/output.ts';
import { parentOf } from '../domain/trace-context.ts';
import type { Deps } from './deps.ts';
import { piecesOf, sizeOfOutput } from './read-output.ts';

/** The command as callers see it, without its output. */
export const toSummary = (command: Command): CommandSummary => {
  const { id, status, spec, result, replayOf, session, scheduledBy, triggeredBy, workflow, policy, trace } = command;
  const { argv, script, image, cwd } = spec;
  return {
    id,
    status,
    target: spec.target,
    ...(spec.failover ? { failover: [...spec.failover] } : {}),
    ...(argv ? { argv: [...argv] } : {}),
    ...(script === undefined ? {} : { script, shell: spec.shell }),
    ...(image === undefined ? {} : { image }),
    ...(cwd === undefined ? {} : { cwd }),
    envNames: Object.keys(spec.env),
    ...(spec.secrets ? { secrets: { ...spec.secrets } } : {}),
    stdin: spec.stdin.kind,
    ...(spec.terminal ? { terminal: { ...spec.terminal } } : {}),
    timeoutSeconds: spec.timeoutSeconds,
    queueTtlSeconds: spec.queueTtlSeconds,
    ...(spec.cacheSeconds === undefined ? {} : { cacheSeconds: spec.cacheSeconds }),
    priority: spec.priority,
    isolation: spec.isolation,
    labels: { ...spec.labels },
    submittedAt: toTimestamp(command.submittedAt),
    startedAt: timestampOrNull(command.startedAt),
    endedAt: timestampOrNull(command.endedAt),
    cancelRequestedAt: timestampOrNull(command.cancelRequestedAt),
    result: result ?? null,
    attempts: command.attempts.map(toAttemptView),
    replayOf: replayOf ?? null,
    ...(session === undefined ? {} : { session }),
    ...(scheduledBy ? { scheduledBy: { schedule: scheduledBy.schedule, at: toTimestamp(scheduledBy.at) } } : {}),
    ...(triggeredBy ? { triggeredBy: { trigger: triggeredBy.trigger, delivery: triggeredBy.delivery ?? null } } : {}),
    ...(workflow ? { workflow: { ...workflow } } : {}),
    ...(policy ? { policy: { ...policy } } : {}),
    ...(trace ? { traceId: parentOf(trace).traceId } : {}),
  };
};

/** The command with the first output of its last attempt as text. */
export const toView = async (deps: Pick<Deps, 'output'>, command: Command): Promise<CommandView> => {
  const attempt = lastAttemptWithOutput(command);
  const text = { stdout: '', stderr: '' };
  let truncated = (command.result?.droppedBytes ?? 0) > 0;
  if (attempt) {
    const size = await sizeOfOutput(deps, command, attempt.number);
    truncated ||= size.stdoutBytes > LIMITS.recordTextBytes || size.stderrBytes > LIMITS.recordTextBytes;
    if (size.stdoutBytes + size.stderrBytes > 0)
      Object.assign(text, await firstText(deps, command, attempt.number, size));
  }
  return { ...toSummary(command), ...text, outputTruncated: truncated };
};

/** The attempt whose output a caller means when none is named: the last one that ran. */
export const lastAttemptWithOutput = (command: Command): Attempt | undefined =>
  command.attempts.findLast((attempt) => attempt.startedAt !== undefined) ?? currentAttempt(command);

const firstText = async (
  deps: Pick<Deps, 'output'>,
  command: Command,
  attempt: number,
  size: { stdoutBytes: number; stderrBytes: number },
): Promise<Record<StreamName, string>> => {
  const wanted = {
    stdout: Math.min(size.stdoutBytes, LIMITS.recordTextBytes),
    stderr: Math.min(size.stderrBytes, LIMITS.recordTextBytes),
  };
  const pieces: Record<StreamName, Uint8Array[]> = { stdout: [], stderr: [] };
  const have = { stdout: 0, stderr: 0 };
  if (size.stdoutBytes + size.stderrBytes <= LIMITS.recordTextBytes) {
    for await (const { stream, bytes } of piecesOf(deps, command, attempt, {})) pieces[stream].push(bytes);
    return { stdout: toText(pieces.stdout, wanted.stdout), stderr: toText(pieces.stderr, wanted.stderr) };
  }
  // One stream may be buried under gigabytes of the other: read on only while the start of either is missing,
  // and find the start of the second by seeking.
  for (const stream of ['stdout', 'stderr'] as const) {
    if (wanted[stream] === 0) continue;
    for await (const piece of piecesOf(deps, command, attempt, { stream })) {
      pieces[stream].push(piece.bytes);
      have[stream] += piece.bytes.length;
      if (have[stream] >= wanted[stream]) break;
    }
  }
  return { stdout: toText(pieces.stdout, wanted.stdout), stderr: toText(pieces.stderr, wanted.stderr) };
};

const toText = (pieces: readonly Uint8Array[], length: number): string =>
  Buffer.concat(pieces).subarray(0, length).toString('utf8');

const toAttemptView = (attempt: Attempt): AttemptView => ({
  number: attempt.number,
  target: attempt.target,
  status: attempt.status,
  ...(attempt.detail === undefined ? {} : { detail: attempt.detail }),
  requestedAt: toTimestamp(attempt.requestedAt),
  startedAt: timestampOrNull(attempt.startedAt),
  endedAt: timestampOrNull(attempt.endedAt),
  result: attempt.result ?? null,
});

const timestampOrNull = (instant: Instant | undefined): string | null =>
  instant === undefined ? null : toTimestamp(instant);
