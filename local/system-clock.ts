import { randomBytes, randomInt } from 'node:crypto';
import type { Clock, Random } from '../shared/domain/clock.ts';

/** The longest wait that a timer can be given (2^31 − 1 ms); a longer one would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** The machine's clock. Whoever sleeps keeps the process alive, so every long sleep has a signal that ends it. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.min(milliseconds, LONGEST_TIMER_MS));
      signal?.addEventListener('abort', wake, { once: true });
    }),
};

const FRACTION_STEPS = 2 ** 47;

/** The machine's randomness (node:crypto). */
export const systemRandom: Random = {
  fraction: () => randomInt(FRACTION_STEPS) / FRACTION_STEPS,
  hex: (length) => randomBytes(length).toString('hex'),
};
