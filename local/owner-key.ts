import { join } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';
import { makeKeyFile, readKeyFile } from './key-file.ts';

const FILE = 'owner.key';

const ownerKeyFile = (dataDirectory: string): string => join(dataDirectory, FILE);

/**
 * The key of whoever owns this data folder, made on first use, in a file that only its user can read.
 * @throws Error in words for a person when others can read it, or it is not a key
 */
export const ownerKeyOf = (dataDirectory: string, random: Random): string =>
  readOwnerKey(dataDirectory) ?? makeKeyFile(ownerKeyFile(dataDirectory), random);

/** The key, if this user may read it; undefined where none was made yet. */
export const readOwnerKey = (dataDirectory: string): string | undefined =>
  readKeyFile(ownerKeyFile(dataDirectory), 'the owner');
