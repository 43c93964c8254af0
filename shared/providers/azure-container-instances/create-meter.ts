import type { Clock, Instant } from '../../domain/clock.ts';

export interface CreateLimit {
  readonly creates: number;
  readonly seconds: number;
}

/** Says whether one more group may be made now. */
export interface CreateMeter {
  /** Takes one; or, when none is left, the seconds until there is one. */
  take(): number | undefined;
}

/**
 * Keeps to Azure's limits on making groups without being told off for it. It remembers when each was made, and not a bucket
 * that is refilled: that lets twice the limit through where a burst meets the refill. It knows of this process only; what
 * others use up is for Azure to refuse.
 */
export const makeCreateMeter = (clock: Clock, limits: readonly CreateLimit[]): CreateMeter => {
  const longest = Math.max(...limits.map(({ seconds }) => seconds)) * 1_000;
  let made: Instant[] = [];
  return {
    take() {
      const now = clock.now();
      made = made.filter((at) => at > now - longest);
      const waits = limits.map(({ creates, seconds }) => {
        const within = made.filter((at) => at > now - seconds * 1_000);
        // Once this one is out of the window, one less than the limit is in it.
        const leaving = within.at(-creates);
        return leaving === undefined ? 0 : Math.ceil((leaving + seconds * 1_000 - now) / 1_000);
      });
      const wait = Math.max(0, ...waits);
      if (wait > 0) return wait;
      made.push(now);
      return undefined;
    },
  };
};
