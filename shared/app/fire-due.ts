import type { Instant } from '../domain/clock.ts';
import type { Deps } from './deps.ts';
import { eachAtOnce } from './each-at-once.ts';
import { fireSchedule } from './fire-schedule.ts';

const AT_ONCE = 32;
const MOST_PER_LOOK = 1_000;

/**
 * Fires the schedules that are due. Resolves with when the next one is, if that is by `until`.
 * One that could not be fired is left to whoever looks next, and keeps none of the others waiting.
 */
export const fireDue = async (deps: Deps, until: Instant): Promise<Instant | undefined> => {
  const now = deps.clock.now();
  const found = await deps.schedules.due(until, MOST_PER_LOOK);
  const nexts = found.filter(({ dueAt }) => dueAt > now).map(({ dueAt }) => dueAt);
  const due = found.filter(({ dueAt }) => dueAt <= now);
  let fired = 0;
  await eachAtOnce(
    due,
    AT_ONCE,
    async ({ reference }) => {
      const next = await fireSchedule(deps, reference);
      fired++;
      if (next !== undefined) nexts.push(next);
    },
    (error) => deps.log.error('A schedule could not be fired; the next look will try again', { error }),
  );
  // There are more than one look brings.
  if (found.length === MOST_PER_LOOK && fired > 0) nexts.push(now);
  const next = Math.min(...nexts);
  return next <= until ? next : undefined;
};
