import { currentAttempt } from '../domain/command.ts';
import type { Reference } from '../store/schema.ts';
import { lookAtRun, perform } from './advance-command.ts';
import type { Deps } from './deps.ts';
import { observeCommand } from './observe-command.ts';

const AT_ONCE = 8;
const MOST_PER_SWEEP = 1_000;
/** More than any embedded store is meant to hold unfinished. */
const MOST_RECOVERED = 1_000_000;

/**
 * Finds in the store what is due and sees to it: the net below every lost wake-up, dead worker and missed deadline.
 * Resolves with how many commands it looked at.
 */
export const sweep = async (deps: Deps): Promise<number> => {
  await deps.store.removeExpired(deps.clock.now());
  const due = await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP);
  await forEach(due, deps, async (reference) =>
    perform(deps, reference, await observeCommand(deps, reference, { kind: 'swept' })),
  );
  return due.length;
};

/**
 * After a start: looks at everything that is not final, due or not. Whoever carried a run may have died with its
 * lease still good, and the in-process queue died with it.
 */
export const recover = async (deps: Deps): Promise<number> => {
  const unfinished = await deps.commands.due(Number.POSITIVE_INFINITY, MOST_RECOVERED);
  await forEach(unfinished, deps, async (reference) => {
    const stored = await deps.commands.find(reference);
    if (!stored) return;
    const { status, spec, notBefore = 0 } = stored.command;
    if (status !== 'queued' && currentAttempt(stored.command)) return lookAtRun(deps, reference);
    const delaySeconds = Math.max(0, (notBefore - deps.clock.now()) / 1_000);
    await deps.queue.send({ v: 1, id: reference }, { priority: spec.priority, delaySeconds });
  });
  return unfinished.length;
};

/** One command that cannot be looked at must not keep the others waiting. */
const forEach = async (
  references: readonly Reference[],
  deps: Pick<Deps, 'log'>,
  look: (reference: Reference) => Promise<void>,
): Promise<void> => {
  const rest = references.values();
  const worker = async () => {
    for (const reference of rest) {
      await look(reference).catch((error: unknown) => deps.log.error('A due command could not be looked at', { reference, error }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
};
