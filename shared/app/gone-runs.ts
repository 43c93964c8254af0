import type { Clock } from '../domain/clock.ts';
import type { AttemptKey } from '../domain/ids.ts';

/** The runs that providers say are gone, and for how long this process has been told so. */
export interface GoneRuns {
  /**
   * Told of each answer of a provider. Whether the run has been gone in all of them since one that is `seconds` old: by a timer, so that
   * no clock that is wrong or jumps makes anybody sure too early.
   */
  saw(key: AttemptKey, isGone: boolean, seconds: number): boolean;
}

interface Parts {
  readonly clock: Pick<Clock, 'sleep'>;
  readonly closing: AbortSignal;
}

/** What nobody asked about again was settled by somebody else. */
const KEPT_MS = 10 * 60_000;

export const makeGoneRuns = ({ clock, closing }: Parts): GoneRuns => {
  const gone = new Map<AttemptKey, { isSure: boolean }>();

  const watch = async (key: AttemptKey, seconds: number): Promise<void> => {
    const mine = { isSure: false };
    gone.set(key, mine);
    await clock.sleep(seconds * 1_000, closing);
    mine.isSure = !closing.aborted;
    await clock.sleep(KEPT_MS, closing);
    if (gone.get(key) === mine) gone.delete(key);
  };

  return {
    saw(key, isGone, seconds) {
      if (!isGone) {
        gone.delete(key);
        return false;
      }
      const known = gone.get(key);
      if (!known) void watch(key, seconds);
      return known?.isSure ?? false;
    },
  };
};
