/** A stream of chance that a seed fixes for ever. */
export interface Rng {
  /** In [0, 1). */
  fraction(): number;
  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** A stream of its own, so that what one part draws moves no other. */
  fork(): Rng;
}

/** sfc32 (https://pracrand.sourceforge.net/RNG_engines.txt), seeded as its author does: by running it for a while. */
export const makeRng = (seed: number): Rng => {
  let a = seed | 0;
  let b = (seed / 2 ** 32) | 0;
  let c = 0x9e3779b9 | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  const fraction = (): number => next() / 2 ** 32;
  return {
    fraction,
    between: (least, most) => least + Math.floor(fraction() * (most - least + 1)),
    chance: (probability) => probability > 0 && fraction() < probability,
    pick: (list) => {
      const picked = list[Math.floor(fraction() * list.length)];
      if (picked === undefined && list.length === 0) throw new TypeError('Nothing to pick from');
      return picked as (typeof list)[number];
    },
    fork: () => makeRng(next() + next() * 2 ** 20),
  };
};
