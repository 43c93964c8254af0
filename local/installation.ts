import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';

/**
 * By what name a data folder marks what it makes at providers: made up once, so that two folders that share a project or a
 * subscription never take each other's runs for orphans.
 */
export const installationOf = (dataDirectory: string, random: Random): string => {
  const file = join(dataDirectory, 'installation');
  // Linked into its place whole, and only if nobody was faster.
  const draft = `${file}.${random.hex(4)}`;
  writeFileSync(draft, `errand-${random.hex(4)}\n`, { mode: 0o600 });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  return readFileSync(file, 'utf8').trim();
};
