import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';
import { AppError } from '../shared/domain/errors.ts';
import { makeKeyFile, readKeyFile } from './key-file.ts';

const FILE = 'vault.key';
const WHOSE = 'the vault of secrets';

/**
 * What seals the secrets of a data folder, which lie in its folder `secrets`. Read when it is needed, and made before the first
 * secret; one that others can read is refused at once.
 * @throws Error in words for a person when others can read it, or it is not a key
 */
export const vaultKeyOf = (
  dataDirectory: string,
  { secrets, random }: { readonly secrets: string; readonly random: Random },
): (() => Uint8Array) => {
  const file = join(dataDirectory, FILE);
  let key = readKeyFile(file, WHOSE);
  return () => {
    key ??= readKeyFile(file, WHOSE);
    if (key === undefined && existsSync(secrets)) {
      throw new AppError(
        'unavailable',
        `${file} is missing, though there are secrets that were sealed with it; a new one would not open them. ` +
          `Put it back, or remove ${secrets} and set the secrets anew.`,
      );
    }
    key ??= makeKeyFile(file, random);
    return Buffer.from(key, 'hex');
  };
};
