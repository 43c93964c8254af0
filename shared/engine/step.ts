import type { Instant } from '../domain/clock.ts';
import { type Attempt, type Command, currentAttempt, isFinal, type SignalName, waitsFor } from '../domain/command.ts';
import { stay, to } from './answer.ts';
import { chooseTarget, hasAlternative } from './choose.ts';
import { conclude, giveUpStart, mayHaveRun, withAttempt } from './conclude.ts';
import { isDetached, renewalOf, traitsOf, withLease } from './lease.ts';
import { afterItsEnd, againMs, lookAtFinal, releases, takeBack, withoutHeld } from './release.ts';
import { restore } from './restore.ts';
import { requestCancel, requestMove, stopOverdue } from './stop.ts';
import type { Observation, Step, StepContext } from './types.ts';

/**
 * What happens when: the state machine of a command. Pure: it reads no clock, no store, no provider.
 * Each row answers one observation in one status; what has no row changes nothing, so that late and doubled
 * observations do no harm.
 */
export const step = (command: Command, seen: Observation, context: StepContext): Step => {
  if (seen.kind === 'released') return to(withoutHeld(command, seen.attempt));
  if (seen.kind === 'accepted' && !waitsFor(command, seen.attempt)) return takeBack(command, seen, context);
  if (seen.kind === 'restored') return restore(command, seen, context);
  if (isFinal(command.status)) return lookAtFinal(command, seen, context);
  const attempt = currentAttempt(command);
  switch (seen.kind) {
    case 'cancel-requested':
      if (command.cancelRequestedAt !== undefined) return stay(command);
      return requestCancel({ ...command, cancelRequestedAt: context.now }, context);
    case 'move-requested':
      if (command.cancelRequestedAt !== undefined) return stay(command);
      return requestMove(command, seen.target, context);
    case 'signal-requested':
      if (command.status !== 'running' || !attempt) return stay(command);
      return to(withSignal(command, attempt, seen.signal));
    case 'looked':
      if (command.status === 'queued') return lookAtQueued(command, seen, context);
      return attempt ? lookAtAttempt(command, attempt, seen.holding, context) : stay(command);
    case 'swept':
      if (command.status === 'queued') return resend(command, context);
      return attempt ? lookAtAttempt(command, attempt, false, context) : stay(command);
    default:
      // Word of an attempt that was given up, or that ended: its time is over.
      if (!attempt || attempt.number !== seen.attempt || command.status === 'queued') return stay(command);
      // Another claimed it at the same time and was the faster: its run is not this one.
      if ('ticket' in seen && seen.ticket !== attempt.ticket) return stay(command);
      return hear(command, attempt, seen, context);
  }
};

type AttemptObservation = Exclude<Extract<Observation, { attempt: number }>, { kind: 'released' }>;

const hear = (command: Command, attempt: Attempt, seen: AttemptObservation, context: StepContext): Step => {
  switch (seen.kind) {
    case 'accepted':
      return accept(command, attempt, seen.ref);
    case 'redeemed':
      return redeem(command, attempt, seen, context);
    case 'ended':
      // Nothing executes without the ticket, so such word is of something else.
      if (!mayHaveRun(attempt, context)) return stay(command);
      return conclude(
        command,
        afterItsEnd(attempt, context),
        { kind: 'exit', exit: seen.exit, output: seen.output },
        context,
      );
    case 'rejected':
      if (seen.retryable) return giveUpStart(command, attempt, seen, context);
      return conclude(command, attempt, { kind: 'provider-error', detail: seen.detail }, context);
    case 'unreachable':
      return leaveUnreachable(command, attempt, context) ?? stepBack(command, attempt, context);
    case 'alive':
      return (
        stopOverdue(command, attempt, context) ??
        giveUpSlowStart(command, attempt, context) ??
        renew(command, attempt, context)
      );
    case 'unheard':
      // Started, it has its runner's looks to live by, and the end of its lease to die by.
      return mayHaveRun(attempt, context) ? stay(command) : giveUpStart(command, attempt, seen, context);
    case 'gone':
      if (!mayHaveRun(attempt, context)) return giveUpStart(command, attempt, seen, context);
      if (isUnsure(attempt, seen, context)) return stay(command);
      if (seen.exit) return hear(command, attempt, { ...seen, kind: 'ended', exit: seen.exit }, context);
      return conclude(
        command,
        attempt,
        { kind: 'lost', detail: seen.detail, output: seen.output, unheard: seen.unheard },
        context,
      );
  }
};

