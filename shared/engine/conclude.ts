import {
  type Attempt,
  type Command,
  type Exit,
  isFinal,
  type Reason,
  type Result,
  type RetryCause,
  type Status,
} from '../domain/command.ts';
import type { OutputTotals } from '../domain/output.ts';
import { backoffMs } from './rules.ts';
import type { Step, StepContext } from './types.ts';

const NO_OUTPUT: OutputTotals = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };

/** How an attempt, or a command that had none, came to its end. */
type Ending =
  | { readonly kind: 'exit'; readonly exit: Exit; readonly output: OutputTotals }
  | {
      readonly kind: 'lost';
      readonly output: OutputTotals;
      readonly detail?: string | undefined;
      readonly unheard?: true | undefined;
    }
  /** Whether it ran at all cannot be known, so that it is not for us to run it again. */
  | { readonly kind: 'unknown'; readonly output: OutputTotals; readonly detail: string }
  | { readonly kind: 'provider-error'; readonly detail: string }
  | { readonly kind: 'canceled' }
  | { readonly kind: 'expired'; readonly detail: string };

interface Verdict {
  readonly status: Status & Attempt['status'];
  readonly reason: Reason;
  readonly retryCause?: RetryCause;
}

/** Ends the attempt, and the command with it unless its retry rule gives it another try. */
export const conclude = (
  command: Command,
  attempt: Attempt | undefined,
  ending: Ending,
  context: StepContext,
): Step => {
  const verdict = judge(attempt, ending);
  const result = resultOf(command, attempt, ending, verdict, context);
  const ended = attempt
    ? withAttempt(command, { ...attempt, status: verdict.status, endedAt: context.now, result })
    : command;
  if (verdict.retryCause && mayRetry(ended, verdict.retryCause)) return requeue(ended, tries(ended), context);
  const { dueAt: _, notBefore: __, ...rest } = ended;
  return release({ ...rest, status: verdict.status, endedAt: context.now, result }, context);
};

/** The end is stored first; what is left at the provider is removed after it. */
const release = (command: Command, { now }: StepContext): Step =>
  command.attempts.some(({ held }) => held)
    ? { next: { ...command, dueAt: now }, effects: [{ kind: 'wake', at: now }] }
    : { next: command, effects: [] };

/** An attempt that surely never ran is set aside, at no cost to the retry rule. */
export const giveUpStart = (
  command: Command,
  attempt: Attempt,
  { detail, retryAfterSeconds = 0 }: { readonly detail?: string; readonly retryAfterSeconds?: number },
  context: StepContext,
): Step => {
  if (command.cancelRequestedAt !== undefined) return conclude(command, attempt, { kind: 'canceled' }, context);
  const { startedAt: _, deadlineAt: __, ...never } = attempt;
  const unstarted = withAttempt(command, {
    ...never,
    status: 'expired',
    endedAt: context.now,
    ...(detail === undefined ? {} : { detail }),
  });
  const inARow = unstarted.attempts.length - 1 - unstarted.attempts.findLastIndex((one) => one.status !== 'expired');
  const attempts = withoutOldest(unstarted.attempts);
  return requeue({ ...unstarted, attempts }, inARow, context, { expiresAt: command.expiresAt, retryAfterSeconds });
};

const MOST_SET_ASIDE = 20;

/** A provider that refuses for days must not grow the record without end; what counts as a try stays in it. */
const withoutOldest = (attempts: readonly Attempt[]): readonly Attempt[] => {
  const setAside = attempts.filter(({ status }) => status === 'expired');
  const kept = new Set(setAside.slice(-MOST_SET_ASIDE));
  return setAside.length > kept.size ? attempts.filter((one) => one.status !== 'expired' || kept.has(one)) : attempts;
};

const requeue = (
  command: Command,
  tried: number,
  context: StepContext,
  { expiresAt, retryAfterSeconds = 0 }: { readonly expiresAt?: number; readonly retryAfterSeconds?: number } = {},
): Step => {
  const { now, rules, fraction } = context;
  const notBefore = now + Math.max(retryAfterSeconds * 1_000, backoffMs(rules, tried, fraction));
  const next: Command = {
    ...command,
    status: 'queued',
    notBefore,
    dueAt: notBefore,
    // A retry waits anew; a start that was given up still has only the time that the caller gave.
    expiresAt: expiresAt ?? notBefore + command.spec.queueTtlSeconds * 1_000,
  };
  return { next, effects: [{ kind: 'wake', at: notBefore }] };
};

