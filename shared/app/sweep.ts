import { type Command, currentAttempt } from '../domain/command.ts';
import type { Stored } from '../store/commands.ts';
import { referenceOf } from '../store/schema.ts';
import { lookAtRun, perform } from './advance-command.ts';
import type { Deps } from './deps.ts';
import { eachAtOnce } from './each-at-once.ts';
import { observeCommand, targetOf } from './observe-command.ts';

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
  await eachOf(due, deps, async (reference) => {
    const moved = await observeCommand(deps, reference, { kind: 'swept' });
    if (moved && !moved.changed && moved.effects.length === 0) await deps.commands.reindex(moved.stored);
    await perform(deps, reference, moved);
  });
  return due.length;
};

/**
 * After a start: looks at everything that is not final, due or not. Whoever carried a run may have died with its
 * lease still good, and the in-process queue died with it. A runner elsewhere did not: its runs are left to their time.
 */
export const recover = async (deps: Deps): Promise<number> => {
  const unfinished = await findUnfinished(deps);
  await eachOf(unfinished, deps, async ({ command }) => {
    const { id, tenant, status, spec, notBefore = 0 } = command;
    const reference = referenceOf(tenant, id);
    if (status !== 'queued') return diedWithUs(deps, command) ? lookAtRun(deps, reference) : undefined;
    const delaySeconds = Math.max(0, (notBefore - deps.clock.now()) / 1_000);
    await deps.queue.send({ v: 1, id: reference }, { priority: spec.priority, delaySeconds });
  });
  return unfinished.length;
};

/** As `recover`, for what was started only: what waits goes on waiting for a server. */
export const recoverRuns = async (deps: Deps): Promise<void> => {
  const started = (await findUnfinished(deps)).filter(
    ({ command }) => command.status !== 'queued' && diedWithUs(deps, command),
  );
  await eachOf(started, deps, ({ command }) => lookAtRun(deps, referenceOf(command.tenant, command.id)));
};

/** Whether the runs of a command's target die with the process that carries them. */
const diedWithUs = (deps: Deps, command: Command): boolean =>
  targetOf(deps, currentAttempt(command)?.target ?? '')?.features.runner !== 'remote';

const findUnfinished = async (deps: Deps): Promise<Stored[]> => {
  const { metrics } = deps;
  const references = await deps.commands.due(Number.POSITIVE_INFINITY, MOST_RECOVERED);
  const found: Stored[] = [];
  for (const reference of references) {
    const stored = await deps.commands.find(reference);
    if (!stored) continue;
    found.push(stored);
    metrics.found(stored.command);
  }
  return found;
};

const eachOf = <T>(due: readonly T[], { log }: Pick<Deps, 'log'>, look: (one: T) => Promise<void>): Promise<void> =>
  eachAtOnce(due, AT_ONCE, look, (error) => log.error('A due command could not be looked at', { error }));
