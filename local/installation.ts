import { join } from 'node:path';
import type { Random } from '../shared/domain/clock.ts';
import { writeOnce } from './once-file.ts';

/**
 * By what name a data folder marks what it makes at providers: made up once, so that two folders that share a project or a
 * subscription never take each other's runs for orphans.
 */
export const installationOf = (dataDirectory: string, random: Random): string =>
  writeOnce(join(dataDirectory, 'installation'), `errand-${random.hex(4)}`, random);
