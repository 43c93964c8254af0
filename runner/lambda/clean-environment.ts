import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeWorkDirectory } from '../../shared/providers/local/work-directory.ts';
import type { Baseline } from './baseline-sweep.ts';

export interface Leavings {
  readonly baseline: Baseline;
  /** The one folder that can be written to. */
  readonly tmp: string;
}

/**
 * Takes away all that a command left: first its processes, then its files, which they could have written again.
 * @returns whether the environment is as it was, so that another command may find it
 */
export const cleanEnvironment = async ({ baseline, tmp }: Leavings): Promise<boolean> =>
  (await baseline.sweep()) && (await emptied(tmp));

const emptied = async (folder: string): Promise<boolean> => {
  try {
    for (const name of await readdir(folder)) await removeWorkDirectory(join(folder, name));
    return (await readdir(folder)).length === 0;
  } catch {
    return false;
  }
};
