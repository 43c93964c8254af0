import type { Clock, Instant } from '../domain/clock.ts';

/** How often something may be done: `burst` times at once, and `perSecond` times a second from then on. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What is left of a rate after a take. */
export interface Taken {
  readonly allowed: boolean;
  /** So many more may follow at once. */
  readonly remaining: number;
  /** Until all of the burst is there again. */
  readonly fullAfterSeconds: number;
  /** Until one more is allowed; 0 when it is now. */
  readonly retryAfterSeconds: number;
}

/** Buckets by name, of which only so many are remembered. */
export interface TokenBuckets {
  /** Takes a token, if there is one. */
  take(name: string, rate: Rate): Taken;
  /** What a take would find, without taking. */
  look(name: string, rate: Rate): Taken;
}

/**
 * Token buckets as the generic cell rate algorithm keeps them: of each bucket only the time at which it will be full again
 * (ITU-T I.371, annex A; "virtual scheduling"). A bucket that is forgotten, the longest unused first, is a full one: who
 * calls under a million names gets no more than each of them may, and no more memory than `most` of them take.
 */
export const tokenBuckets = (clock: Pick<Clock, 'now'>, most: number): TokenBuckets => {
  const fullAt = new Map<string, Instant>();

  const look: TokenBuckets['look'] = (name, rate) => describe(clock.now(), fullAt.get(name) ?? 0, rate);
  return {
    look,
    take(name, rate) {
      const now = clock.now();
      const before = Math.max(now, fullAt.get(name) ?? 0);
      const found = describe(now, before, rate);
      if (!found.allowed) return found;
      const after = before + 1_000 / rate.perSecond;
      // Behind all others: the first of a Map is the one that was put there first.
      fullAt.delete(name);
      fullAt.set(name, after);
      if (fullAt.size > most) fullAt.delete(fullAt.keys().next().value as string);
      return { ...describe(now, after, rate), allowed: true, retryAfterSeconds: 0 };
    },
  };
};

const describe = (now: Instant, fullAt: Instant, { perSecond, burst }: Rate): Taken => {
  const missing = (Math.max(0, fullAt - now) / 1_000) * perSecond;
  // A hair of rounding must not cost a token.
  const left = burst - missing + 1e-9;
  return {
    allowed: left >= 1,
    remaining: Math.max(0, Math.floor(left)),
    fullAfterSeconds: missing / perSecond,
    retryAfterSeconds: left >= 1 ? 0 : (1 - left) / perSecond,
  };
};
