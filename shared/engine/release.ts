import { type Attempt, type Command, isFinal } from '../domain/command.ts';
import { stay, to } from './answer.ts';
import type { Effect, Observation, Step, StepContext } from './types.ts';

/** The end is stored first; what is left at the provider is removed after it. */
export const release = (command: Command, { now }: StepContext): Step =>
  command.attempts.some(({ held }) => held)
    ? { next: { ...command, dueAt: now }, effects: [{ kind: 'wake', at: now }] }
    : { next: command, effects: [] };

/** All that is left to do after the end: what a provider still holds of it is removed, again and again until it is gone. */
export const lookAtFinal = (command: Command, seen: Observation, { now, rules }: StepContext): Step => {
  const effects = releases(command);
  if ((seen.kind !== 'looked' && seen.kind !== 'swept') || effects.length === 0) return stay(command);
  // Two that look at one time must not both do it.
  if (command.dueAt !== undefined && now < command.dueAt) return stay(command);
  const triedForMs = now - (command.endedAt ?? now);
  if (triedForMs > rules.giveUpReleaseSeconds * 1_000) return to(withoutHeld(command));
  const { stopSeconds, releaseSeconds } = rules;
  return { next: { ...command, dueAt: now + againMs(triedForMs, stopSeconds, releaseSeconds) }, effects };
};

/**
 * Accepted after the attempt was canceled, given up or ended, perhaps too late for whoever removed what was there by then.
 * What a runner saw end is gone, unless it leaves something behind.
 */
export const takeBack = (
  command: Command,
  { attempt: number, ref }: { readonly attempt: number; readonly ref?: string | undefined },
  { now, rules, traitsOf }: StepContext,
): Step => {
  const before = command.attempts.find((one) => one.number === number);
  if (!before) return stay(command);
  const { mode, leavesBehind } = traitsOf(before.target);
  if (mode !== 'detached') return stay(command);
  if (before.startedAt !== undefined && !leavesBehind) return stay(command);
  if (before.held && (ref === undefined || before.ref === ref)) return stay(command);
  const attempt: Attempt = { ...before, ...(ref === undefined ? {} : { ref }), held: true };
  const attempts = command.attempts.map((one) => (one === before ? attempt : one));
  const again = isFinal(command.status) ? { dueAt: now + rules.stopSeconds * 1_000 } : {};
  return { next: { ...command, ...again, attempts }, effects: [{ kind: 'release', attempt }] };
};

export const releases = ({ attempts, status }: Command): readonly Effect[] =>
  attempts.flatMap((attempt) =>
    attempt.held && (isFinal(status) || attempt.endedAt !== undefined) ? [{ kind: 'release', attempt } as const] : [],
  );

/** Its runner saw it end, and some providers then keep nothing that would have to be removed. */
export const afterItsEnd = ({ held, ...attempt }: Attempt, { traitsOf }: StepContext): Attempt =>
  held && traitsOf(attempt.target).leavesBehind ? { ...attempt, held } : attempt;

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

/** Half as long again as it has lasted, within limits, so that what lasts is asked for ever less often. */
export const againMs = (lastedMs: number, leastSeconds: number, mostSeconds: number): number =>
  // Whole, since it becomes a time in a sort key.
  Math.min(mostSeconds * 1_000, Math.max(leastSeconds * 1_000, Math.ceil(lastedMs / 2)));
