import { execFile } from 'node:child_process';
import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Makes a command's folder, empty and for this user alone.
 * @throws Error of the file system
 */
export const makeWorkDirectory = (path: string): void => {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Left by a server that was killed, or put there by someone: the command gets one of its own.
    else if (code === 'EEXIST') rmSync(path, { recursive: true, force: true });
    else throw error;
    mkdirSync(path, { mode: 0o700 });
  }
};

/**
 * Removes a command's folder with all in it. Follows no symbolic link. What the command made unreadable is made
 * readable first. What cannot be removed stays: it is no reason to fail the command.
 */
export const removeWorkDirectory = async (path: string): Promise<void> => {
  try {
    // Most are empty, and this is one call where the others are dozens.
    rmdirSync(path);
    return;
  } catch {
    // Not empty, or not there.
  }
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await openUp(path).catch(() => {});
    await rm(path, { recursive: true, force: true }).catch(() => removeDeep(path));
  }
};

/** Folders that their owner may not write to, such as those of Go's module cache, keep what is in them. */
const openUp = async (path: string): Promise<void> => {
  if (!(await lstat(path)).isDirectory()) return;
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(path, entry.name));
  }
};

const run = promisify(execFile);

/** Paths longer than the system takes in one call: rm(1) goes from folder to folder. */
const removeDeep = async (path: string): Promise<void> => {
  await run('rm', ['-rf', '--', path]).catch(() => {});
};
