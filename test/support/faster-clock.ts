import { systemClock } from '../../machine/system-clock.ts';
import type { Clock } from '../../shared/domain/clock.ts';

/** Time that goes by so many times as fast, for waits that are long by intent. */
export const fasterClock = (times: number): Clock => {
  const start = Date.now();
  return {
    now: () => start + (Date.now() - start) * times,
    sleep: (milliseconds, signal) => systemClock.sleep(milliseconds / times, signal),
    after: (milliseconds, wake) => systemClock.after(milliseconds / times, wake),
  };
};
