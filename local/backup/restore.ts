import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type Settled, settleRestored } from '../../shared/app/settle-restored.ts';
import type { Clock, Random } from '../../shared/domain/clock.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { openData } from '../open-data.ts';
import type { Manifest } from './manifest.ts';
import { DATABASE, INSTALLATION, KEYS } from './members.ts';
import { type ReadArchive, readArchive } from './read-archive.ts';
import { checkStore, openBackup } from './verify.ts';

export interface RestoreOptions {
  readonly from: string | Readable;
  /** A folder that is empty, or not there yet. */
  readonly dataDirectory: string;
  /** Whether commands that had not begun when the backup was made wait on, though they may have run since. @default false */
  readonly waitsOn?: boolean;
  /** Whether the installation that was backed up is gone, so that its runs are this one's to retry, and what it left at providers to end. @default false */
  readonly takesOver?: boolean;
  /** A folder with the keys, when the backup was made without them; or `new` to go on without the old ones. */
  readonly keys?: string | 'new' | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Restored extends ReadArchive {
  readonly settled: Settled;
}

/**
 * Makes a data folder of a backup: all of it or nothing. It is put together beside the place, verified to the last byte, made fit to
 * be gone on with, synced, and moved into place.
 * @throws Error in words for a person
 */
export const restore = async (options: RestoreOptions): Promise<Restored> => {
  const { clock, random, waitsOn = false, takesOver = false } = options;
  const place = resolve(options.dataDirectory);
  await requireEmpty(place);
  const draft = join(dirname(place), `.${basename(place)}.${random.hex(4)}.restoring`);
  try {
    await mkdir(draft, { recursive: true, mode: 0o700 });
    const [source, whose] = openBackup(options.from);
    const read = await readArchive(source, whose, (name, body) => writeMember(join(draft, name), body));
    checkStore(join(draft, DATABASE), read.manifest);
    await bringKeys(draft, read.manifest, options.keys);
    // With its name, it would take the other's runs at providers for its own.
    if (!takesOver) await rm(join(draft, INSTALLATION), { force: true });
    const backedUpAt = Date.parse(read.head.madeAt);
    const data = await openData({
      ...{ dataDirectory: draft, clock, random, log: silentLog },
      ...{ work: false, trySandbox: false, runnerUrl: () => '' },
    });
    const settled = await settleRestored(data.deps, { backedUpAt, waitsOn, takesOver }).finally(data.close);
    await moveIntoPlace(draft, place);
    return { ...read, settled };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
};

const requireEmpty = async (place: string): Promise<void> => {
  const names = await readdir(place).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new Error(`${place} cannot be restored to: ${error.message}. Choose another folder with --data.`);
  });
  if (names.length === 0) return;
  throw new Error(
    `${place} is not empty, and a restore replaces nothing. Move it away, or choose another with --data.`,
  );
};

const writeMember = async (path: string, body: AsyncIterable<Uint8Array>): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await using file = await open(path, 'wx', 0o600);
  for await (const piece of body) await file.writeFile(piece);
  await file.sync();
};

/** Those that were kept apart must be the ones: with others its secrets would stay shut, and its audit log would not verify. */
const bringKeys = async (draft: string, { keys, members }: Manifest, from: RestoreOptions['keys']): Promise<void> => {
  const lacking = KEYS.filter((name) => keys[name] !== undefined && !members.some((member) => member.name === name));
  if (from === undefined && lacking.length > 0) {
    throw new Error(
      `The backup was made without keys. Give the folder with ${lacking.join(', ')} as --keys, or --new-keys to go on ` +
        'without them: its secrets then stay shut, and the audit log is signed by another key from here on.',
    );
  }
  if (from === undefined || from === 'new') return;
  for (const name of lacking) {
    const file = join(from, name);
    const bytes = await readFile(file).catch((cause: Error) => {
      throw new Error(`The key ${file} cannot be read: ${cause.message}.`, { cause });
    });
    if (createHash('sha256').update(bytes).digest('hex') !== keys[name]) {
      throw new Error(`${file} is not the key of the installation that was backed up.`);
    }
    await writeFile(join(draft, name), bytes, { mode: 0o600, flush: true });
  }
};

const moveIntoPlace = async (draft: string, place: string): Promise<void> => {
  await syncFolders(draft);
  try {
    await rmdir(place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rename(draft, place);
  } catch (cause) {
    throw new Error(
      `${place} cannot be replaced: ${(cause as Error).message}. If something is mounted there, choose a folder in it with --data.`,
      { cause },
    );
  }
  await syncFolder(dirname(place));
};

const syncFolders = async (folder: string): Promise<void> => {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncFolders(join(folder, entry.name));
  }
  await syncFolder(folder);
};

/** A name is durable only once its folder is. */
const syncFolder = async (path: string): Promise<void> => {
  await using folder = await open(path, 'r');
  await folder.sync();
};
