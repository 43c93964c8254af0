import { LambdaMicrovmsClient } from '@aws-sdk/client-lambda-microvms';
import type { Clock, Random } from '../../domain/clock.ts';
import { makeCalls as makeBoundedCalls } from '../calls.ts';
import type { LambdaMicrovmConfig } from './config.ts';
import { toFault } from './faults.ts';

const CONNECT_MS = 2_000;
const CALL_MS = 10_000;
const MOST_TRIES = 4;
const WAIT_MS = 400;

/** What the client takes beside a command. */
export interface CallOptions {
  readonly abortSignal: AbortSignal;
}

export interface Calls {
  /** One request, cut off when it is not answered in time. */
  once<T>(call: (options: CallOptions) => Promise<T>): Promise<T>;
  /**
   * What does no harm when done twice: again after a while when whether it was done is not known. Refusals are thrown at
   * once, unless an earlier try was unclear: a refusal of the second says nothing of the first.
   * @throws the last error; `onUnclear` was called if any of the tries may have been done
   */
  repeatable<T>(call: (options: CallOptions) => Promise<T>, onUnclear?: () => void): Promise<T>;
}

export const makeCalls = ({ clock, random }: { clock: Clock; random: Random }): Calls => {
  const bounded = makeBoundedCalls({ clock, random }, () => true);
  const once: Calls['once'] = (call) => bounded.once(({ signal }) => call({ abortSignal: signal }));
  return {
    once,
    async repeatable(call, onUnclear) {
      let isUnclear = false;
      for (let tries = 1; ; tries++) {
        try {
          return await once(call);
        } catch (error) {
          if (!toFault(error)) {
            isUnclear = true;
            onUnclear?.();
          }
          if (!isUnclear || tries >= MOST_TRIES) throw error;
        }
        await clock.sleep(WAIT_MS * 2 ** (tries - 1) * (1 + random.fraction()));
      }
    },
  };
};

/** Keyless: in a function its role, elsewhere what the SDK finds. Repeats are `makeCalls`’s, which knows what they mean. */
export const makeClient = ({ region, endpoint }: LambdaMicrovmConfig): LambdaMicrovmsClient =>
  new LambdaMicrovmsClient({
    region,
    maxAttempts: 1,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: CALL_MS, throwOnRequestTimeout: true },
    ...(endpoint === undefined
      ? {}
      : { endpoint, credentials: { accessKeyId: 'local-trial', secretAccessKey: 'local-trial' } }),
  });
