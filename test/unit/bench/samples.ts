import type { Sample } from '../../../bench/side-by-side/measure.ts';

/** A sample of Errand's first row, but for what is said. */
export const aSample = (but: Partial<Sample> = {}): Sample => ({
  system: 'errand',
  work: 'argv',
  clients: 100,
  round: 1,
  rate: 950,
  baselines: [1_000, 1_000],
  ratio: 0.95,
  steady: true,
  p50Ms: 50,
  p99Ms: 90,
  errors: 0,
  ...but,
});

/** One for each of these ratios, in rounds from 1 on. */
export const someSamples = (ratios: readonly number[], but: Partial<Sample> = {}): Sample[] =>
  ratios.map((ratio, i) => aSample({ ratio, rate: ratio * 1_000, round: i + 1, ...but }));
