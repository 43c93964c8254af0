import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { AuditRecord, Checkpoints } from '../../sdk/audit.ts';
import { UsageError } from '../arguments.ts';
import { type ConnectOptions, connect, withConnection } from '../connect.ts';
import { type LogLine, verifyLog } from '../embedded.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../render.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface AuditOptions extends ConnectOptions {
  readonly type?: string;
  readonly actor?: string;
  readonly subject?: string;
  readonly limit?: number;
  readonly from?: number;
  readonly json?: boolean;
}

export interface VerifyOptions extends ConnectOptions {
  /** The installation's public key, as `audit checkpoint` prints it. */
  readonly key?: string;
  /** A file with what `audit checkpoint` printed before. */
  readonly checkpoint?: string;
  readonly json?: boolean;
}

/** They run nothing, so a process of their own starts no work. */
const OFFLINE = { work: false } as const;
const DEFAULT_LIMIT = 50;

/** Lists what was done and decided, newest first. */
export const listAudit = async (options: AuditOptions, terminal: Terminal): Promise<number> => {
  const { type, actor, subject, limit = DEFAULT_LIMIT } = options;
  return withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const records: AuditRecord[] = [];
    for await (const record of client.readAudit({ type, actor, subject, limit })) records.push(record);
    if (options.json) {
      for (const record of records) await write(terminal.stdout, `${JSON.stringify(record)}\n`);
      return 0;
    }
    const rows = records.map(({ entry }) => [
      String(entry.sequence),
      entry.at,
      plain(entry.actor.id),
      entry.type,
      plain(entry.subject),
      plain(summaryOf(entry.details)),
    ]);
    await write(terminal.stdout, table(['ENTRY', 'AT', 'ACTOR', 'TYPE', 'SUBJECT', 'DETAILS'], rows));
    return 0;
  });
};

/** What fits beside the rest: hashes are for machines. */
const summaryOf = (details: Readonly<Record<string, unknown>>): string =>
  Object.entries(details)
    .filter(([name]) => !name.endsWith('Hash'))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');

/** Writes the whole log to stdout, with its checkpoints. */
export const exportAudit = (options: AuditOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    for await (const text of client.exportAudit(options.from)) await write(terminal.stdout, text);
    return 0;
  });

/** Prints the last checkpoint and the public key, to be kept elsewhere. */
export const printCheckpoint = (options: AuditOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    await write(terminal.stdout, `${JSON.stringify(await client.readCheckpoints(1))}\n`);
    return 0;
  });

/** Prints a signed statement of how a command ended. */
export const printReceipt = (id: string, options: ConnectOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    await write(terminal.stdout, `${JSON.stringify(await client.readReceipt(id))}\n`);
    return 0;
  });

/**
 * Verifies an exported log without asking anyone, or the server's log as it comes from there. What was kept of it before is what
 * an answer can be trusted by: the key, and a checkpoint.
 */
export const verifyAudit = async (
  file: string | undefined,
  options: VerifyOptions,
  terminal: Terminal,
): Promise<number> => {
  const kept = options.checkpoint === undefined ? undefined : await readCheckpoints(options.checkpoint);
  const connection = file === undefined ? await connect({ ...options, ...OFFLINE }, terminal) : undefined;
  try {
    const now = connection && (await connection.client.readCheckpoints(1));
    const publicKey = options.key ?? kept?.publicKey ?? now?.publicKey;
    if (publicKey === undefined) {
      throw new UsageError('Say by which key: --key, or --checkpoint with what errand audit checkpoint printed.');
    }
    const lines = connection ? linesOf(connection.client.exportAudit()) : linesOf(chunksOf(file as string));
    const checkpoints = [...(kept?.items ?? []), ...(now?.items ?? [])];
    const verdict = await verifyLog(lines, { publicKey, kept: checkpoints });
    if (verdict.intact && !options.key && !kept) {
      say(terminal, 'nothing was kept of this log before, so it is held against the server’s own word alone');
    }
    await write(terminal.stdout, options.json ? `${JSON.stringify({ ...verdict, publicKey })}\n` : toText(verdict));
    return verdict.intact ? 0 : EXIT.denied;
  } finally {
    await connection?.close();
  }
};

const toText = ({ intact, entries, checkpoints, fault }: Awaited<ReturnType<typeof verifyLog>>): string =>
  intact
    ? `intact: ${entries} entries, ${checkpoints} checkpoints\n`
    : `NOT INTACT at entry ${fault?.sequence} (line ${fault?.line}): ${plain(fault?.detail ?? '')}; ${entries} before it are as they were\n`;

const readCheckpoints = async (file: string): Promise<Checkpoints> => {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`The file ${file} cannot be read: ${cause.message}.`, { cause });
  });
  try {
    const kept = JSON.parse(text) as Checkpoints;
    if (Array.isArray(kept.items) && typeof kept.publicKey === 'string') return kept;
  } catch {
    // As below.
  }
  throw new UsageError(`${file} is not what errand audit checkpoint prints.`);
};

async function* chunksOf(file: string): AsyncGenerator<string> {
  yield* createReadStream(file, 'utf8');
}

async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<LogLine> {
  let number = 0;
  for await (const text of splitLines(chunks)) {
    number++;
    let line: LogLine;
    try {
      line = JSON.parse(text) as LogLine;
    } catch {
      throw new Error(`Line ${number} is not JSON: this is not what errand audit export writes, or it was damaged.`);
    }
    yield line;
  }
}

async function* splitLines(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
