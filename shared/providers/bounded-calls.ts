import type { Clock, Random } from '../domain/clock.ts';

const CALL_MS = 15_000;
const OBEY_MS = 1_000;
const MOST_TRIES = 4;
const WAIT_MS = 400;

/** Calls of a cloud's client, which by itself waits for ever or for minutes. */
export interface BoundedCalls<Options> {
  /** One request, cut off when it is not answered in time. */
  once<T>(call: (options: Options) => Promise<T>): Promise<T>;
  /**
   * What does no harm when done twice: again after a while when the cloud fails or is busy. Answers are thrown at once.
   */
  repeatable<T>(call: (options: Options) => Promise<T>): Promise<T>;
}

interface ClientTraits<Options> {
  /** What the client takes beside a request, to be cut off by. */
  readonly toOptions: (signal: AbortSignal) => Options;
  /** Whether a failure is the cloud's word: asked again, it would say the same. */
  readonly isAnswer: (error: unknown) => boolean;
}

export const boundedCalls = <Options>(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  { toOptions, isAnswer }: ClientTraits<Options>,
): BoundedCalls<Options> => {
  const once: BoundedCalls<Options>['once'] = async (call) => {
    const done = new AbortController();
    const late = new AbortController();
    const cut = async (): Promise<never> => {
      await clock.sleep(CALL_MS, done.signal);
      if (done.signal.aborted) return new Promise(() => {});
      late.abort();
      // What obeys says itself what it was at; some signing in does not.
      await clock.sleep(OBEY_MS, done.signal);
      throw new Error(`It was not answered in time (${CALL_MS / 1_000} s).`);
    };
    try {
      return await Promise.race([call(toOptions(late.signal)), cut()]);
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
