import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { AppError } from '../domain/errors.ts';
import { type ByteRange, type Objects, requireKey, requirePrefix, requireRange } from './objects.ts';

/** No key leads here. */
const DRAFTS = '.drafts';
/** Longer than any put takes. */
const STALE_DRAFT_MS = 3_600_000;
const MOST_REMEMBERED = 256;
const MOST_TRIES = 3;

export interface FilesOptions {
  readonly directory: string;
  /** @default by its process id, of which nothing is known later */
  readonly writer?: Writer;
}

/** Who writes: of those who are gone, what they left half written is removed. */
interface Writer {
  /** Of letters, digits and `-`; nobody else has it. */
  readonly name: string;
  isAlive(name: string): boolean;
}
const THIS_PROCESS: Writer = { name: String(process.pid), isAlive: () => true };

/**
 * Objects as files below a folder. Each is written aside, synced, and moved into place, so none is ever half there.
 * A key must not be the folder of another (`a` and `a/b`).
 */
export const filesObjects = ({ directory, writer = THIS_PROCESS }: FilesOptions): Objects => {
  const root = resolve(directory);
  /** Folders that are there, their names synced: the last few, since puts into one folder follow upon each other. */
  const folders = new Map<string, Promise<void>>();
  let drafts = 0;
  let tidied = false;

  const pathOf = (key: string): string => join(root, requireKey(key));

  const ensureFolder = (folder: string): Promise<void> => {
    if (folders.size >= MOST_REMEMBERED) folders.clear();
    const known = folders.get(folder) ?? makeFolder(root, folder);
    folders.set(folder, known);
    return known;
  };

  const writeDraft = async (bytes: Uint8Array): Promise<string> => {
    const folder = join(root, DRAFTS);
    await ensureFolder(folder);
    const { path, file } = await openNew(() => join(folder, `${writer.name}.${++drafts}`));
    try {
      await using _open = file;
      await file.writeFile(bytes);
      await file.datasync();
      if (!tidied) await removeStale(folder, (await file.stat()).mtimeMs - STALE_DRAFT_MS, writer);
      tidied = true;
      return path;
    } catch (error) {
      await rm(path, { force: true }).catch(() => {});
      throw error;
    }
  };

  const moveIntoPlace = async (draft: string, path: string): Promise<void> => {
    const folder = dirname(path);
    for (let tries = 1; ; tries++) {
      try {
        await ensureFolder(folder);
        await rename(draft, path);
        return await syncFolder(folder);
      } catch (error) {
        // A removal found the folder empty, and took it, after it was last seen.
        folders.delete(folder);
        if (codeOf(error) === 'ENOENT' && tries < MOST_TRIES) continue;
        await rm(draft, { force: true }).catch(() => {});
        throw error;
      }
    }
  };

  return {
    async put(key, bytes) {
      const path = pathOf(key);
      try {
        await moveIntoPlace(await writeDraft(bytes), path);
      } catch (error) {
        // After a failure nothing is taken for granted.
        folders.clear();
        throw unavailable(key, 'written', error);
      }
    },

    async get(key, range) {
      const path = pathOf(key);
      const wanted = range ? requireRange(range) : { offset: 0, length: Number.POSITIVE_INFINITY };
      try {
        await using file = await open(path, 'r');
        return await read(file, wanted);
      } catch (error) {
        throw unavailable(key, 'read', error);
      }
    },

    async removeAll(prefix) {
      const path = pathOf(requirePrefix(prefix).slice(0, -1));
      try {
        for (const folder of folders.keys()) if (`${folder}/`.startsWith(`${path}/`)) folders.delete(folder);
        await rm(path, { recursive: true, force: true, maxRetries: MOST_TRIES });
        await removeEmpty(root, dirname(path));
      } catch (error) {
        throw unavailable(prefix, 'removed', error);
      }
    },
  };
};

/** Makes a folder and those above it, down from `root`, and syncs their names. */
const makeFolder = async (root: string, folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // All of them, whoever made them: another process may have been killed before it came to syncing.
  for (let above = folder; above !== dirname(root); ) {
    above = dirname(above);
    await syncFolder(above);
  }
};

/** A name is durable only once its folder is. Costs about as much as syncing a small file. */
const syncFolder = async (path: string): Promise<void> => {
  await using folder = await open(path, 'r');
  await folder.sync();
};

/** A file that nobody else has: another process may count its drafts under the same number. */
const openNew = async (nextPath: () => string): Promise<{ path: string; file: FileHandle }> => {
  for (;;) {
    const path = nextPath();
    try {
      return { path, file: await open(path, 'wx', 0o600) };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
};

/** Memory for what is there, whatever was asked for. */
const read = async (file: FileHandle, range: ByteRange): Promise<Uint8Array> => {
  const { size } = await file.stat();
  const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(range.length, size - range.offset)));
  for (let filled = 0; filled < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, range.offset + filled);
    if (bytesRead === 0) throw new Error('it is shorter than it was');
    filled += bytesRead;
  }
  return buffer;
};

/** What a writer left behind that was killed: where it cannot be told who lives, by the file system's own time. */
const removeStale = async (folder: string, before: number, { isAlive }: Writer): Promise<void> => {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    try {
      const [writer = ''] = name.split('.');
      if (!isAlive(writer) || (await stat(path)).mtimeMs < before) await rm(path, { force: true });
    } catch {
      // Gone meanwhile, or another user's: it harms nobody.
    }
  }
};

/** Removes a folder and those above it, below `root`, as far as nothing is in them. */
const removeEmpty = async (root: string, folder: string): Promise<void> => {
  for (let path = folder; path !== root; path = dirname(path)) {
    try {
      await rmdir(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') return;
    }
  }
};

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: ' Free some space on the disk.',
  EDQUOT: " Free some space: this user's quota is used up.",
  EROFS: ' Make the disk writable.',
  EACCES: ' Make the folder and all in it readable and writable for this user.',
  EMFILE: ' This process has too many files open: raise its limit (ulimit -n).',
};

const unavailable = (key: string, done: string, cause: unknown): AppError => {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AppError(
    'unavailable',
    `The object ${key} cannot be ${done}: ${reason}.${ADVICE[codeOf(cause) ?? ''] ?? ''}`,
    {
      cause,
    },
  );
};
