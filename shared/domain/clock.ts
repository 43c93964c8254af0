/** A point in time: milliseconds since the Unix epoch, UTC. */
export type Instant = number;

/**
 * Time, passed in. Nothing under `shared/` reads the machine's clock by itself, so that tests and the
 * simulation move time instead of waiting for it.
 */
export interface Clock {
  now(): Instant;
  /** Resolves after `milliseconds`, or at once when `signal` aborts (it never rejects). */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Calls `wake` once, after `milliseconds`, unless what it returns was called before. A tenth of what an aborted sleep costs. */
  after(milliseconds: number, wake: () => void): () => void;
}

/** Randomness, passed in. Must be cryptographically strong outside of tests. */
export interface Random {
  /** A number in [0, 1). */
  fraction(): number;
  /** `length` random bytes in lower-case hex (2 × `length` characters). */
  hex(length: number): string;
}

/** The RFC 3339 form in UTC, as the contract shows times. */
export const toTimestamp = (instant: Instant): string => new Date(instant).toISOString();