/**
 * A provider that has just made a run may not show it yet, to one that asks because of a cancel, or by a clock that is ahead. The word of its
 * runner counts at once; whoever asked the provider asks again, since the command stays due.
 */
const isUnsure = (
  attempt: Attempt,
  { ticket, exit, sure }: { readonly ticket?: string; readonly exit?: unknown; readonly sure?: true },
  context: StepContext,
): boolean => isDetached(attempt, context) && ticket === undefined && exit === undefined && sure === undefined;

const lookAtQueued = (
  command: Command,
  { worker, ticket }: { worker: string; ticket: string },
  context: StepContext,
): Step => {
  const { now, rules } = context;
  if (now >= command.expiresAt) return expire(command, context);
  if (command.notBefore !== undefined && now < command.notBefore) {
    return { next: command, effects: [{ kind: 'wake', at: command.notBefore }] };
  }
  const chosen = chooseTarget(command, context);
  if (chosen.kind === 'none') {
    const { lookAgainAt } = chosen;
    // The sweeper is for a wake-up that is lost, not for one that is on its way.
    const dueAt = Math.min(lookAgainAt + rules.requeueSeconds * 1_000, command.expiresAt);
    const next: Command = { ...command, notBefore: lookAgainAt, dueAt };
    return { next, effects: [{ kind: 'wake', at: lookAgainAt }] };
  }
  const { target, isolation } = chosen.place;
  const attempt: Attempt = {
    number: (currentAttempt(command)?.number ?? 0) + 1,
    target,
    ...(isolation === command.spec.isolation ? {} : { isolation }),
    status: 'starting',
    ticket,
    worker,
    requestedAt: now,
    leaseUntil: now + rules.startSeconds * 1_000,
    ...(context.traitsOf(target).mode === 'detached' ? { held: true } : {}),
  };
  const { notBefore: _, moveTo: __, ...rest } = command;
  const next: Command = {
    ...rest,
    status: 'starting',
    attempts: [...command.attempts, attempt],
    dueAt: attempt.leaseUntil,
  };
  return { next, effects: [...releases(command), { kind: 'start', attempt }] };
};

const expire = (command: Command, context: StepContext): Step => {
  const waited = `Not started within ${command.spec.queueTtlSeconds} s of waiting in the queue.`;
  const last = currentAttempt(command)?.detail;
  const chosen = chooseTarget(command, context);
  const down = chosen.kind === 'none' ? ` The target ${chosen.target} is down: ${chosen.why}` : '';
  const detail = waited + (last === undefined ? down : ` The last try: ${last}`);
  return conclude(command, undefined, { kind: 'expired', detail }, context);
};

/** Wakes a worker, and steps back in the line of those that are due, so that the others are reached too. */
const resend = (command: Command, context: StepContext): Step => {
  const { now, rules } = context;
  if (now >= command.expiresAt) return expire(command, context);
  const dueAt = Math.min(command.expiresAt, now + rules.requeueSeconds * 1_000);
  return { next: { ...command, dueAt }, effects: [{ kind: 'wake', at: Math.max(now, command.notBefore ?? now) }] };
};

