import type { SignalName } from '../../domain/command.ts';
import type { Parts } from './making.ts';

const KILL_AGAIN_MS = 5_000;

/** What is done to a container that runs, one thing after the other. */
export const makeControl = ({ daemon, config, context: { clock } }: Parts, id: string, over: AbortSignal) => {
  let last = Promise.resolve();
  let isPaused = false;
  let wasKilled = false;
  let isEnding = false;
  // What has ended meanwhile takes no more; a daemon that does not answer is asked again, or its silence is seen elsewhere.
  const tell = (signal: string) => daemon.signal(id, signal).catch(() => {});
  const wake = async () => {
    if (isPaused) await daemon.unpause(id).catch(() => {});
    isPaused = false;
  };
  const deliver = async (signal: SignalName): Promise<void> => {
    if (over.aborted) return;
    if (signal === 'SIGSTOP') {
      isPaused = true;
      return daemon.pause(id).catch(() => {});
    }
    if (signal === 'SIGCONT' && isPaused) return wake();
    if (signal === 'SIGKILL') {
      wasKilled = true;
      await wake();
    }
    await tell(signal);
  };
  const end = async (): Promise<void> => {
    await wake();
    if (over.aborted) return;
    await tell('SIGTERM');
    await clock.sleep(config.graceSeconds * 1_000, over);
    while (!over.aborted) {
      wasKilled = true;
      await tell('SIGKILL');
      await clock.sleep(KILL_AGAIN_MS, over);
    }
  };
  return {
    /** Whether KILL was sent from here. */
    wasKilled: () => wasKilled,
    signal(signal: SignalName): void {
      last = last.then(() => deliver(signal));
    },
    /** TERM, grace, KILL until it is over. Twice is the same as once. */
    end(): void {
      if (isEnding) return;
      isEnding = true;
      void end();
    },
  };
};
