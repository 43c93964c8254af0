import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** A lock on a file that dies with its holder, however the holder dies. */
export interface ProcessLock {
  /** Leaves a note that others can read while the lock is held. Replaces an earlier one as a whole. */
  note(note: unknown): void;
  release(): void;
}

/** Locks held by this process: the kernel does not tell a process of its own locks. */
const held = new Set<string>();

/**
 * Takes the lock, or returns undefined when someone holds it.
 * Node has no flock(2), so the lock is SQLite's own: the kernel's, on a database file that holds nothing.
 * @throws Error when the file cannot be made
 */
export const tryLock = (file: string): ProcessLock | undefined => {
  if (held.has(file)) return undefined;
  const database = acquire(file);
  if (!database) return undefined;
  held.add(file);
  return {
    note(note) {
      const draft = `${noteFile(file)}.${process.pid}`;
      writeFileSync(draft, JSON.stringify(note), { mode: 0o600 });
      renameSync(draft, noteFile(file));
    },
    release() {
      if (!held.delete(file)) return;
      rmSync(noteFile(file), { force: true });
      // The file goes while the lock is still held: whoever makes it anew holds another file, not a shared one.
      rmSync(file, { force: true });
      database.close();
    },
  };
};

/** Whether someone, this process included, holds the lock. */
export const isLocked = (file: string): boolean => {
  if (held.has(file)) return true;
  if (!existsSync(file)) return false;
  const database = acquire(file);
  if (!database) return true;
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

const noteFile = (file: string): string => `${file}.json`;

/** SQLITE_BUSY: someone else holds it. */
const BUSY = 5;

const acquire = (file: string): DatabaseSync | undefined => {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // In memory, the rollback journal is no second file to be left behind.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === BUSY) return undefined;
    throw error;
  }
};
