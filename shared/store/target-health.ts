import type { Instant } from '../domain/clock.ts';
import type { Condition, StartTime } from '../domain/health.ts';
import { keys } from './schema.ts';
import type { Store, Write } from './store.ts';

/** What a target's provider said when it was asked. */
export interface Check {
  readonly healthy: boolean;
  readonly detail?: string;
}

/** What is known of a target, of the whole installation. */
export interface TargetRecord {
  /** Absent: nobody saw a fault. */
  readonly condition?: Condition;
  readonly check?: Check & { readonly at: Instant };
  readonly start?: StartTime;
}

/** How targets are, for all workers, and for those who cannot ask the providers themselves. */
export interface TargetHealth {
  find(target: string): Promise<TargetRecord>;
  /**
   * Compare-and-set, again on top of what others stored meanwhile. A change that gives the same object writes nothing.
   * `alongside` is written in the same transaction.
   */
  change(
    target: string,
    change: (before: TargetRecord) => TargetRecord,
    alongside?: (before: TargetRecord, after: TargetRecord) => readonly Write[],
  ): Promise<TargetRecord>;
}

export const makeTargetHealth = (store: Store): TargetHealth => ({
  async find(target) {
    const item = await store.get(keys.targetHealth(target));
    return (item?.data as TargetRecord | undefined) ?? NOTHING;
  },

  async change(target, change, alongside = () => []) {
    const key = keys.targetHealth(target);
    for (;;) {
      const item = await store.get(key);
      const before = (item?.data as TargetRecord | undefined) ?? NOTHING;
      const after = change(before);
      if (after === before) return before;
      const ifVersion = item?.version ?? 0;
      const put: Write = { put: { ...key, version: ifVersion + 1, data: after }, ifVersion };
      if ((await store.write([put, ...alongside(before, after)])).ok) return after;
    }
  },
});

const NOTHING: TargetRecord = {};

/** Older than this it says nothing any more. */
const GOOD_FOR_MS = 15 * 60_000;

/** Unhealthy when nobody has asked lately. */
export const lastCheck = ({ check }: TargetRecord, now: Instant): Check =>
  check && now - check.at < GOOD_FOR_MS ? check : { healthy: false, detail: 'Not looked at lately.' };