const judge = (attempt: Attempt | undefined, ending: Ending): Verdict => {
  switch (ending.kind) {
    case 'exit':
      return judgeExit(attempt, ending.exit);
    case 'lost':
      // Asked to stop, and perhaps going on all the same: no other end could be answered for, and no retry is wanted.
      if (attempt?.stop && ending.unheard) return { status: 'lost', reason: 'lost' };
      // Asked to stop and seen gone: that is what the caller wanted to know.
      if (attempt?.stop?.reason === 'canceled') return { status: 'canceled', reason: 'canceled' };
      if (attempt?.stop?.reason === 'timeout') return { status: 'timed_out', reason: 'timeout' };
      return { status: 'lost', reason: 'lost', retryCause: 'lost' };
    case 'unknown':
      return { status: 'lost', reason: 'lost' };
    case 'provider-error':
      return { status: 'failed', reason: 'provider-error', retryCause: 'provider-error' };
    case 'canceled':
      return { status: 'canceled', reason: 'canceled' };
    case 'expired':
      return { status: 'expired', reason: 'timeout' };
  }
};

const judgeExit = (attempt: Attempt | undefined, exit: Exit): Verdict => {
  if (attempt?.stop?.reason === 'canceled') return { status: 'canceled', reason: 'canceled' };
  if (attempt?.stop?.reason === 'timeout') return { status: 'timed_out', reason: 'timeout' };
  if (exit.outOfMemory) return { status: 'failed', reason: 'out-of-memory', retryCause: 'nonzero-exit' };
  if (exit.exitCode === 0) return { status: 'succeeded', reason: 'exit' };
  return { status: 'failed', reason: exit.signal ? 'signal' : 'exit', retryCause: 'nonzero-exit' };
};

const mayRetry = (command: Command, cause: RetryCause): boolean =>
  command.cancelRequestedAt === undefined &&
  command.spec.retry.on.includes(cause) &&
  tries(command) < command.spec.retry.maxAttempts;

/** Attempts that count: not those set aside before they ran. */
const tries = (command: Command): number => command.attempts.filter((attempt) => attempt.status !== 'expired').length;

/** The command with its present attempt as this one. */
export const withAttempt = (command: Command, attempt: Attempt): Command => ({
  ...command,
  attempts: [...command.attempts.slice(0, -1), attempt],
});

/** @param attemptNumber without it, all of them */
export const withoutHeld = (command: Command, attemptNumber?: number): Command => {
  const isReleased = (number: number) => attemptNumber === undefined || number === attemptNumber;
  if (!command.attempts.some(({ number, held }) => held && isReleased(number))) return command;
  const attempts = command.attempts.map(({ held, ...attempt }) =>
    held && !isReleased(attempt.number) ? { ...attempt, held } : attempt,
  );
  if (!isFinal(command.status) || attempts.some((attempt) => 'held' in attempt)) return { ...command, attempts };
  const { dueAt: _, ...rest } = command;
  return { ...rest, attempts };
};

export const mayHaveRun = (attempt: Attempt, { target }: StepContext): boolean =>
  attempt.startedAt !== undefined || !target.startTicket;

const resultOf = (
  command: Command,
  attempt: Attempt | undefined,
  ending: Ending,
  { reason }: Verdict,
  { now }: StepContext,
): Result => {
  const detail = ending.kind === 'exit' ? ending.exit.detail : 'detail' in ending ? ending.detail : undefined;
  return {
    exitCode: ending.kind === 'exit' ? ending.exit.exitCode : null,
    signal: ending.kind === 'exit' ? ending.exit.signal : null,
    reason,
    ...(detail === undefined ? {} : { detail }),
    durationMs: attempt?.startedAt === undefined ? null : now - attempt.startedAt,
    ...('output' in ending ? ending.output : NO_OUTPUT),
    isolation: command.spec.isolation,
    ...(ending.kind === 'exit' && ending.exit.usage ? { usage: ending.exit.usage } : {}),
    ...(ending.kind === 'exit' && ending.exit.redactions !== undefined ? { redactions: ending.exit.redactions } : {}),
  };
};
