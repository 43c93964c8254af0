import { setTimeout as wait } from 'node:timers/promises';
import { AppError } from '../../domain/errors.ts';
import { assertWrites, type Store, type Written } from '../store.ts';
import { isBusy, toUnavailable } from './failures.ts';
import { openDatabase, type Past, touch } from './open-database.ts';
import { type PreparedWrite, prepareStatements, prepareWrite } from './statements.ts';
import { openSyncedLog } from './synced-log.ts';

export interface SqliteOptions extends Partial<Past> {
  /** A path, or `:memory:`. */
  readonly file: string;
  /** How long a call waits, about, for another process that has the file locked. @default 5000 */
  readonly busyMs?: number;
}

interface Pending {
  readonly writes: readonly PreparedWrite[];
  readonly resolve: (written: Written) => void;
  readonly reject: (error: unknown) => void;
}

/** Between two tries while another process is in the way. */
const BUSY_PAUSE_MS = 20;
/** Write sets in one commit, about 3 ms of work: the event loop should not stand still for longer. */
const MOST_PER_COMMIT = 128;
const MOST_PER_REMOVAL = 500;

/**
 * The embedded store: one SQLite file, which several processes may open at once.
 * Every resolved write was synced, and so was what a read of a partition shows of this process's writes. All writes that
 * are asked for within one turn of the event loop share one commit, since it is the sync that costs; each keeps its own conditions.
 * @throws Error in words for a person when the file cannot be opened
 */
export const sqliteStore = (options: SqliteOptions): Store => {
  const { file, busyMs = 5_000, mayBeMade = true, wasKilled = false } = options;
  const database = openDatabase(file, { mayBeMade, wasKilled });
  const statements = prepareStatements(database);
  const log = openSyncedLog(file);
  const syncing = new Set<Promise<void>>();
  /** By partition: what was written there, and may still be taken back by a power failure. */
  const unsynced = new Map<string, Promise<void>>();
  const pending: Pending[] = [];
  let committing: Promise<void> | undefined;
  let closing: Promise<void> | undefined;

  const assertOpen = (): void => {
    if (closing) throw new AppError('unavailable', `The store ${file} is closed.`);
  };

  /**
   * Does `work`, again and again while another process is in the way.
   * In real time, not the Clock's: no test moves the time of another process.
   */
  const whenFree = async <T>(work: () => T): Promise<T> => {
    for (let waitedMs = 0; ; waitedMs += BUSY_PAUSE_MS) {
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || waitedMs >= busyMs) throw toUnavailable(file, error);
      }
      await wait(BUSY_PAUSE_MS);
    }
  };

  const call = async <T>(work: () => T): Promise<T> => {
    assertOpen();
    return whenFree(work);
  };

  /** What it shows must not be gone after a power failure: whoever was told that a command has ended counts on it. */
  const read = async <T>(partitions: readonly string[], work: () => T): Promise<T> => {
    const found = await call(work);
    for (const pk of partitions) {
      await unsynced.get(pk)?.catch((error: unknown) => Promise.reject(toUnavailable(file, error)));
    }
    return found;
  };

  const transaction = <T>(work: () => T): T => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      // Some failures end the transaction by themselves (https://www.sqlite.org/lang_transaction.html).
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };

  /** The next group is committed meanwhile. */
  const tellOnceSynced = (group: readonly Pending[], outcomes: readonly Written[]): void => {
    const synced = log.synced();
    const partitions = new Set(group.flatMap(({ writes }, i) => (outcomes[i]?.ok ? writes.map(({ pk }) => pk) : [])));
    for (const pk of partitions) unsynced.set(pk, synced);
    const told = synced.then(
      () => {
        for (const [i, { resolve }] of group.entries()) resolve(outcomes[i] as Written);
      },
      (error: unknown) => {
        for (const { reject } of group) reject(toUnavailable(file, error));
      },
    );
    syncing.add(told);
    void told.then(() => syncing.delete(told));
    // What could not be synced stays: nobody is ever shown it, the one who tries again included.
    synced.then(
      () => {
        for (const pk of partitions) if (unsynced.get(pk) === synced) unsynced.delete(pk);
      },
      () => {},
    );
  };

  const commit = async (group: readonly Pending[]): Promise<void> => {
    try {
      const outcomes = await whenFree(() => {
        log.assertUsable();
        return transaction(() => group.map(({ writes }) => statements.apply(writes)));
      });
      tellOnceSynced(group, outcomes);
    } catch (error) {
      // What one of them cannot have, such as much room on a full disk, must not keep the others from theirs.
      if (group.length > 1 && !isBusy((error as AppError).cause)) for (const one of group) await commit([one]);
      else for (const { reject } of group) reject(error);
    }
  };

  const commitAll = async (): Promise<void> => {
    while (pending.length > 0) {
      // One turn of the event loop: whoever else writes in it comes along.
      await new Promise((resolve) => setImmediate(resolve));
      await commit(pending.splice(0, MOST_PER_COMMIT));
    }
    committing = undefined;
  };

  return {
    atomicWrites: 'free',
    async write(writes) {
      assertWrites(writes);
      const prepared = writes.map(prepareWrite);
      assertOpen();
      return new Promise((resolve, reject) => {
        pending.push({ writes: prepared, resolve, reject });
        committing ??= commitAll();
      });
    },

    get: ({ pk, sk }) => read([pk], () => statements.get(pk, sk)),

    query: (pk, range) => read([pk], () => statements.query(pk, range)),

    queryIndex: (index, pk, range) => call(() => statements.queryIndex(index, pk, range)),
    getAll: (keys) =>
      read(
        keys.map(({ pk }) => pk),
        () => keys.map(({ pk, sk }) => statements.get(pk, sk)),
      ),

    async removeExpired(now) {
      // Some at a time, so that a backlog of them stops nobody.
      while ((await call(() => statements.removeExpired(now, MOST_PER_REMOVAL))) === MOST_PER_REMOVAL) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },

    async check() {
      await call(() => transaction(() => touch(database)));
      await log.synced().catch((error: unknown) => Promise.reject(toUnavailable(file, error)));
    },

    close() {
      closing ??= (async () => {
        await committing;
        await Promise.all(syncing);
        log.close();
        // The last one to close moves the whole log into the file.
        database.close();
      })();
      return closing;
    },
  };
};
