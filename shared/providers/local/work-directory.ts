import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Removes a command's folder with all in it. Follows no symbolic link. What the command made unreadable is made
 * readable first. What cannot be removed stays: it is no reason to fail the command.
 */
export const removeWorkDirectory = async (path: string): Promise<void> => {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await openUp(path).catch(() => {});
    await rm(path, { recursive: true, force: true }).catch(() => {});
  }
};

const openUp = async (path: string): Promise<void> => {
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(path, entry.name));
  }
};
