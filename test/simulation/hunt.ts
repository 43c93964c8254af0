import type { Mutant } from './mutants.ts';
import { type Played, play, tasksOf } from './pool.ts';

/** The first seed by which a planted bug is found, of so many. */
export const hunt = async (
  { name, profile, seed }: Pick<Mutant, 'name' | 'profile' | 'seed'>,
  { seeds, jobs }: { readonly seeds: number; readonly jobs: number },
): Promise<Played | undefined> => {
  let found: Played | undefined;
  const known = seed === undefined ? [] : [{ seed, profile }];
  await play([...known, ...tasksOf([profile], 1, seeds)], {
    jobs,
    mutant: name,
    onPlayed(played) {
      if (played.violations.length > 0 && played.seed < (found?.seed ?? Number.POSITIVE_INFINITY)) found = played;
      return found !== undefined;
    },
  });
  return found;
};
