import { type Attempt, type Command, currentAttempt, type StopReason } from '../domain/command.ts';
import { stay } from './answer.ts';
import { conclude, giveUpStart, mayHaveRun, mayRetry } from './conclude.ts';
import { withLease } from './lease.ts';
import type { Effect, Step, StepContext } from './types.ts';

/** What never ran is canceled at once; what may run is stopped by its holder, and canceled when it was seen gone. */
export const requestCancel = (command: Command, context: StepContext): Step => {
  const attempt = currentAttempt(command);
  if (command.status === 'queued' || !attempt) return conclude(command, undefined, { kind: 'canceled' }, context);
  if (!mayHaveRun(attempt, context)) return conclude(command, attempt, { kind: 'canceled' }, context);
  return { next: { ...command, dueAt: context.now }, effects: [{ kind: 'wake', at: context.now }] };
};

/** What never ran is moved at once, its ticket void; what runs is stopped first, if its caller allows that it runs again. */
export const requestMove = (command: Command, target: string, context: StepContext): Step => {
  const { now } = context;
  const moving: Command = { ...command, moveTo: target };
  const wake: readonly Effect[] = [{ kind: 'wake', at: now }];
  const attempt = currentAttempt(command);
  if (command.status === 'queued' || !attempt) {
    return command.moveTo === target
      ? stay(command)
      : { next: { ...moving, notBefore: now, dueAt: now }, effects: wake };
  }
  if (attempt.target === target || attempt.stop) return stay(command);
  if (!mayHaveRun(attempt, context)) {
    const { next } = giveUpStart(moving, attempt, { detail: `It was moved to ${target}.` }, context);
    return { next: { ...next, notBefore: now, dueAt: now }, effects: wake };
  }
  return mayRetry(command, 'lost') ? { next: { ...moving, dueAt: now }, effects: wake } : stay(command);
};

/** The run time-out, and a stop that was asked for and has not been seen to work. */
export const stopOverdue = (command: Command, attempt: Attempt, context: StepContext): Step | undefined => {
  const { now, rules } = context;
  if (attempt.stop) {
    if (now < attempt.stop.requestedAt + rules.stopSeconds * 1_000) return undefined;
    return stop(command, attempt, attempt.stop.reason, context);
  }
  if (command.cancelRequestedAt !== undefined) return stop(command, attempt, 'canceled', context);
  if (command.moveTo !== undefined) return stop(command, attempt, 'moved', context);
  if (attempt.deadlineAt !== undefined && now >= attempt.deadlineAt) return stop(command, attempt, 'timeout', context);
  return undefined;
};

const stop = (command: Command, attempt: Attempt, reason: StopReason, context: StepContext): Step => {
  const stopping: Attempt = { ...attempt, stop: { reason, requestedAt: context.now } };
  return { next: withLease(command, stopping, context), effects: [{ kind: 'stop', attempt: stopping }] };
};
