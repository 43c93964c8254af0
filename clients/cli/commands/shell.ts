import type { Client } from '../../sdk/client.ts';
import type { TerminalEnd } from '../../sdk/terminal.ts';
import { type CommandOptions, toSubmission, UsageError } from '../arguments.ts';
import { resolveId } from '../command-id.ts';
import { type ConnectOptions, withServer } from '../connect.ts';
import { makeEscapeKeys } from '../escape-keys.ts';
import { EXIT, exitCodeOf, explainEnd } from '../exit-codes.ts';
import { say, type Terminal, write } from '../terminal.ts';

export interface ShellOptions extends CommandOptions, ConnectOptions {}

export interface AttachOptions extends ConnectOptions {
  /** What it has shown already is not shown again. */
  readonly noReplay?: boolean;
}

/** Nobody wants to be thrown out of a shell after an hour, as other commands are. */
const DEFAULT_TIMEOUT_SECONDS = 8 * 3_600;
/** The better one of those that are there. */
const EITHER_SHELL = 'command -v bash >/dev/null && exec bash; exec sh';

/** Runs a program, or a shell, on a terminal that is this one's, and resolves with its exit code; 0 after `~.`. */
export const shell = (argv: readonly string[], options: ShellOptions, terminal: Terminal): Promise<number> => {
  requireTty(terminal);
  return withServer(options, terminal, NEEDS_SERVER, async (client) => {
    const { shell: program, env, timeout = DEFAULT_TIMEOUT_SECONDS, ...others } = options;
    if (program !== undefined && argv.length > 0) throw new UsageError('Give a program after --, or a --shell.');
    const { TERM } = terminal.env;
    const given = { ...others, timeout, env: { ...(TERM ? { TERM } : {}), ...env } };
    const command = argv.length > 0 ? argv : program === undefined ? [] : [program];
    const submission = await toSubmission(command, given, terminal);
    const { id } = await client.submit({
      ...submission,
      ...(command.length > 0 ? {} : { script: EITHER_SHELL }),
      terminal: sizeOf(terminal.stdout),
    });
    return lookAt(client, id, 0, terminal);
  });
};

/** Looks at the terminal of a command again, and types. */
export const attach = (given: string, options: AttachOptions, terminal: Terminal): Promise<number> => {
  requireTty(terminal);
  return withServer(options, terminal, NEEDS_SERVER, async (client) =>
    lookAt(client, await resolveId(client, given), options.noReplay ? 'end' : 0, terminal),
  );
};

const requireTty = ({ stdin, stdout }: Terminal): void => {
  if (stdin.isTTY && stdout.isTTY) return;
  throw new UsageError('This needs a terminal for its input and output. For pipes and files: errand run.');
};

/** It is attached to by WebSocket, so this process cannot stand in for a server. */
const NEEDS_SERVER = 'Terminals are attached to at a server';

const sizeOf = ({ rows, columns }: Terminal['stdout']) => ({ rows: within(rows, 24), columns: within(columns, 80) });
/** Some terminals tell none, and the server takes no more than a thousand. */
const within = (cells: number | undefined, usual: number): number => Math.min(1_000, cells || usual);

const lookAt = async (client: Client, id: string, from: number | 'end', terminal: Terminal): Promise<number> => {
  const { stdin, stdout } = terminal;
  const leaving = new AbortController();
  let isBroken = false;
  const connection = client.terminal(id, {
    ...{ from, ...sizeOf(stdout), signal: leaving.signal },
    onBreak() {
      if (!isBroken) stdout.write('\r\nerrand: the connection broke; attaching again (~. to leave)\r\n');
      isBroken = true;
    },
  });
  const escapeKeys = makeEscapeKeys();
  const onTyped = (typed: Buffer): void => {
    const { bytes, detaches } = escapeKeys(typed);
    if (bytes.length > 0) void connection.send(bytes);
    if (detaches) leaving.abort();
  };
  const onResize = (): void => {
    const { rows, columns } = sizeOf(stdout);
    connection.resize(rows, columns);
  };
  const restore = (): void => {
    try {
      stdin.setRawMode(false);
    } catch {
      // The window is gone, and nobody is left to see it.
    }
  };
  let signaled: number | undefined;
  const leave =
    (code: number): (() => void) =>
    () => {
      signaled = code;
      leaving.abort();
    };
  const signals = { SIGINT: leave(EXIT.interrupted), SIGTERM: leave(143), SIGHUP: leave(129) } as const;
  let end: TerminalEnd | undefined;
  try {
    stdin.setRawMode(true);
    // However this process comes to its end, but for SIGKILL, the terminal is as it was.
    process.on('exit', restore);
    for (const [name, hear] of Object.entries(signals)) process.on(name, hear);
    stdout.on('resize', onResize);
    stdin.on('data', onTyped);
    for await (const bytes of connection) {
      isBroken = false;
      await write(stdout, bytes);
    }
    end = await connection.ended;
  } finally {
    leaving.abort();
    stdin.off('data', onTyped);
    stdin.pause();
    stdout.off('resize', onResize);
    for (const [name, hear] of Object.entries(signals)) process.off(name, hear);
    process.off('exit', restore);
    restore();
  }
  if (!end) {
    stdout.write('\r\n');
    say(terminal, `detached from ${id}, which goes on. Attach again: errand attach ${id}`);
    return signaled ?? 0;
  }
  const command = await client.get(id);
  const words = explainEnd(command);
  if (words !== undefined) say(terminal, words);
  return exitCodeOf(command);
};
