import { EXIT } from './exit-codes.ts';
import { say, type Terminal } from './terminal.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** How long a submission that is under way may still succeed, so that there is something to cancel. */
const SUBMIT_GRACE_MS = 2_000;

export interface Interrupts {
  /** Aborts soon after an interrupt that came before there was a command to cancel. */
  readonly submitting: AbortSignal;
  /** From now on the first interrupt cancels this command. */
  cancels(id: string, cancel: () => Promise<void>): void;
  stop(): void;
}

/** The first Ctrl-C cancels the command, the second leaves at once. */
export const watchInterrupts = (terminal: Terminal): Interrupts => {
  let count = 0;
  let cancelNow: (() => void) | undefined;
  const submitting = new AbortController();
  let grace: NodeJS.Timeout | undefined;
  const onInterrupt = (): void => {
    count++;
    // The process is left as it stands: in the embedded case its helpers then kill what still runs.
    if (count > 1) process.exit(EXIT.interrupted);
    if (cancelNow) cancelNow();
    else {
      say(terminal, 'canceling as soon as the server answers (Ctrl-C again to leave)');
      grace = setTimeout(() => submitting.abort(), SUBMIT_GRACE_MS);
    }
  };
  for (const signal of SIGNALS) process.on(signal, onInterrupt);
  return {
    submitting: submitting.signal,
    cancels(id, cancel) {
      clearTimeout(grace);
      cancelNow = () => {
        say(terminal, `canceling ${id} (Ctrl-C again to leave)`);
        cancel().catch((error: unknown) => say(terminal, `the cancel failed: ${(error as Error).message}`));
      };
      if (count > 0) cancelNow();
    },
    stop() {
      clearTimeout(grace);
      for (const signal of SIGNALS) process.removeListener(signal, onInterrupt);
    },
  };
};
