import { LIMITS } from '../../../shared/domain/limits.ts';
import { cancelUnlessOver } from '../../sdk/cancel-unless-over.ts';
import type { Client } from '../../sdk/client.ts';
import type { NewSession, Session, SessionCommand } from '../../sdk/sessions.ts';
import { readPiped, readScript, UsageError } from '../arguments.ts';
import { idByName } from '../by-name.ts';
import { type ConnectOptions, withServer } from '../connect.ts';
import { EXIT, exitCodeOf, explainEnd } from '../exit-codes.ts';
import { showOutput } from '../follow.ts';
import { watchInterrupts } from '../interrupts.ts';
import { ago, table } from '../render.ts';
import { until } from '../schedule-words.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface SessionOptions extends ConnectOptions {
  readonly json?: boolean;
}

export interface StartOptions extends SessionOptions {
  readonly on?: string;
  readonly shell?: NewSession['shell'];
  readonly name?: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly label?: Record<string, string>;
  readonly isolation?: NewSession['isolation'];
  readonly idle?: number;
  readonly maxLife?: number;
}

export interface ExecOptions extends SessionOptions {
  readonly script?: string;
  readonly input?: boolean;
  readonly timeout?: number;
  readonly label?: Record<string, string>;
}

/** Prints its id alone. */
export const startSession = (options: StartOptions, terminal: Terminal): Promise<number> =>
  withServer(options, terminal, NEEDS_SERVER, async (client) => {
    const { on, shell, name, env, cwd, label, isolation, idle, maxLife } = options;
    const session = await client.startSession(
      given({
        ...{ target: on, shell, name, env, cwd, labels: label, isolation },
        ...{ idleSeconds: idle, maxLifeSeconds: maxLife },
      }),
    );
    await write(terminal.stdout, options.json ? `${JSON.stringify(session)}\n` : `${session.id}\n`);
    return 0;
  });

/** Resolves with the script's exit code. */
export const execInSession = async (
  session: string,
  text: string | undefined,
  options: ExecOptions,
  terminal: Terminal,
): Promise<number> => {
  if ((text === undefined) === (options.script === undefined))
    throw new UsageError("Give a script as text, such as 'cd /srv && ls', or a file by --script.");
  if (options.script === '-' && options.input) throw new UsageError('stdin is the script or its input, not both.');
  const script = text ?? (await readScript(options.script ?? '', terminal));
  const input = options.input ? await readPiped(terminal.stdin, LIMITS.bodyBytes) : undefined;
  const { timeout, label } = options;
  const command: SessionCommand = {
    script,
    ...given({ timeoutSeconds: timeout, labels: label, stdinBase64: input?.toString('base64') }),
  };
  const interrupts = watchInterrupts(terminal);
  try {
    return await withServer(options, terminal, NEEDS_SERVER, async (client) => {
      const id = await resolve(client, session);
      const submitted = await client.submitToSession(id, command, { signal: interrupts.submitting });
      interrupts.cancels(submitted.id, () => cancelUnlessOver(client, submitted.id));
      const followed = await showOutput(client, submitted.id, terminal, { json: options.json });
      if (followed.kind !== 'ended') {
        await cancelUnlessOver(client, submitted.id);
        return EXIT.brokenPipe;
      }
      const words = options.json ? undefined : explainEnd(followed.command);
      if (words !== undefined) say(terminal, words);
      return exitCodeOf(followed.command);
    });
  } finally {
    interrupts.stop();
  }
};

export const listSessions = (
  options: SessionOptions & { readonly all?: boolean },
  terminal: Terminal,
): Promise<number> =>
  withServer(options, terminal, NEEDS_SERVER, async (client) => {
    const found: Session[] = [];
    for await (const session of client.listSessions()) {
      if (options.all || session.state !== 'ended') found.push(session);
    }
    if (options.json) {
      for (const session of found) await write(terminal.stdout, `${JSON.stringify(session)}\n`);
      return 0;
    }
    const rows = found
      .toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
      .map(({ id, name, state, reason, target, shell, lastUsedAt, expiresAt, running }) => [
        ...[id, plain(name), reason ?? (running ? 'running' : state), plain(target), shell],
        ...[ago(lastUsedAt), expiresAt === null ? '-' : until(expiresAt)],
      ]);
    await write(terminal.stdout, table(['ID', 'NAME', 'STATE', 'TARGET', 'SHELL', 'USED', 'ENDS'], rows));
    return 0;
  });

export const showSession = (session: string, options: SessionOptions, terminal: Terminal): Promise<number> =>
  withServer(options, terminal, NEEDS_SERVER, async (client) => {
    const found = await client.getSession(await resolve(client, session));
    await write(terminal.stdout, options.json ? `${JSON.stringify(found)}\n` : toText(found));
    return 0;
  });

/** One after the other. */
export const endSessions = (
  sessions: readonly string[],
  options: SessionOptions,
  terminal: Terminal,
): Promise<number> =>
  withServer(options, terminal, NEEDS_SERVER, async (client) => {
    for (const session of sessions) {
      const ended = await client.endSession(await resolve(client, session));
      if (options.json) await write(terminal.stdout, `${JSON.stringify(ended)}\n`);
    }
    return 0;
  });

const toText = (session: Session): string => {
  const { id, name, state, reason, detail, target, shell, isolation, cwd, member, running, waiting } = session;
  const facts: readonly (readonly [string, string])[] = [
    ['id', id],
    ['name', plain(name) || '-'],
    ['state', reason === null ? state : `${state}: ${reason}`],
    ...(detail === null ? [] : [['why', plain(detail)] as const]),
    ['target', plain(target)],
    ['shell', shell],
    ['isolation', isolation],
    ['began in', plain(cwd ?? 'a folder of its own')],
    ['member', member],
    ['running', running ?? '-'],
    ['waiting', String(waiting)],
    ['used', ago(session.lastUsedAt)],
    ['ends', session.expiresAt === null ? '-' : until(session.expiresAt)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  return facts.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`).join('');
};

/** By its name too, where no other that has not ended has it. */
const resolve = (client: Client, session: string): Promise<string> =>
  idByName(session, { word: 'session', prefix: 'ses_' }, goingOn(client));

async function* goingOn(client: Client) {
  for await (const session of client.listSessions()) if (session.state !== 'ended') yield session;
}

/** A session is in the memory of a server, so this process cannot stand in for one. */
const NEEDS_SERVER = 'Sessions live in a server';

const given = <T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
