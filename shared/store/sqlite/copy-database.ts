import { rmSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { keys, type Reference } from '../schema.ts';
import { toOpenError } from './failures.ts';
import { checkFormat } from './open-database.ts';

/** Pages in one step, beside the event loop. Within one transaction nothing is gained by small ones. */
const PAGES_PER_STEP = 4_096;

/**
 * Copies a store's file as it is at one instant, while others go on writing to it: they are not held up, and what they commit
 * meanwhile is not in the copy. `to` is replaced.
 * @throws Error in words for a person
 */
export const copyDatabase = async (file: string, to: string): Promise<void> => {
  let source: DatabaseSync | undefined;
  try {
    source = new DatabaseSync(file, { readOnly: true });
    checkFormat(source);
    // A transaction holds its view of the file, so that the copying never has to begin again for what others write.
    source.exec('BEGIN; SELECT count(*) FROM sqlite_schema');
    rmSync(to, { force: true });
    await backup(source, to, { rate: PAGES_PER_STEP });
  } catch (error) {
    throw toOpenError(file, error);
  } finally {
    source?.close();
  }
};

/** What a store's file says of itself. */
export interface DatabaseFacts {
  readonly commands: number;
  /** That somebody has still to look at. */
  readonly unfinished: number;
}

/**
 * Reads all of a file that nobody writes to, and counts.
 * @throws Error in words for a person when it is damaged, not a store, or of a newer release
 */
export const inspectDatabase = (file: string): DatabaseFacts =>
  reading(file, (database) => {
    checkFormat(database);
    const verdicts = database.prepare('PRAGMA integrity_check(1)').all();
    const [verdict] = Object.values(verdicts[0] ?? {});
    if (verdict !== 'ok') throw new Error(`it is damaged (${verdict})`);
    // Schedules are in both indexes too; a place that is taken so that no command comes there is in none.
    const counted = database.prepare(
      'SELECT count(*) AS commands, count(due_pk) AS unfinished FROM items WHERE sk = ? AND list_pk IS NOT NULL',
    );
    const { commands, unfinished } = counted.get(keys.command('' as Reference).sk) ?? {};
    return { commands: Number(commands), unfinished: Number(unfinished) };
  });

/** The keys of all objects that items name, each in its data's `object`. */
export const objectsNamedIn = (file: string): string[] =>
  reading(file, (database) => {
    const rows = database
      .prepare(
        `SELECT data ->> '$.object' AS object FROM items
         WHERE instr(data, '"object":"') > 0 AND json_type(data, '$.object') = 'text'`,
      )
      .iterate();
    return Array.from(rows, (row) => row['object'] as string);
  });

const reading = <T>(file: string, read: (database: DatabaseSync) => T): T => {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { readOnly: true });
    // It may come from anywhere.
    database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    return read(database);
  } catch (error) {
    throw new Error(`The store ${file} cannot be read: ${(error as Error).message}.`, { cause: error });
  } finally {
    database?.close();
  }
};
