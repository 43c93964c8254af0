import type { CommandView } from '../../../shared/contract/schemas.ts';
import type { Client, Submission } from '../../sdk/client.ts';
import { ApiError } from '../../sdk/errors.ts';
import { type CommandOptions, toSubmission } from '../arguments.ts';
import { type ConnectOptions, connect } from '../connect.ts';
import { EXIT, exitCodeOf, explainEnd } from '../exit-codes.ts';
import { showOutput } from '../follow.ts';
import { feedStdin, hasStdin } from '../stdin-feed.ts';
import { say, type Terminal } from '../terminal.ts';

export interface RunOptions extends CommandOptions, ConnectOptions {
  readonly json?: boolean;
  readonly interactive?: boolean;
}

/** Runs a command and resolves with its exit code. */
export const run = async (argv: readonly string[], options: RunOptions, terminal: Terminal): Promise<number> => {
  const submission = await toSubmission(argv, options, terminal);
  const wantsStdin = options.script !== '-' && hasStdin(terminal, { interactive: options.interactive ?? false });
  const interrupt = watchInterrupts(terminal);
  try {
    const connection = await connect(options, terminal);
    try {
      const body: Submission = wantsStdin ? { ...submission, stdin: 'open' } : submission;
      const { id } = await connection.client.submit(body);
      interrupt.cancels(connection.client, id);
      return await attend(connection.client, id, wantsStdin, options, terminal);
    } finally {
      await connection.close();
    }
  } finally {
    interrupt.stop();
  }
};

const attend = async (
  client: Client,
  id: string,
  wantsStdin: boolean,
  options: RunOptions,
  terminal: Terminal,
): Promise<number> => {
  const over = new AbortController();
  const feeding = wantsStdin ? feedStdin(client, id, terminal, over.signal) : Promise.resolve();
  // Its fault is looked at below, after the command's own end.
  feeding.catch(() => {});
  const followed = await showOutput(client, id, terminal, { json: options.json });
  over.abort();
  if (followed.kind !== 'ended') {
    // Whoever read our output has left: nobody wants the rest.
    await cancel(client, id);
    await client.get(id, { waitSeconds: 60 });
    return EXIT.brokenPipe;
  }
  if (!options.json) tellEnd(followed.command, terminal);
  await feeding;
  return exitCodeOf(followed.command);
};

const tellEnd = (command: CommandView, terminal: Terminal): void => {
  const words = explainEnd(command);
  if (words !== undefined) say(terminal, words);
};

/** The first Ctrl-C cancels the command, the second leaves at once. */
const watchInterrupts = (terminal: Terminal) => {
  let interrupts = 0;
  let cancelNow: (() => void) | undefined;
  const onInterrupt = (): void => {
    interrupts++;
    // The process is left as it stands: in the embedded case its helpers then kill what still runs.
    if (interrupts > 1) process.exit(EXIT.interrupted);
    cancelNow?.();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onInterrupt);
  return {
    cancels(client: Client, id: string): void {
      cancelNow = () => {
        say(terminal, `canceling ${id} (Ctrl-C again to leave)`);
        cancel(client, id).catch((error: unknown) => say(terminal, `the cancel failed: ${(error as Error).message}`));
      };
      if (interrupts > 0) cancelNow();
    },
    stop(): void {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeListener(signal, onInterrupt);
    },
  };
};

/** Ended already is as good as canceled. */
const cancel = async (client: Client, id: string): Promise<void> => {
  await client.cancel(id).catch((error: unknown) => {
    if (!(error instanceof ApiError && error.code === 'already-final')) throw error;
  });
};
