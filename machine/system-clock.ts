import { randomBytes, randomInt } from 'node:crypto';
import type { Clock, Random } from '../shared/domain/clock.ts';

/** The longest wait that one timer can be given (2^31 − 1 ms); a longer one would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

/**
 * The machine's clock. Whoever sleeps keeps the process alive: a sleep is part of work that someone waits for, such as
 * the delay before a retry, and a process that ended meanwhile would leave that work undone without a word. So what
 * should not outlast its owner is given a signal, and the owner's close aborts it. A server lives by its socket.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(milliseconds, signal) {
    let left = milliseconds;
    do {
      await sleepOnce(Math.min(left, LONGEST_TIMER_MS), signal);
      left -= LONGEST_TIMER_MS;
    } while (left > 0 && !signal?.aborted);
  },
  after(milliseconds, wake) {
    const next = () => {
      left -= LONGEST_TIMER_MS;
      if (left > 0) timer = setTimeout(next, Math.min(left, LONGEST_TIMER_MS));
      else wake();
    };
    let left = milliseconds;
    let timer = setTimeout(next, Math.min(left, LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** Not node:timers/promises, which makes an error with its stack of each sleep that is cut short: 20 µs for 8 µs. */
const sleepOnce = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal?.addEventListener('abort', wake, { once: true });
  });

const POOL_BYTES = 4_096;
let pool = randomBytes(0);
let used = 0;

/** Random bytes, made many at once: it is the call that takes long. None is handed out twice. */
const nextBytes = (length: number): Buffer => {
  if (length > POOL_BYTES) return randomBytes(length);
  if (used + length > pool.length) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  used += length;
  return pool.subarray(used - length, used);
};

/** The machine's randomness (node:crypto). */
export const systemRandom: Random = {
  // As many bits as a number can hold, in two parts, since randomInt makes 48 at most; it is 20 times as fast as
  // randomBytes, and an id takes 16 fractions.
  fraction: () => (randomInt(2 ** 26) * 2 ** 27 + randomInt(2 ** 27)) / 2 ** 53,
  hex: (length) => nextBytes(length).toString('hex'),
};
