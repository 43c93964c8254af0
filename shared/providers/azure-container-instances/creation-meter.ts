import type { Clock, Instant } from '../../domain/clock.ts';

interface Limit {
  readonly most: number;
  readonly seconds: number;
}

/** Keeps within what Azure lets a subscription make, so that what is over it does not even ask. */
export interface CreationMeter {
  /** Undefined: go on, and it is counted. Otherwise how long to wait. */
  take(): { readonly retryAfterSeconds: number } | undefined;
}

/** Counts what this process makes; several share the same limit, and Azure's own answer has the last word. */
export const creationMeter = (clock: Clock, limits: readonly Limit[]): CreationMeter => {
  let made: Instant[] = [];
  const longest = Math.max(...limits.map(({ seconds }) => seconds));
  return {
    take() {
      const now = clock.now();
      made = made.filter((at) => at > now - longest * 1_000);
      for (const { most, seconds } of limits) {
        const within = made.filter((at) => at > now - seconds * 1_000);
        const oldest = within[within.length - most];
        if (oldest !== undefined) return { retryAfterSeconds: Math.ceil((oldest + seconds * 1_000 - now) / 1_000) };
      }
      made.push(now);
      return undefined;
    },
  };
};
