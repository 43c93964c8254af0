import type { Deps } from '../shared/app/deps.ts';
import { recover, sweep } from '../shared/app/sweep.ts';

const SWEEP_SECONDS = 5;

/** Recovers, then sweeps from time to time until the process is about to end. */
export const keepSweeping = async (deps: Deps): Promise<void> => {
  const { clock, closing, log } = deps;
  const attempt = (what: () => Promise<number>) =>
    what().catch((error: unknown) => {
      if (!closing.aborted) log.error('A sweep failed; the next one will try again', { error });
    });
  await attempt(() => recover(deps));
  while (!closing.aborted) {
    await clock.sleep(SWEEP_SECONDS * 1_000, closing);
    if (!closing.aborted) await attempt(() => sweep(deps));
  }
};
