import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseTargets, type TargetsFile } from '../shared/providers/targets.ts';

const NAME = 'targets.json';

/**
 * The targets elsewhere that a data folder knows, from its `targets.json`; none when there is no such file.
 * @throws Error in words for a person, with a pointer to each fault
 */
export const readTargets = (dataDirectory: string): TargetsFile => {
  const file = join(dataDirectory, NAME);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { targets: [], pools: [] };
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return parseTargets(text, ['local']);
  } catch (error) {
    throw new Error(`${file} is not valid: ${(error as Error).message}`, { cause: error });
  }
};
