import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeDataFolder } from './durable-folders.ts';
import { isLocked, type ProcessLock, tryLock } from './process-lock.ts';

const SUFFIX = '.lock';

/** The locks that tell which workers of a data folder live: each holds one of its own, which the kernel frees with it. */
export interface WorkerLocks {
  /** @throws Error in words for a person */
  take(worker: string): ProcessLock;
  isAlive(worker: string): boolean;
  /** The workers that were killed, and whose locks are still there. */
  dead(): readonly string[];
  /** Removes the locks of workers that are dead. One that another process removes just now is left to it. */
  remove(workers: readonly string[]): void;
}

export const openWorkerLocks = (dataDirectory: string): WorkerLocks => {
  const folder = join(dataDirectory, 'workers');
  makeDataFolder(folder);
  const fileOf = (worker: string): string => join(folder, `${worker}${SUFFIX}`);
  const isAlive = (worker: string): boolean => isLocked(fileOf(worker));
  return {
    take(worker) {
      const lock = tryLock(fileOf(worker));
      if (!lock) throw new Error(`The lock ${fileOf(worker)} is taken, though its name is new. Is the disk shared?`);
      return lock;
    },
    isAlive,
    dead: () =>
      readdirSync(folder)
        .filter((name) => name.endsWith(SUFFIX))
        .map((name) => name.slice(0, -SUFFIX.length))
        .filter((worker) => !isAlive(worker)),
    remove(workers) {
      // While it is held, as only its holder may remove it: one that was just made looks like one whose holder is dead.
      for (const worker of workers) tryLock(fileOf(worker))?.release();
    },
  };
};
