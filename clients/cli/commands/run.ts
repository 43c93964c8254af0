import type { CommandView } from '../../../shared/contract/schemas.ts';
import { cancelUnlessOver } from '../../sdk/cancel-unless-over.ts';
import type { Client, Submission } from '../../sdk/client.ts';
import { asksForWalls, type CommandOptions, toWholeSubmission } from '../arguments.ts';
import { type ConnectOptions, connect } from '../connect.ts';
import { EXIT, exitCodeOf, explainEnd } from '../exit-codes.ts';
import { showOutput } from '../follow.ts';
import { type Interrupts, watchInterrupts } from '../interrupts.ts';
import { feedStdin, hasStdin } from '../stdin-feed.ts';
import { say, type Terminal } from '../terminal.ts';

export interface RunOptions extends CommandOptions, ConnectOptions {
  readonly json?: boolean;
  readonly interactive?: boolean;
  /** False with --no-stdin. */
  readonly stdin?: boolean;
}

/** Runs a command and resolves with its exit code. */
export const run = async (argv: readonly string[], options: RunOptions, terminal: Terminal): Promise<number> => {
  const submission = await toWholeSubmission(argv, options, terminal);
  const { interactive = false, stdin = true } = options;
  const wantsStdin = stdin && options.script !== '-' && hasStdin(terminal, { interactive });
  const interrupts = watchInterrupts(terminal);
  try {
    const connection = await connect({ ...options, trySandbox: asksForWalls(options) }, terminal);
    try {
      const body: Submission = wantsStdin ? { ...submission, stdin: 'open' } : submission;
      const id = await submitUnlessLeft(connection.client, body, interrupts, terminal);
      if (id === undefined) return EXIT.interrupted;
      interrupts.cancels(id, () => cancelUnlessOver(connection.client, id));
      return await attend(connection.client, id, wantsStdin, options, terminal);
    } finally {
      await connection.close();
    }
  } finally {
    interrupts.stop();
  }
};

/** Undefined when the person left before the server answered. */
const submitUnlessLeft = async (
  client: Client,
  body: Submission,
  { submitting }: Interrupts,
  terminal: Terminal,
): Promise<string | undefined> => {
  try {
    return (await client.submit(body, { signal: submitting })).id;
  } catch (error) {
    if (!submitting.aborted) throw error;
    say(terminal, `left before ${client.url} answered; \`errand ps\` tells whether it has taken the command`);
    return undefined;
  }
};

const attend = async (
  client: Client,
  id: string,
  wantsStdin: boolean,
  { json }: RunOptions,
  terminal: Terminal,
): Promise<number> => {
  const over = new AbortController();
  // Without the rest of its input the command might wait forever.
  const feeding = wantsStdin
    ? feedStdin(client, id, terminal, over.signal).catch(async (error: Error) => {
        await cancelUnlessOver(client, id).catch(() => {});
        return error;
      })
    : undefined;
  const followed = await showOutput(client, id, terminal, { json }).finally(() => over.abort());
  if (followed.kind !== 'ended') {
    // Whoever read our output has left: nobody wants the rest.
    await cancelUnlessOver(client, id);
    await client.get(id, { waitSeconds: 60 });
    return EXIT.brokenPipe;
  }
  const fault = await feeding;
  if (fault) throw new Error(`The input could not be passed on, so ${id} was canceled: ${fault.message}`);
  if (!json) tellEnd(followed.command, terminal);
  return exitCodeOf(followed.command);
};

const tellEnd = (command: CommandView, terminal: Terminal): void => {
  const words = explainEnd(command);
  if (words !== undefined) say(terminal, words);
};
