import { closeSync, fsync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

/** Makes what was committed last through a power failure. */
export interface SyncedLog {
  /** Resolves once all that was written to the log before this call is on the disk. @throws Error of the file system */
  synced(): Promise<void>;
  close(): void;
}

/**
 * Syncs SQLite's log beside the event loop: in SQLite itself (`synchronous = FULL`) a commit holds everything up until the disk
 * has answered. Whoever asks while a sync is under way shares the next one. SQLite takes no locks on this file, so that
 * it may be opened and closed here (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export const openSyncedLog = (databaseFile: string): SyncedLog => {
  if (databaseFile === ':memory:') return { synced: async () => {}, close: () => {} };
  const file = openSync(`${databaseFile}-wal`, 'r+');
  syncFolder(dirname(databaseFile));
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const syncNow = (): Promise<void> => {
    const done = new Promise<void>((resolve, reject) => {
      fsync(file, (error) => (error ? reject(error) : resolve()));
    });
    const over = (): void => {
      if (current === done) current = undefined;
    };
    current = done;
    done.then(over, over);
    return done;
  };
  const syncNext = async (before: Promise<void>): Promise<void> => {
    await before.catch(() => {});
    next = undefined;
    await syncNow();
  };
  return {
    synced() {
      if (!current) return syncNow();
      // One that has begun may have missed what was written since.
      next ??= syncNext(current);
      return next;
    },
    close: () => closeSync(file),
  };
};

/** So that the log itself is found again. */
const syncFolder = (path: string): void => {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
};
