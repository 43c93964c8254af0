import { advanceWorkflow } from './advance-workflow.ts';
import type { Deps } from './deps.ts';
import { eachAtOnce } from './each-at-once.ts';

const AT_ONCE = 8;
const MOST_PER_SWEEP = 1_000;

/**
 * Looks at the workflows that are due: the net below every lost wake-up and dead worker. Resolves with how many it looked at.
 * @param options.all due or not: after a start, when the wake-ups that were under way died with the process before
 */
export const sweepWorkflows = async (deps: Deps, { all = false } = {}): Promise<number> => {
  const until = all ? Number.MAX_SAFE_INTEGER : deps.clock.now();
  const due = await deps.workflows.due(until, MOST_PER_SWEEP);
  await eachAtOnce(
    due,
    AT_ONCE,
    async (reference) => {
      await advanceWorkflow(deps, reference);
    },
    (error) => deps.log.error('A due workflow could not be looked at', { error }),
  );
  return due.length;
};
