/** Choices that a seed makes again. What machines make of them in time is their own. */
export interface Dice {
  /** In [0, 1). */
  fraction(): number;
  /** A whole number, both ends included. */
  between(low: number, high: number): number;
  chance(share: number): boolean;
  oneOf<T>(choices: readonly [T, ...T[]]): T;
  /** Dice of their own for one purpose, so that one that throws more often changes nothing for the others. */
  fork(): Dice;
}

/** mulberry32: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
export const makeDice = (seed: number): Dice => {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const fraction = (): number => word() / 2 ** 32;
  const between = (low: number, high: number): number => low + Math.floor(fraction() * (high - low + 1));
  return {
    fraction,
    between,
    chance: (share) => fraction() < share,
    oneOf: ([first, ...others]) => [first, ...others][between(0, others.length)] ?? first,
    fork: () => makeDice(word()),
  };
};
