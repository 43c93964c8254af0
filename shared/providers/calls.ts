import type { Clock, Random } from '../domain/clock.ts';

const CALL_MS = 15_000;
const OBEY_MS = 500;
const MOST_TRIES = 4;
const WAIT_MS = 400;

export interface CallOptions {
  readonly signal: AbortSignal;
}

/** Calls of a cloud's SDK, which by itself repeats what it should not or nothing, and waits for minutes or for ever. */
export interface Calls {
  /** One request, cut off when it is not answered in time. */
  once<T>(call: (options: CallOptions) => Promise<T>): Promise<T>;
  /**
   * What does no harm when done twice: again after a while when the cloud fails or is busy. Refusals are thrown at once, and
   * so is a request to come back later.
   */
  repeatable<T>(call: (options: CallOptions) => Promise<T>): Promise<T>;
}

/** `isAnswer`: asked again, it would be answered the same. */
export const makeCalls = (
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  isAnswer: (error: unknown) => boolean,
): Calls => {
  const once: Calls['once'] = async (call) => {
    const done = new AbortController();
    const cut = new AbortController();
    const late = async (): Promise<never> => {
      await clock.sleep(CALL_MS, done.signal);
      if (!done.signal.aborted) cut.abort();
      // Not every step of a call obeys the signal, as signing in. What does has its own words for it.
      await clock.sleep(OBEY_MS, done.signal);
      if (done.signal.aborted) return new Promise(() => {});
      throw new Error('The cloud did not answer in time.');
    };
    try {
      return await Promise.race([call({ signal: cut.signal }), late()]);
    } finally {
      done.abort();
    }
  };
  return {
    once,
    async repeatable(call) {
      for (let tries = 1; ; tries++) {
        try {
          return await once(call);
        } catch (error) {
          if (isAnswer(error) || tries >= MOST_TRIES) throw error;
        }
        await clock.sleep(WAIT_MS * 2 ** (tries - 1) * (1 + random.fraction()));
      }
    },
  };
};
