import { join } from 'node:path';
import { makeSigner, type Signer } from '../shared/audit/signing.ts';
import type { Random } from '../shared/domain/clock.ts';
import { makeKeyFile, readKeyFile } from './key-file.ts';

const FILE = 'audit.key';
const WHOSE = 'the audit log';

/**
 * Signs for a data folder. Its key is made with the first signature; one that others can read is refused at once.
 * @throws Error in words for a person when others can read it, or it is not a key
 */
export const signerOf = (dataDirectory: string, random: Random): (() => Promise<Signer>) => {
  const file = join(dataDirectory, FILE);
  let key = readKeyFile(file, WHOSE);
  let signer: Signer | undefined;
  return async () => {
    key ??= readKeyFile(file, WHOSE) ?? makeKeyFile(file, random);
    signer ??= makeSigner(key);
    return signer;
  };
};
