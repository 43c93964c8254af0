import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';
import { sqliteStore } from '../shared/store/sqlite/sqlite.ts';
import type { Store } from '../shared/store/store.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { draftOf, writeOnce } from './once-file.ts';

const FILE = 'errand.db';
/** Says that the store was made, so that a store that is missing is known from one that never was. */
const MADE = 'errand.db.made';

export interface OpenStoreOptions {
  readonly random: Random;
  readonly log: Log;
  /** Whether a process that used the store was killed, so that its log is surely there. */
  readonly wasKilled: boolean;
}

/**
 * The store of a data folder. It is made once: where it was, and is not any more, no empty one takes its place.
 * @throws Error in words for a person
 */
export const openStore = (dataDirectory: string, { random, log, wasKilled }: OpenStoreOptions): Store => {
  const file = join(dataDirectory, FILE);
  const made = join(dataDirectory, MADE);
  const lacksLog = wasKilled && existsSync(file) && !hasLog(`${file}-wal`);
  const store = sqliteStore({ file, mayBeMade: !existsSync(made), wasKilled });
  writeOnce(made, 'The store was made: without errand.db this folder is not whole.', random);
  if (lacksLog) {
    log.error(
      'The log of the store is missing or damaged, though a process that wrote to it was killed: what it stored last may be lost',
      {
        ...{
          file: `${file}-wal`,
          advice: 'If there is a copy, stop, put both errand.db and errand.db-wal back, and start again.',
        },
      },
    );
  }
  removeDrafts(dataDirectory);
  return store;
};

/** How SQLite's log begins (https://www.sqlite.org/fileformat2.html#walformat), but for the last bit. */
const LOG_MAGIC = 0x377f0682;

/** Whether it is there, and SQLite takes it for one: what it does not, it ignores. An empty one is. */
const hasLog = (file: string): boolean => {
  if (!existsSync(file)) return false;
  const start = Buffer.alloc(4);
  const log = openSync(file, 'r');
  const length = readSync(log, start, 0, start.length, 0);
  closeSync(log);
  return length === 0 || (length === start.length && (start.readUInt32BE() & ~1) >>> 0 === LOG_MAGIC);
};

/** Of keys and other lines that are written once, by processes that were killed in the middle of it. */
const removeDrafts = (dataDirectory: string): void => {
  for (const name of readdirSync(dataDirectory)) {
    const file = draftOf(name);
    if (file !== undefined && existsSync(join(dataDirectory, file))) rmSync(join(dataDirectory, name), { force: true });
  }
};
