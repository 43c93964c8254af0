import { join } from 'node:path';
import { systemRandom } from '../../machine/system-clock.ts';
import { sealedFiles } from '../../shared/secrets/sealed-files.ts';
import type { Vault } from '../../shared/secrets/vault.ts';

/** The vault of a data folder, with a key of the tests. */
export const testVault = (directory: string): Vault =>
  sealedFiles({ directory: join(directory, 'secrets'), key: () => Buffer.alloc(32, 7), random: systemRandom });
