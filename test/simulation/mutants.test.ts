import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import { hunt } from './hunt.ts';
import { MUTANTS } from './mutants.ts';

const SEEDS = 2_000;
/** A bug that a second net hides has so many seeds to show itself. */
const HIDDEN_SEEDS = 60;
const jobs = Math.min(4, availableParallelism());

test.for(MUTANTS.filter(({ hiddenBy }) => !hiddenBy))(
  'a planted bug is found: $name',
  { timeout: 600_000 },
  async (mutant) => {
    expect(await hunt(mutant, { seeds: SEEDS, jobs })).toBeDefined();
  },
);

test.for(MUTANTS.filter(({ hiddenBy }) => hiddenBy))(
  'a planted bug does no harm as long as its backup is there: $name, caught by $hiddenBy',
  { timeout: 600_000 },
  async (mutant) => {
    expect((await hunt(mutant, { seeds: HIDDEN_SEEDS, jobs }))?.violations).toBeUndefined();
  },
);
