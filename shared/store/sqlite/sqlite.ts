import { DatabaseSync } from 'node:sqlite';
import { AppError } from '../../domain/errors.ts';
import type { Item, Store, Write, Written } from '../store.ts';
import { MIGRATIONS } from './migrations.ts';
import { prepareStatements, type Statements } from './statements.ts';

export interface SqliteOptions {
  /** A path, or `:memory:`. */
  readonly file: string;
}

interface Pending {
  readonly writes: readonly Write[];
  readonly resolve: (written: Written) => void;
  readonly reject: (error: unknown) => void;
}

/** How long a write waits for another process that writes to the same file. */
const BUSY_MS = 5_000;

/**
 * The embedded store: one SQLite file, which several processes may open at once.
 * Every resolved write was synced (WAL, synchronous FULL). All writes that are asked for within one turn of the
 * event loop share one commit, since it is the sync that costs.
 * @throws Error in words for a person when the file cannot be opened
 */
export const sqliteStore = ({ file }: SqliteOptions): Store => {
  const { database, statements } = open(file);
  let pending: Pending[] = [];
  let committing: Promise<void> | undefined;
  let closed = false;

  const unavailable = (cause: unknown): AppError => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new AppError('unavailable', `The store ${file} cannot be used right now: ${reason}. ${advice(cause)}`, {
      cause,
    });
  };

  const whenOpen = <T>(read: () => T): T => {
    if (closed) throw new AppError('unavailable', `The store ${file} is closed.`);
    try {
      return read();
    } catch (error) {
      throw unavailable(error);
    }
  };

  const commit = (group: readonly Pending[]): void => {
    let outcomes: Written[];
    try {
      database.exec('BEGIN IMMEDIATE');
      outcomes = group.map(({ writes }) => applyAll(statements, writes));
      database.exec('COMMIT');
    } catch (error) {
      // A failed COMMIT may or may not have ended the transaction.
      if (database.isTransaction) database.exec('ROLLBACK');
      for (const { reject } of group) reject(unavailable(error));
      return;
    }
    for (const [i, { resolve }] of group.entries()) resolve(outcomes[i] as Written);
  };

  const commitSoon = async (): Promise<void> => {
    // One turn of the event loop: whoever else writes in it comes along.
    await new Promise((resolve) => setImmediate(resolve));
    const group = pending;
    pending = [];
    committing = undefined;
    commit(group);
  };

  return {
    async get({ pk, sk }) {
      return whenOpen(() => statements.get(pk, sk));
    },

    write(writes) {
      if (closed) return Promise.reject(new AppError('unavailable', `The store ${file} is closed.`));
      return new Promise((resolve, reject) => {
        pending.push({ writes, resolve, reject });
        committing ??= commitSoon();
      });
    },

    async query(pk, range) {
      return whenOpen(() => statements.query('key', pk, range));
    },

    async queryIndex(index, pk, range) {
      return whenOpen(() => statements.query(index, pk, range));
    },

    async removeExpired(now) {
      return whenOpen(() => statements.removeExpired(now));
    },

    async check() {
      // A write transaction that changes nothing finds a full or read-only disk only once it writes a page.
      return whenOpen(() => {
        database.exec('BEGIN IMMEDIATE');
        try {
          database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
        } finally {
          database.exec('COMMIT');
        }
      });
    },

    async close() {
      if (closed) return;
      closed = true;
      await committing;
      statements.release();
      database.close();
    },
  };
};

/** Applies one write set if all its conditions hold. The conditions first, so that a failed one leaves nothing behind. */
const applyAll = (statements: Statements, writes: readonly Write[]): Written => {
  for (const [index, write] of writes.entries()) {
    if ('remove' in write) continue;
    const { put, ifVersion } = write;
    if (statements.versionOf(put.pk, put.sk) === ifVersion) continue;
    return { ok: false, index, actual: statements.get(put.pk, put.sk) };
  }
  for (const write of writes) {
    if ('remove' in write) statements.remove(write.remove.pk, write.remove.sk);
    else statements.put(checked(write.put, write.ifVersion), write.ifVersion === 0);
  }
  return { ok: true };
};

const checked = (item: Item, ifVersion: number): Item => {
  if (item.version !== ifVersion + 1)
    throw new TypeError(`A write on version ${ifVersion} must make version ${ifVersion + 1}`);
  return item;
};

const open = (file: string): { database: DatabaseSync; statements: Statements } => {
  try {
    const database = new DatabaseSync(file, { timeout: BUSY_MS });
    // Pages in the WAL before a checkpoint: it runs on the event loop, so many small ones beat few large ones.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000');
    database.exec('PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF');
    migrate(database);
    return { database, statements: prepareStatements(database) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The store ${file} cannot be opened: ${reason}. ${advice(cause)}`, { cause });
  }
};

const migrate = (database: DatabaseSync): void => {
  const version = (): number =>
    (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
  if (version() === MIGRATIONS.length) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    // Read again: another process may have been faster.
    const from = version();
    if (from > MIGRATIONS.length) {
      throw new Error(`it was written by a newer release (format ${from}; this one knows ${MIGRATIONS.length})`);
    }
    for (const migration of MIGRATIONS.slice(from)) database.exec(migration);
    database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
};

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html), as far as a person can do something. */
const ADVICE: Readonly<Record<number, string>> = {
  5: 'Another process holds it; try again.',
  8: 'Make the folder and its files writable for this user.',
  10: 'The disk failed a read or write; look at the system log.',
  11: 'The file is damaged: put a backup in its place, or choose another folder with --data.',
  13: 'The disk is full: free some space; nothing that was acknowledged is lost.',
  14: 'Make the folder writable for this user, or choose another with --data.',
  26: 'The file is no database: choose another folder with --data.',
};

const advice = (error: unknown): string => {
  const code = (error as { errcode?: number }).errcode;
  return (
    (code !== undefined && ADVICE[code & 0xff]) ||
    'Nothing was stored; try again, or choose another folder with --data.'
  );
};
