import { closeSync, openSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StoreUnusable, toOpenError } from './failures.ts';
import { MIGRATIONS } from './migrations.ts';

/** While opening, nothing else waits for this process, so it may block for another one that migrates the file. */
const OPEN_BUSY_MS = 5_000;
/** Afterwards SQLite blocks the event loop for so long at most; another process's commit is over by then. */
const BUSY_MS = 10;

/** Marks a SQLite file as ours, in its header: `ERND`. */
const APPLICATION_ID = 0x45524e44;

/**
 * `synchronous = NORMAL`: the order of what reaches the disk is kept, so that a power failure harms nothing; that a commit lasts
 * through one is up to synced-log.ts. `fullfsync`: also past the disk's own cache on macOS.
 */
const SETTINGS = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA fullfsync = ON;
  PRAGMA checkpoint_fullfsync = ON;
  PRAGMA trusted_schema = OFF;
  -- Pages in the log before they are moved into the file, on the event loop: 4 MiB take about 6 ms. A quarter of that
  -- pauses for 3 ms and costs a third more CPU in all; four times as much pauses for 20 ms and saves nothing.
  PRAGMA wal_autocheckpoint = 1000;
  -- A log that grew under a slow reader shrinks again to so many bytes.
  PRAGMA journal_size_limit = 67108864;
`;

/** What is known of the file from before. */
export interface Past {
  /** Whether a file that is missing or empty is made, or is a loss that must be told. */
  readonly mayBeMade: boolean;
  /**
   * Whether a process that wrote to it was killed: then what it wrote and did not sync is moved into the file, and synced,
   * before anybody is shown it.
   */
  readonly wasKilled: boolean;
}

/**
 * Opens the file, made new if need be and allowed (readable by its owner only), with the schema of this release.
 * @throws Error in words for a person
 */
export const openDatabase = (file: string, { mayBeMade, wasKilled }: Past): DatabaseSync => {
  let database: DatabaseSync | undefined;
  try {
    assertKept(file, mayBeMade);
    makePrivately(file);
    database = new DatabaseSync(file, { timeout: OPEN_BUSY_MS });
    checkOwner(database);
    database.exec(SETTINGS);
    migrate(database);
    if (wasKilled) database.exec('PRAGMA wal_checkpoint');
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    return database;
  } catch (error) {
    database?.close();
    throw toOpenError(file, error);
  }
};

/** Makes the file's content say again whose it is: a write that changes nothing, and needs all that a write needs. */
export const touch = (database: DatabaseSync): void => database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);

/** SQLite takes an empty file for a new database, and throws the log away that lies beside it. */
const assertKept = (file: string, mayBeMade: boolean): void => {
  const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (file === ':memory:' || sizeOf(file) > 0) return;
  if (mayBeMade && sizeOf(`${file}-wal`) === 0) return;
  throw new StoreUnusable('missing');
};

/**
 * SQLite itself would make it readable by everybody; its log takes the file's mode.
 * Only ever a new file: closing an existing one would drop the locks that this process holds on it (fcntl(2)).
 */
const makePrivately = (file: string): void => {
  if (file === ':memory:') return;
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch {
    // It is there, or cannot be made: SQLite will tell.
  }
};

/** For whoever only reads it. @throws Error when it is not ours, or of a newer release */
export const checkFormat = (database: DatabaseSync): void => {
  if (readNumber(database, 'application_id') !== APPLICATION_ID)
    throw new Error('it is the database of another program');
  checkRelease(readNumber(database, 'user_version'));
};

/** Before anything is changed in it. In this order, since another process may be making it ours in between. */
const checkOwner = (database: DatabaseSync): void => {
  const isEmpty = readNumber(database, 'schema_version') === 0;
  if (isEmpty || readNumber(database, 'application_id') === APPLICATION_ID) return;
  throw new Error('it is the database of another program');
};

const migrate = (database: DatabaseSync): void => {
  // Also finds out whether the file can be written to, and waits for another process that migrates it.
  database.exec('BEGIN IMMEDIATE');
  try {
    const from = readNumber(database, 'user_version');
    checkRelease(from);
    if (from < MIGRATIONS.length) {
      touch(database);
      for (const migration of MIGRATIONS.slice(from)) database.exec(migration);
      database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    }
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
};

const checkRelease = (format: number): void => {
  if (format <= MIGRATIONS.length) return;
  throw new Error(`it was written by a newer release (format ${format}; this one knows ${MIGRATIONS.length})`);
};

const readNumber = (database: DatabaseSync, pragma: 'application_id' | 'schema_version' | 'user_version'): number =>
  Number(database.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
