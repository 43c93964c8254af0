import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../domain/errors.ts';
import type { Objects } from './objects.ts';

const SAFE_KEY = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\/?$/;

/** Objects as files below a folder. Each is written aside, synced, and moved into place, so none is ever half there. */
export const filesObjects = ({ directory }: { readonly directory: string }): Objects => {
  const pathOf = (key: string): string => {
    if (!SAFE_KEY.test(key)) throw new TypeError(`Not an object key: ${JSON.stringify(key)}`);
    return join(directory, key);
  };
  let drafts = 0;

  return {
    async put(key, bytes) {
      const path = pathOf(key);
      // Of this process and time alone: two that write one key at once must not share a draft.
      const draft = `${path}.${process.pid}-${++drafts}.draft`;
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeSynced(draft, bytes);
        await rename(draft, path);
        await syncFolder(dirname(path));
      } catch (error) {
        await rm(draft, { force: true }).catch(() => {});
        throw unavailable(key, 'written', error);
      }
    },

    async get(key, range) {
      try {
        if (!range) return await readFile(pathOf(key));
        await using file = await open(pathOf(key), 'r');
        const buffer = Buffer.allocUnsafe(range.length);
        const { bytesRead } = await file.read(buffer, 0, range.length, range.offset);
        return buffer.subarray(0, bytesRead);
      } catch (error) {
        throw unavailable(key, 'read', error);
      }
    },

    async removeAll(prefix) {
      if (!prefix.endsWith('/')) throw new TypeError(`Not a prefix of whole names: ${JSON.stringify(prefix)}`);
      await rm(pathOf(prefix), { recursive: true, force: true }).catch((error: unknown) => {
        throw unavailable(prefix, 'removed', error);
      });
    },
  };
};

const writeSynced = async (path: string, bytes: Uint8Array): Promise<void> => {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(bytes);
  await file.datasync();
};

/** The name is durable only once its folder is. */
const syncFolder = async (path: string): Promise<void> => {
  await using folder = await open(path, 'r');
  await folder.sync();
};

const unavailable = (key: string, done: string, cause: unknown): unknown => {
  if (cause instanceof TypeError) return cause;
  const { code = 'unknown', message } = cause as NodeJS.ErrnoException;
  const advice = code === 'ENOSPC' || code === 'EDQUOT' ? ' Free some space on the disk.' : '';
  return new AppError('unavailable', `The object ${key} cannot be ${done}: ${message}.${advice}`, { cause });
};