const lookAtAttempt = (command: Command, attempt: Attempt, holding: boolean, context: StepContext): Step => {
  const { now } = context;
  if (holding) {
    const stopping = stopOverdue(command, attempt, context);
    if (stopping) return stopping;
    return now >= renewalOf(attempt, context) && command.status === 'running'
      ? to(withLease(command, attempt, context))
      : stay(command);
  }
  if (isDetached(attempt, context)) {
    // No process of ours holds it, so whoever looks does what is to be done.
    const acting = mayHaveRun(attempt, context) ? stopOverdue(command, attempt, context) : undefined;
    if (acting) return acting;
    if (now < attempt.leaseUntil) return stay(command);
    return giveUpSlowStart(command, attempt, context) ?? { next: command, effects: [{ kind: 'observe', attempt }] };
  }
  // The holder does what is to be done, as long as it is trusted to be alive.
  if (now < attempt.leaseUntil) return stay(command);
  if (!mayHaveRun(attempt, context)) return giveUpStart(command, attempt, {}, context);
  return { next: command, effects: [{ kind: 'observe', attempt }] };
};

/** What has not started at a target that is down is given up, its ticket void, once another target can take it. */
const leaveUnreachable = (command: Command, attempt: Attempt, context: StepContext): Step | undefined => {
  const { state, why } = context.outlook.of(attempt.target);
  if (mayHaveRun(attempt, context) || state !== 'down' || !hasAlternative(command, attempt, context)) return undefined;
  return giveUpStart(command, attempt, { detail: `The target ${attempt.target} is down: ${why}` }, context);
};

/** A provider that is down must not keep its commands at the head of the line, before those of the others. */
const stepBack = (command: Command, { leaseUntil }: Attempt, { now, rules }: StepContext): Step =>
  to({ ...command, dueAt: now + againMs(now - leaseUntil, rules.pollSeconds, rules.unreachableSeconds) });

const accept = (command: Command, attempt: Attempt, ref: string | undefined): Step => {
  if (ref === undefined || attempt.ref === ref) return stay(command);
  return to(withAttempt(command, { ...attempt, ref }));
};

/** A provider that keeps a start waiting for longer than it may has its run taken back. The ticket is void from then on. */
const giveUpSlowStart = (command: Command, attempt: Attempt, context: StepContext): Step | undefined => {
  if (mayHaveRun(attempt, context) || !isDetached(attempt, context)) return undefined;
  if (context.now < startLimit(attempt, context)) return undefined;
  const detail = `It was not started within ${traitsOf(attempt, context).startSeconds} s of being accepted by the provider.`;
  return giveUpStart(command, attempt, { detail }, context);
};

const startLimit = (attempt: Attempt, context: StepContext): Instant =>
  attempt.requestedAt + traitsOf(attempt, context).startSeconds * 1_000;

/** The provider says that it is there: trusted for a while again. */
const renew = (command: Command, attempt: Attempt, context: StepContext): Step => {
  if (mayHaveRun(attempt, context) || !isDetached(attempt, context)) return to(withLease(command, attempt, context));
  const leaseUntil = Math.min(context.now + context.rules.pollSeconds * 1_000, startLimit(attempt, context));
  return to({ ...withAttempt(command, { ...attempt, leaseUntil }), dueAt: leaseUntil });
};

/** Only the holder of the ticket may execute, once, and not after a cancel or when it was given up. */
const redeem = (
  command: Command,
  attempt: Attempt,
  { ticket, runner }: { readonly ticket: string; readonly runner?: string },
  context: StepContext,
): Step => {
  if (command.status !== 'starting' || attempt.ticket !== ticket || command.cancelRequestedAt !== undefined) {
    return stay(command);
  }
  const { now } = context;
  const started: Attempt = {
    ...attempt,
    ...(runner === undefined ? {} : { runner }),
    status: 'running',
    startedAt: now,
    deadlineAt: now + command.spec.timeoutSeconds * 1_000,
  };
  const running: Command = { ...command, status: 'running', startedAt: command.startedAt ?? now };
  return to(withLease(running, started, context, context.rules.leaseSeconds));
};

const withSignal = (command: Command, attempt: Attempt, signal: SignalName): Command => ({
  ...command,
  signals: [...command.signals, { attempt: attempt.number, number: command.signals.length + 1, signal }],
});
