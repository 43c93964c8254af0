import { readFileSync, statSync } from 'node:fs';
import type { Random } from '../shared/domain/clock.ts';
import { writeOnce } from './once-file.ts';

const KEY_BYTES = 32;

/**
 * A key in a file that only its user can read: 32 bytes in hex. Undefined where none was made yet.
 * @param whose completes "the key of …", for a person
 * @throws Error in words for a person when others can read it, or it is not a key
 */
export const readKeyFile = (file: string, whose: string): string | undefined => {
  try {
    // Windows has no such modes.
    if (process.platform !== 'win32' && statSync(file).mode & 0o077) {
      throw new Error(
        `Others can read the key of ${whose}. Run: chmod 600 ${file} (and remove it first if it may be known).`,
      );
    }
    const key = readFileSync(file, 'utf8').trim();
    if (/^[0-9a-f]{64}$/.test(key)) return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  throw new Error(`${file} holds no key. Remove it, and the next start makes a new one.`);
};

/** Of several processes that make it at once, the first one's stays. */
export const makeKeyFile = (file: string, random: Random): string => writeOnce(file, random.hex(KEY_BYTES), random);
