import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Isolation } from '../../domain/command.ts';
import type { AttemptKey } from '../../domain/ids.ts';

const PIPES = '.pipes';

/** Where the folders of runs lie. */
export interface WorkPlaces {
  /** For what the server and a warm shell pass to each other; beside the folder that is the shell's. @throws Error as `folderOf` */
  pipesOf(key: AttemptKey, isolation: Isolation): string;
  /** @throws Error when there can be no place for it */
  folderOf(key: AttemptKey, isolation: Isolation): string;
  /** Each one that a run may have. */
  foldersOf(key: AttemptKey): readonly string[];
}

/**
 * A command with a user of its own could not pass through `workDirectory`, which lies in a folder of the server's alone. Its
 * folder lies in the system's temporary one, below a folder that all may pass through, and only this user may write to.
 */
export const makeWorkPlaces = (workDirectory: string, { ownUser }: { ownUser: boolean }): WorkPlaces => {
  const name = createHash('sha256').update(workDirectory).digest('hex').slice(0, 12);
  const passable = join(tmpdir(), `errand-work-${name}`);
  const folderOf: WorkPlaces['folderOf'] = (key, isolation) => {
    if (!ownUser || isolation !== 'process') return join(workDirectory, key);
    makePassable(passable);
    return join(passable, key);
  };
  return {
    folderOf,
    pipesOf: (key, isolation) => `${folderOf(key, isolation)}${PIPES}`,
    foldersOf: (key) =>
      (ownUser ? [workDirectory, passable] : [workDirectory]).flatMap((place) => {
        const folder = join(place, key);
        return [folder, `${folder}${PIPES}`];
      }),
  };
};

const makePassable = (path: string): void => {
  try {
    mkdirSync(path);
    chmodSync(path, 0o711);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // Anyone may have put something there.
  const { uid, mode } = lstatSync(path, { bigint: false });
  if (uid !== process.getuid?.() || (mode & 0o170_022) !== 0o040_000) {
    throw new Error(`${path} is not a folder of this user alone. Remove it.`);
  }
};
