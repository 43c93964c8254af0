import type { Clock } from '../../domain/clock.ts';
import { statusOf } from './faults.ts';

const CALL_MS = 15_000;
const READ_TRIES = 3;
const READ_WAIT_MS = 300;

type Call<T> = (abortSignal: AbortSignal) => Promise<T>;

/** Calls of the client, which by itself waits for ever. */
export interface Calls {
  /** Once, and not for long. */
  bounded<T>(call: Call<T>): Promise<T>;
  /** Of what changes nothing: again, unless Azure refuses it, which it would do again. */
  read<T>(call: Call<T>): Promise<T>;
}

export const makeCalls = (clock: Clock): Calls => {
  const bounded = async <T>(call: Call<T>): Promise<T> => {
    const done = new AbortController();
    const late = new AbortController();
    const timeOut = clock.sleep(CALL_MS, done.signal).then(() => {
      if (done.signal.aborted) return new Promise<never>(() => {});
      late.abort();
      throw new Error('Azure did not answer in time.');
    });
    try {
      // Signing in does not obey the signal.
      return await Promise.race([call(late.signal), timeOut]);
    } finally {
      done.abort();
    }
  };

  const read = async <T>(call: Call<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await bounded(call);
      } catch (error) {
        if (tries >= READ_TRIES || Number(statusOf(error)) < 500) throw error;
      }
      await clock.sleep(READ_WAIT_MS * tries);
    }
  };

  return { bounded, read };
};
