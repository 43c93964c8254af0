import { existsSync, linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import type { Random } from '../shared/domain/clock.ts';

/**
 * A line in a file that only its user can read, written once: whole or not at all, and of several processes that start at
 * once the first one's stays. Returns the one that is there.
 */
export const writeOnce = (file: string, text: string, random: Random): string => {
  if (existsSync(file)) return readLine(file);
  const draft = `${file}.${random.hex(8)}`;
  writeFileSync(draft, `${text}\n`, { mode: 0o600, flag: 'wx', flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  return readLine(file);
};

const readLine = (file: string): string => readFileSync(file, 'utf8').trim();
