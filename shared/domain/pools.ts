/** What decides which target of a pool is taken, of those that are well. */
export const POOL_RULES = ['order', 'weight', 'latency', 'price'] as const;
export type PoolRule = (typeof POOL_RULES)[number];

/** Targets under one name, which commands name like a target. */
export interface Pool {
  readonly name: string;
  readonly targets: readonly [string, ...string[]];
  readonly by: PoolRule;
  /** Of `by: weight`; 1 for a target that is not in it, and one with 0 is taken when no other is well. */
  readonly weights?: Readonly<Record<string, number>> | undefined;
}
