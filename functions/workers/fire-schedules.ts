import type { Deps } from '../../shared/app/deps.ts';
import { fireDue } from '../../shared/app/fire-due.ts';

/** Until the next call of it is there, and a little more: the two may fire the same, which does no harm. */
const AHEAD_MS = 65_000;
/** Meanwhile a schedule may have been stored that is due earlier. */
const LOOK_EVERY_MS = 10_000;

/**
 * Called each minute: fires what is due, and waits for what is due until the next minute, to fire it on time. Where nothing is, it
 * ends at once. Resolves with how often it looked.
 */
export const fireSchedulesEachMinute = (deps: Deps) => async (): Promise<number> => {
  const { clock } = deps;
  const until = clock.now() + AHEAD_MS;
  for (let looks = 1; ; looks++) {
    const next = await fireDue(deps, until);
    await deps.tracing.flush();
    if (next === undefined) return looks;
    await clock.sleep(Math.min(Math.max(0, next - clock.now()), LOOK_EVERY_MS));
  }
};
