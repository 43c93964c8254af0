import { closeSync, fsync, fsyncSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreUnusable } from './failures.ts';

/** Makes what was committed last through a power failure. */
export interface SyncedLog {
  /**
   * Resolves once all that was written to the log before this call is on the disk, and found again by its name.
   * @throws StoreUnusable when that cannot be had any more
   */
  synced(): Promise<void>;
  /** @throws StoreUnusable once a sync has failed: what would be written now could not last */
  assertUsable(): void;
  close(): void;
}

/**
 * Syncs SQLite's log beside the event loop: in SQLite itself (`synchronous = FULL`) a commit holds everything up until the disk
 * has answered. Whoever asks while a sync is under way shares the next one. SQLite takes no locks on this file, so that
 * it may be opened and closed here (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export const openSyncedLog = (databaseFile: string): SyncedLog => {
  if (databaseFile === ':memory:') return { synced: async () => {}, assertUsable: () => {}, close: () => {} };
  const file = openSync(`${databaseFile}-wal`, 'r+');
  syncFolder(dirname(databaseFile));
  const paths = [databaseFile, `${databaseFile}-wal`];
  const identities = paths.map(identityOf);
  let unusable: StoreUnusable | undefined;
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  /** For good: the kernel tells of a page that it could not write once, and takes it for written afterwards. */
  const outcome = (error: Error | null): StoreUnusable | undefined => {
    if (error) unusable = new StoreUnusable('not-synced', { cause: error });
    else if (paths.some((path, i) => identityOf(path) !== identities[i])) unusable = new StoreUnusable('moved');
    return unusable;
  };
  const syncNow = (): Promise<void> => {
    const done = new Promise<void>((resolve, reject) => {
      fsync(file, (error) => {
        const failure = outcome(error);
        if (failure) reject(failure);
        else resolve();
      });
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
      if (unusable) return Promise.reject(unusable);
      if (!current) return syncNow();
      // One that has begun may have missed what was written since.
      next ??= syncNext(current);
      return next;
    },
    assertUsable() {
      if (unusable) throw unusable;
    },
    close: () => closeSync(file),
  };
};

/** Undefined when nothing is there. */
const identityOf = (path: string): string | undefined => {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.dev}/${stats.ino}`;
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
