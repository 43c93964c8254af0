import { LIMITS } from '../../../shared/domain/limits.ts';
import { asksForWalls, type CommandOptions, toSubmission, toWholeSubmission } from '../arguments.ts';
import { resolveId } from '../command-id.ts';
import { type ConnectOptions, connect } from '../connect.ts';
import { hasStdin } from '../stdin-feed.ts';
import { say, type Terminal, write } from '../terminal.ts';

export interface SubmitOptions extends CommandOptions, ConnectOptions {
  readonly json?: boolean;
  /** False with --no-stdin. */
  readonly stdin?: boolean;
}

/** Submits and prints the id alone. */
export const submit = async (argv: readonly string[], options: SubmitOptions, terminal: Terminal): Promise<number> => {
  const submission = await toWholeSubmission(argv, options, terminal);
  const { script, stdin = true } = options;
  const wantsStdin = stdin && script !== '-' && hasStdin(terminal, { interactive: false });
  const stdinBase64 = wantsStdin ? await readAll(terminal) : undefined;
  const connection = await connect({ ...options, ...OFFLINE, trySandbox: asksForWalls(options) }, terminal);
  try {
    const command = await connection.client.submit({ ...submission, ...(stdinBase64 ? { stdinBase64 } : {}) });
    await write(terminal.stdout, options.json ? `${JSON.stringify(command)}\n` : `${command.id}\n`);
    if (connection.embedded) tellToServe(terminal, options);
    return 0;
  } finally {
    await connection.close();
  }
};

/** Submits the same again and prints the new id. */
export const replay = async (
  given: string,
  argv: readonly string[],
  options: SubmitOptions,
  terminal: Terminal,
): Promise<number> => {
  const changes = await toSubmission(argv, options, terminal);
  // What is replayed may have asked for it.
  const connection = await connect({ ...options, ...OFFLINE, trySandbox: true }, terminal);
  try {
    const command = await connection.client.replay(await resolveId(connection.client, given), changes);
    if (command.stdin === 'open') {
      // Nobody would feed it, and it might wait for ever.
      await connection.client.endStdin(command.id);
      say(terminal, 'the input of the first run is not repeated: this one gets none');
    }
    await write(terminal.stdout, options.json ? `${JSON.stringify(command)}\n` : `${command.id}\n`);
    if (connection.embedded) tellToServe(terminal, options);
    return 0;
  } finally {
    await connection.close();
  }
};

/** This process ends before the command would, so it only stores it. */
const OFFLINE = { work: false } as const;

const tellToServe = (terminal: Terminal, { data }: ConnectOptions): void =>
  say(
    terminal,
    `stored; no server runs here, so it starts with the next \`errand serve${data ? ` --data ${data}` : ''}\``,
  );

const readAll = async ({ stdin }: Pick<Terminal, 'stdin'>): Promise<string> => {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stdin) {
    pieces.push(piece as Buffer);
    length += (piece as Buffer).length;
    if (length > LIMITS.bodyBytes) {
      throw new Error(
        `submit takes at most ${LIMITS.bodyBytes} bytes of input. Use \`errand run\`, which passes any amount on.`,
      );
    }
  }
  return Buffer.concat(pieces).toString('base64');
};
