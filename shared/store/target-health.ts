import type { Clock } from '../domain/clock.ts';
import { keys } from './schema.ts';
import type { Store } from './store.ts';

/** As a provider said, and when. */
interface StoredHealth {
  readonly healthy: boolean;
  readonly detail?: string;
}

/** How targets are, for those who cannot ask the providers themselves. */
export interface TargetHealth {
  /** Unhealthy when nobody has asked lately. */
  read(target: string): Promise<StoredHealth>;
  write(target: string, health: StoredHealth): Promise<void>;
}

/** Older than this it says nothing any more. */
const GOOD_FOR_MS = 15 * 60_000;

export const makeTargetHealth = (store: Store, clock: Clock): TargetHealth => ({
  async read(target) {
    const item = await store.get(keys.targetHealth(target));
    if (!item || (item.expiresAt ?? 0) <= clock.now()) return { healthy: false, detail: 'Not looked at lately.' };
    return item.data as StoredHealth;
  },

  async write(target, health) {
    const key = keys.targetHealth(target);
    const version = ((await store.get(key))?.version ?? 0) + 1;
    // Of two that write at once either is right.
    await store.write([
      { put: { ...key, version, data: health, expiresAt: clock.now() + GOOD_FOR_MS }, ifVersion: version - 1 },
    ]);
  },
});
