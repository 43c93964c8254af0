import type { Instant } from '../domain/clock.ts';
import type { Attempt, Command } from '../domain/command.ts';
import { withAttempt } from './conclude.ts';
import type { StepContext, TargetTraits } from './types.ts';

/** A lease is renewed at half its length, so that one missed look does not end it. */
export const renewalOf = (attempt: Attempt, context: StepContext): Instant => {
  const renewAt = attempt.leaseUntil - leaseSeconds(attempt, context) * 500;
  // Its first lease is a short one, which most commands do not outlive: none of them pays for a renewal.
  return Math.max(renewAt, (attempt.startedAt ?? 0) + context.rules.leaseSeconds * 500);
};

export const withLease = (
  command: Command,
  attempt: Attempt,
  context: StepContext,
  seconds = leaseSeconds(attempt, context),
): Command => {
  const { now, rules } = context;
  const leaseUntil = now + seconds * 1_000;
  const stopAgainAt = attempt.stop ? attempt.stop.requestedAt + rules.stopSeconds * 1_000 : attempt.deadlineAt;
  return {
    ...withAttempt(command, { ...attempt, leaseUntil }),
    dueAt: Math.min(leaseUntil, stopAgainAt ?? leaseUntil),
  };
};

const leaseSeconds = (attempt: Attempt, context: StepContext): number => {
  const { mode, runner } = traitsOf(attempt, context);
  return mode === 'inline' && runner === 'remote' ? context.rules.unheardSeconds : context.rules.leaseSeconds;
};

export const isDetached = (attempt: Attempt, context: StepContext): boolean =>
  traitsOf(attempt, context).mode === 'detached';

export const traitsOf = ({ target }: Attempt, context: StepContext): TargetTraits => context.traitsOf(target);
