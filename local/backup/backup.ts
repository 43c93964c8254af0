import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import type { Clock, Random } from '../../shared/domain/clock.ts';
import { tryLock } from '../process-lock.ts';
import type { Manifest } from './manifest.ts';
import { BACKUP_LOCK, STAGE } from './members.ts';
import { requireDataFolder, type Staged, stage } from './stage.ts';
import { verifyBackup } from './verify.ts';
import { writeArchive } from './write-archive.ts';

export interface BackupOptions {
  readonly dataDirectory: string;
  /** A file that is not there yet, made readable by its user only; or a stream, which is ended. */
  readonly to: string | Writable;
  /** Leaves out what opens everything: the owner's key, and those of secrets and signatures. @default false */
  readonly withoutKeys?: boolean;
  /** Of Errand, for whoever restores it. */
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
}

export interface BackedUp {
  readonly madeAt: number;
  readonly manifest: Manifest;
}

/**
 * Writes all that a data folder holds, as of one instant, into one tar archive. Whoever works on the folder is not held up. A file is there only when it
 * is whole, synced, and was read back and verified.
 * @throws Error in words for a person
 */
export const backUp = async (options: BackupOptions): Promise<BackedUp> => {
  const { to, version, clock, withoutKeys = false } = options;
  const dataDirectory = resolve(options.dataDirectory);
  await requireDataFolder(dataDirectory);
  if (typeof to === 'string') await requireFree(to);
  const lock = tryLock(join(dataDirectory, BACKUP_LOCK));
  if (!lock) throw new Error(`A backup of ${dataDirectory} is being made already. Wait for its end.`);
  try {
    const staged = await stage(dataDirectory, { clock, withoutKeys });
    const manifest =
      typeof to === 'string'
        ? await writeFile(staged, version, resolve(to), options.random)
        : await writeArchive(staged, version, to);
    return { madeAt: staged.madeAt, manifest };
  } finally {
    await rm(join(dataDirectory, STAGE), { recursive: true, force: true });
    lock.release();
  }
};

const requireFree = async (file: string): Promise<void> => {
  const isThere = await stat(file).then(
    () => true,
    () => false,
  );
  if (isThere) throw new Error(`${file} is there already. Give another name: a backup replaces none.`);
};

const writeFile = async (staged: Staged, version: string, file: string, random: Random): Promise<Manifest> => {
  const draft = `${file}.${random.hex(4)}.draft`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    const sink = handle.createWriteStream({ flush: true });
    const manifest = await writeArchive(staged, version, sink);
    await verifyBackup(draft);
    await rename(draft, file);
    await using folder = await open(dirname(file), 'r');
    await folder.sync();
    return manifest;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
};
