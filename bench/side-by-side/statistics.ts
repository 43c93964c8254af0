/** What several rounds of one row gave. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

/** @throws RangeError for nothing, which has no median */
export const spreadOf = (values: readonly number[]): Spread => {
  const sorted = values.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError('No rounds were measured');
  const upper = sorted[sorted.length >> 1] as number;
  const lower = sorted[(sorted.length - 1) >> 1] as number;
  return { median: (lower + upper) / 2, min, max, rounds: values.length };
};

/** `median [min–max]`; the median alone of a single round. */
export const show = ({ median, min, max, rounds }: Spread, digits = 2): string =>
  rounds === 1 ? median.toFixed(digits) : `${median.toFixed(digits)} [${min.toFixed(digits)}–${max.toFixed(digits)}]`;

/** Fewer rounds say nothing of the noise, so nothing can be said of a difference. */
const FEWEST_ROUNDS = 3;

/** `more` and `less` only where the ranges do not even touch. */
export const compare = (a: Spread, b: Spread): 'more' | 'less' | 'tie' | 'too few rounds' => {
  if (Math.min(a.rounds, b.rounds) < FEWEST_ROUNDS) return 'too few rounds';
  if (a.min > b.max) return 'more';
  return a.max < b.min ? 'less' : 'tie';
};

/** How far two measurements of one thing lie apart, as a share of the larger. */
export const drift = (a: number, b: number): number => Math.abs(a - b) / Math.max(a, b);

/** Every order is as likely as any other (Fisher and Yates). @param random numbers from 0 to below 1 */
export const shuffle = <T>(items: readonly T[], random: () => number): T[] => {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
  }
  return shuffled;
};
