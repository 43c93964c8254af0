import type { Run } from '../provider.ts';
import type { Parts } from './making.ts';

const TRIES = 3;
const AGAIN_MS = 2_000;
/** A daemon that is down is waited for so long, so that what is told as gone was seen gone. */
const PATIENCE_MS = 120_000;

interface Removal {
  readonly run: Run;
  readonly stop: AbortSignal;
  /** Whether its command surely runs no more, or never did: then what is left is only litter, and is not waited for. */
  readonly isSure: boolean;
}

/**
 * Removes a container, with all that may still run in it. A run that was asked to stop is not told as stopped before that
 * was done, however long the daemon takes.
 * @returns whether it is gone. If it is not, the search for what is left over finds it.
 */
export const removeContainer = async (
  { daemon, closing, context: { clock, log } }: Parts,
  id: string,
  { run, stop, isSure }: Removal,
): Promise<boolean> => {
  const until = clock.now() + PATIENCE_MS;
  for (let tries = 1; ; tries++) {
    try {
      await daemon.remove(id);
      return true;
    } catch (error) {
      const isWorthIt = isSure || closing.aborted ? tries < TRIES : stop.aborted || clock.now() < until;
      if (!isWorthIt) {
        log.warn('A container could not be removed', { attempt: run.key, container: id, error });
        return false;
      }
      await clock.sleep(AGAIN_MS, closing);
    }
  }
};
