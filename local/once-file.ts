import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';
import { syncFolder } from './durable-folders.ts';

const RANDOM_BYTES = 8;

/**
 * A line in a file that only its user can read, written once: whole or not at all, and of several processes that start at
 * once the first one's stays. Returns the one that is there, and it lasts: others are told of it, and things are sealed with it.
 */
export const writeOnce = (file: string, text: string, random: Random): string => {
  if (existsSync(file)) return readLine(file);
  const draft = `${file}.${random.hex(RANDOM_BYTES)}`;
  writeFileSync(draft, `${text}\n`, { mode: 0o600, flag: 'wx', flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    // Another process was first, and may have removed this one's draft too.
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  syncFolder(dirname(file));
  return readLine(file);
};

/** The name of the file that a draft is of, when that is what it is: left by a process that was killed, if the file is there. */
export const draftOf = (name: string): string | undefined => /^(.+)\.[0-9a-f]{16}$/.exec(name)?.[1];

const readLine = (file: string): string => readFileSync(file, 'utf8').trim();
