import { readFile } from 'node:fs/promises';
import { LIMITS } from '../../../shared/domain/limits.ts';
import type { Secret } from '../../sdk/secrets.ts';
import { readPiped, UsageError } from '../arguments.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { ago, table } from '../render.ts';
import { say, type Terminal, write } from '../terminal.ts';

export interface SecretOptions extends ConnectOptions {
  readonly fromFile?: string;
  readonly json?: boolean;
}

/** They run nothing, so a process of their own starts no work. */
const OFFLINE = { work: false } as const;

/** Stores a secret from a file or stdin. Its value is on no command line, where others could see it. */
export const setSecret = async (name: string, options: SecretOptions, terminal: Terminal): Promise<number> => {
  const { fromFile, json } = options;
  const bytes = fromFile === undefined ? await readStdin(terminal) : await readWhole(fromFile);
  return withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const stored = await client.putSecret(name, bytes);
    for (const warning of stored.warnings) say(terminal, warning);
    await write(terminal.stdout, json ? `${JSON.stringify(stored)}\n` : `${stored.name} version ${stored.version}\n`);
    return 0;
  });
};

/** Lists secrets by name. */
export const listSecrets = (options: SecretOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const secrets: Secret[] = [];
    for await (const secret of client.listSecrets()) secrets.push(secret);
    if (options.json) {
      for (const secret of secrets) await write(terminal.stdout, `${JSON.stringify(secret)}\n`);
      return 0;
    }
    const rows = secrets.map(({ name, version, bytes, updatedAt, updatedBy }) => [
      name,
      String(version),
      String(bytes),
      ago(updatedAt),
      updatedBy,
    ]);
    await write(terminal.stdout, table(['NAME', 'VERSION', 'BYTES', 'UPDATED', 'BY'], rows));
    return 0;
  });

/** Removes secrets. One that is not there is fine. */
export const removeSecrets = (names: readonly string[], options: SecretOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    for (const name of names) await client.removeSecret(name);
    return 0;
  });

const readWhole = (path: string): Promise<Buffer> =>
  readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'no such file' : cause.message;
    throw new Error(`The file ${path} cannot be read: ${why}.`, { cause });
  });

/** Less the line break at the end, which echo and editors put there. */
const readStdin = async ({ stdin }: Pick<Terminal, 'stdin'>): Promise<Buffer> => {
  // It would be shown while it is typed.
  if (stdin.isTTY) throw new UsageError('Pipe the value in, or name its file with --from-file.');
  const bytes = await readPiped(stdin, LIMITS.secretBytes + 2);
  const breakBytes = /\r?\n$/.exec(bytes.toString('latin1'))?.[0].length ?? 0;
  return bytes.subarray(0, bytes.length - breakBytes);
};
