import {
  type Attempt,
  type Command,
  type Exit,
  type Reason,
  type Result,
  type RetryCause,
  routeOf,
  type Status,
} from '../domain/command.ts';
import type { OutputTotals } from '../domain/output.ts';
import { roundsFailed } from './choose.ts';
import { release } from './release.ts';
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
  const verdict = judge(command, attempt, ending);
  const result = resultOf(command, attempt, ending, verdict, context);
  const ended = attempt
    ? withAttempt(command, { ...attempt, status: verdict.status, endedAt: context.now, result })
    : command;
  if (verdict.retryCause && mayRetry(ended, verdict.retryCause)) {
    return requeue(ended, attempt?.stop?.reason === 'moved' ? 0 : tries(ended), context);
  }
  const { dueAt: _, notBefore: __, moveTo: ___, ...rest } = ended;
  return release({ ...rest, status: verdict.status, endedAt: context.now, result }, context);
};

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
  const next: Command = { ...unstarted, attempts: withoutOldest(unstarted) };
  const { expiresAt } = command;
  const rounds = roundsFailed(next, context);
  // While there is a target that has not failed it, there is nothing to wait for.
  if (rounds === 0) return requeue(next, 0, context, { expiresAt });
  return requeue(next, rounds, context, { expiresAt, retryAfterSeconds });
};

/** As many as the backoff takes to reach its cap, and more. */
const MOST_SET_ASIDE = { ofOneTarget: 20, ofEach: 8 };

/** Providers that refuse for days must not grow the record without end; what counts as a try stays in it. */
const withoutOldest = ({ attempts, spec }: Command): readonly Attempt[] => {
  const targets = routeOf(spec).flatMap(({ places }) => places).length;
  const most = Math.max(MOST_SET_ASIDE.ofOneTarget, MOST_SET_ASIDE.ofEach * targets);
  const setAside = attempts.filter(({ status }) => status === 'expired');
  const kept = new Set(setAside.slice(-most));
  return setAside.length > kept.size ? attempts.filter((one) => one.status !== 'expired' || kept.has(one)) : attempts;
};

/** @param tried how often it was tried, in vain; 0: at once */
const requeue = (
  command: Command,
  tried: number,
  context: StepContext,
  { expiresAt, retryAfterSeconds = 0 }: { readonly expiresAt?: number; readonly retryAfterSeconds?: number } = {},
): Step => {
  const { now, rules, fraction } = context;
  const waitMs = tried === 0 ? 0 : backoffMs(rules, tried, fraction);
  const notBefore = now + Math.max(Math.ceil(retryAfterSeconds * 1_000), waitMs);
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

const judge = (command: Command, attempt: Attempt | undefined, ending: Ending): Verdict => {
  switch (ending.kind) {
    case 'exit':
      return judgeStop(command, attempt) ?? judgeExit(ending.exit);
    case 'lost': {
      // Asked to stop, and perhaps going on all the same: no other end could be answered for, and no retry is wanted but of a move.
      if (attempt?.stop && ending.unheard) {
        const again = attempt.stop.reason === 'moved' ? ({ retryCause: 'lost' } as const) : {};
        return { status: 'lost', reason: 'lost', ...again };
      }
      // Asked to stop and seen gone: that is what the caller wanted to know.
      const stopped = judgeStop(command, attempt);
      if (stopped) return stopped;
      return { status: 'lost', reason: 'lost', retryCause: 'lost' };
    }
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

const judgeStop = ({ cancelRequestedAt }: Command, attempt: Attempt | undefined): Verdict | undefined => {
  switch (attempt?.stop?.reason) {
    case undefined:
      return undefined;
    case 'timeout':
      return { status: 'timed_out', reason: 'timeout' };
    case 'canceled':
      return { status: 'canceled', reason: 'canceled' };
    case 'moved':
      // A cancel that came later is what counts.
      if (cancelRequestedAt !== undefined) return { status: 'canceled', reason: 'canceled' };
      return { status: 'canceled', reason: 'canceled', retryCause: 'lost' };
  }
};

const judgeExit = (exit: Exit): Verdict => {
  if (exit.outOfMemory) return { status: 'failed', reason: 'out-of-memory', retryCause: 'nonzero-exit' };
  if (exit.exitCode === 0) return { status: 'succeeded', reason: 'exit' };
  return { status: 'failed', reason: exit.signal ? 'signal' : 'exit', retryCause: 'nonzero-exit' };
};

export const mayRetry = (command: Command, cause: RetryCause): boolean =>
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

export const mayHaveRun = (attempt: Attempt, { traitsOf }: StepContext): boolean =>
  attempt.startedAt !== undefined || !traitsOf(attempt.target).startTicket;

const resultOf = (
  command: Command,
  attempt: Attempt | undefined,
  ending: Ending,
  { reason }: Verdict,
  { now }: StepContext,
): Result => {
  const said = ending.kind === 'exit' ? ending.exit.detail : 'detail' in ending ? ending.detail : undefined;
  const detail = attempt?.stop?.reason === 'moved' ? 'It was stopped to be moved to another target.' : said;
  return {
    exitCode: ending.kind === 'exit' ? ending.exit.exitCode : null,
    signal: ending.kind === 'exit' ? ending.exit.signal : null,
    reason,
    ...(detail === undefined ? {} : { detail }),
    durationMs: attempt?.startedAt === undefined ? null : now - attempt.startedAt,
    ...('output' in ending ? ending.output : NO_OUTPUT),
    isolation: attempt?.isolation ?? command.spec.isolation,
    ...(ending.kind === 'exit' && ending.exit.usage ? { usage: ending.exit.usage } : {}),
    ...(ending.kind === 'exit' && ending.exit.redactions !== undefined ? { redactions: ending.exit.redactions } : {}),
  };
};
