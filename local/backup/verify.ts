import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { inspectDatabase, objectsNamedIn } from '../../shared/store/sqlite/copy-database.ts';
import type { Manifest } from './manifest.ts';
import { DATABASE, OBJECTS } from './members.ts';
import { type ReadArchive, readArchive } from './read-archive.ts';

/**
 * Reads a backup to its end and proves that it could be restored: every byte as it was written, its store sound, and every object there
 * that the store names. The store is put beside for that, in the folder for temporary files.
 * @param from a file, or a stream
 * @throws Error in words for a person
 */
export const verifyBackup = async (from: string | Readable): Promise<ReadArchive> => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-verify-'));
  try {
    const database = join(folder, DATABASE);
    const [source, whose] = openBackup(from);
    const read = await readArchive(source, whose, async (name, body) => {
      if (name === DATABASE) await pipeline(body, createWriteStream(database, { mode: 0o600 }));
      else for await (const _ of body);
    });
    checkStore(database, read.manifest);
    return read;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** What is read, and what to call it. */
export const openBackup = (from: string | Readable): [Readable, string] =>
  typeof from === 'string' ? [createReadStream(from, { highWaterMark: 256 * 1024 }), from] : [from, 'What was read'];

/** @throws Error in words for a person */
export const checkStore = (database: string, { members }: Manifest): void => {
  const names = new Set(members.map(({ name }) => name));
  if (!names.has(DATABASE)) throw new Error('The backup has no store in it.');
  inspectDatabase(database);
  const missing = objectsNamedIn(database).find((key) => !names.has(`${OBJECTS}/${key}`));
  if (missing !== undefined) throw new Error(`The backup lacks the object ${missing}, which its store names.`);
};
