import type { Instant } from '../domain/clock.ts';
import type { TenantId } from '../domain/ids.ts';
import { keys } from './schema.ts';
import type { Store } from './store.ts';

/** How far a subscription was told of a tenant's events. */
export interface EventCursor {
  /** The number of the last event that is done, or was not for it. */
  readonly after: number;
  /** Who tells it now, until then. */
  readonly lease?: { readonly holder: string; readonly until: Instant };
  /** How often in a row it could not be told; not before then again. */
  readonly failures?: { readonly count: number; readonly retryAt: Instant };
}

export interface StoredCursor {
  readonly cursor: EventCursor;
  /** That a change of it must find: 0 where there is none. */
  readonly version: number;
}

export interface EventCursors {
  /** Of one that was never told: before the first event. */
  read(tenant: TenantId, subscription: string): Promise<StoredCursor>;
  /** Compare-and-set. Undefined when someone else was faster. */
  write(
    tenant: TenantId,
    subscription: string,
    from: StoredCursor,
    next: EventCursor,
  ): Promise<StoredCursor | undefined>;
}

const FIRST: EventCursor = { after: 0 };

export const makeEventCursors = (store: Store): EventCursors => ({
  async read(tenant, subscription) {
    const item = await store.get(keys.eventCursor(tenant, subscription));
    return { cursor: (item?.data as EventCursor | undefined) ?? FIRST, version: item?.version ?? 0 };
  },

  async write(tenant, subscription, from, next) {
    const version = from.version + 1;
    const put = { ...keys.eventCursor(tenant, subscription), version, data: next };
    const { ok } = await store.write([{ put, ifVersion: from.version }]);
    return ok ? { cursor: next, version } : undefined;
  },
});
