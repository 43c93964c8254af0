import { join } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';
import { makeKeyFile, readKeyFile } from './key-file.ts';

const FILE = 'vault.key';
const WHOSE = 'the vault of secrets';

/**
 * What seals the secrets of a data folder. Read when it is needed, and made with the first secret; one that others can read
 * is refused at once.
 * @throws Error in words for a person when others can read it, or it is not a key
 */
export const vaultKeyOf = (dataDirectory: string, random: Random): (() => Uint8Array) => {
  const file = join(dataDirectory, FILE);
  let key = readKeyFile(file, WHOSE);
  return () => {
    key ??= readKeyFile(file, WHOSE) ?? makeKeyFile(file, random);
    return Buffer.from(key, 'hex');
  };
};
