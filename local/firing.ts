import type { Deps } from '../shared/app/deps.ts';
import { fireDue } from '../shared/app/fire-due.ts';

/** Other processes may store schedules too, and do not announce it here. */
const LOOK_EVERY_MS = 5_000;

/** Fires schedules when they are due, to the timer's precision, until the process is about to end. */
export const keepFiring = async (deps: Deps): Promise<void> => {
  const { clock, closing, log, changes, metrics } = deps;
  let stored = false;
  let wake = () => {};
  const hear = () => {
    stored = true;
    wake();
  };
  using _ = changes.hearSchedules(hear);
  closing.addEventListener('abort', hear, { once: true });
  const wait = async (milliseconds: number): Promise<void> => {
    const waiting = new AbortController();
    wake = () => waiting.abort();
    if (!stored) await clock.sleep(milliseconds, waiting.signal);
  };
  while (!closing.aborted) {
    stored = false;
    const until = clock.now() + LOOK_EVERY_MS;
    let next: number | undefined;
    try {
      next = await fireDue(deps, until);
      metrics.passed('schedules');
    } catch (error) {
      if (!closing.aborted) log.error('Schedules could not be looked at; the next look will try again', { error });
    }
    await wait(Math.max(1, (next ?? until) - clock.now()));
  }
};
