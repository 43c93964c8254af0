import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and those above it that are missing, for this user alone, and makes their names last through a power failure:
 * what is synced within a folder is lost with a folder that is not found again.
 * @throws Error in words for a person
 */
export const makeDataFolder = (path: string): void => {
  const folder = resolve(path);
  try {
    const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let above = folder; above !== dirname(first); ) {
      above = dirname(above);
      syncFolder(above);
    }
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`The data folder ${path} cannot be made: ${message}. Choose another with --data.`, { cause });
  }
};

/** A name is durable only once its folder is. */
export const syncFolder = (path: string): void => {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
};
