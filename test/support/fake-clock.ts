import type { Clock, Instant } from '../../shared/domain/clock.ts';

interface Sleeper {
  readonly at: Instant;
  readonly wake: () => void;
}

export interface FakeClock extends Clock {
  /** Moves time, waking sleepers in the order of their times and letting what they do settle in between. */
  advance(milliseconds: number): Promise<void>;
  /** How many sleep now. */
  sleepers(): number;
}

/** A clock that stands still until it is moved. */
export const fakeClock = (start = '2030-01-01T00:00:00Z'): FakeClock => {
  let now = Date.parse(start);
  const sleeping = new Set<Sleeper>();
  return {
    now: () => now,
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const sleeper: Sleeper = {
          at: now + Math.max(0, milliseconds),
          wake() {
            sleeping.delete(sleeper);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        sleeping.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    after(milliseconds, wake) {
      const sleeper: Sleeper = {
        at: now + Math.max(0, milliseconds),
        wake() {
          sleeping.delete(sleeper);
          wake();
        },
      };
      sleeping.add(sleeper);
      return () => sleeping.delete(sleeper);
    },
    async advance(milliseconds) {
      const until = now + milliseconds;
      await settle();
      for (;;) {
        const [next] = [...sleeping].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (!next) break;
        now = Math.max(now, next.at);
        next.wake();
        await settle();
      }
      now = until;
    },
    sleepers: () => sleeping.size,
  };
};

/** Lets promises, and the store's commits of one turn of the event loop, run until nothing is left to do. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};
