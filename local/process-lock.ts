import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** A lock on a file that dies with its holder, however the holder dies. */
export interface ProcessLock {
  /** Leaves a note that others can read while the lock is held. Replaces an earlier one as a whole. */
  note(note: unknown): void;
  /** Twice is the same as once. */
  release(): void;
}

/** Keeps the locks of this process from the garbage collector, which would close them, and so release them. */
const held = new Set<DatabaseSync>();

/**
 * Takes the lock, or returns undefined when someone holds it, this process included.
 * Node has no flock(2), so the lock is SQLite's own: the kernel's, on a database that stays empty.
 * Nothing else may open the file: the kernel drops a process's locks on a file once the process closes it anywhere (fcntl(2)).
 * @throws Error in words for a person when the file cannot be made
 */
export const tryLock = (file: string): ProcessLock | undefined => {
  for (;;) {
    makeEmpty(file);
    const before = identityOf(file);
    // In memory, since a journal on disk would be left behind by a holder that is killed.
    const database = lock(file, 'PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE', false);
    if (database === 'missing') continue;
    if (database === 'busy') {
      // Perhaps by someone who only looks, and is done now.
      if (isLocked(file)) return undefined;
      continue;
    }
    // Released, and so removed, while this process was opening it: then it is not the file that others see.
    if (before === undefined || before !== identityOf(file)) {
      database.close();
      continue;
    }
    held.add(database);
    // Of a holder that was killed.
    for (const left of [noteFile(file), draftFile(file)]) rmSync(left, { force: true });
    return toLock(file, database);
  }
};

/** Whether someone, this process included, holds the lock. Leaves no trace. */
export const isLocked = (file: string): boolean => {
  // Shared, so that those who look do not take each other for a holder.
  const database = lock(file, 'BEGIN; SELECT count(*) FROM sqlite_schema', true);
  if (typeof database === 'string') return database === 'busy';
  database.close();
  return false;
};

/** What the holder left to be read; undefined when there is nothing. */
export const readNote = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(noteFile(file), 'utf8'));
  } catch {
    return undefined;
  }
};

const toLock = (file: string, database: DatabaseSync): ProcessLock => ({
  note(note) {
    // One name is enough, as only the holder writes it; the next holder writes over what a killed one left.
    const draft = draftFile(file);
    writeFileSync(draft, JSON.stringify(note), { mode: 0o600 });
    renameSync(draft, noteFile(file));
  },
  release() {
    if (!held.delete(database)) return;
    rmSync(noteFile(file), { force: true });
    // While the lock is still held, so that only its holder ever removes it.
    rmSync(file, { force: true });
    database.close();
  },
});

const noteFile = (file: string): string => `${file}.json`;
const draftFile = (file: string): string => `${file}.draft`;

const makeEmpty = (file: string): void => {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new Error(`The lock file ${file} cannot be made: ${(cause as Error).message}`, { cause });
  }
};

/** Tells a file from a later one at the same path, even one that was given the same inode. */
const identityOf = (file: string): string | undefined => {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.dev}/${stats.ino}/${stats.birthtimeNs}`;
};

/** SQLite's result codes (https://www.sqlite.org/rescode.html). */
const BUSY = 5;
const CANNOT_OPEN = 14;

/** A connection that holds the lock which `sql` takes. It does not wait for one. */
const lock = (file: string, sql: string, readOnly: boolean): DatabaseSync | 'busy' | 'missing' => {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0, readOnly });
    database.exec(sql);
    return database;
  } catch (cause) {
    database?.close();
    const { errcode } = cause as { errcode?: number };
    if (errcode === BUSY) return 'busy';
    if (errcode === CANNOT_OPEN && identityOf(file) === undefined) return 'missing';
    throw new Error(`The lock file ${file} cannot be used: ${(cause as Error).message}`, { cause });
  }
};
