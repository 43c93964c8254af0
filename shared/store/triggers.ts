import type { TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Delivery, Trigger, TriggerId } from '../domain/triggers.ts';
import { makeRecords } from './records.ts';
import { keys } from './schema.ts';
import type { Store, Write } from './store.ts';

/** A delivery with its place in the order of those of its trigger. */
export interface NotedDelivery extends Delivery {
  readonly place: string;
}

/** The triggers and what was delivered to them, above the store. */
export interface Triggers {
  find(tenant: TenantId, id: TriggerId): Promise<Trigger | undefined>;
  /** By its id alone, whose ever it is. */
  locate(id: TriggerId): Promise<Trigger | undefined>;
  /** @throws AppError 'conflict' when the id is taken */
  add(trigger: Trigger, alongside: readonly Write[]): Promise<void>;
  /**
   * Reads, changes and stores, again when someone else was faster. Undefined when it is not there; a change that gives undefined leaves all
   * as it is. @throws AppError 'conflict' when others were faster each time; what `change` does
   */
  change(
    tenant: TenantId,
    id: TriggerId,
    change: (trigger: Trigger) => Trigger | undefined,
    alongside?: readonly Write[],
  ): Promise<Trigger | undefined>;
  /** What was delivered to it is shown no more, and expires. */
  remove(tenant: TenantId, id: TriggerId, alongside: readonly Write[]): Promise<void>;
  /** A tenant's, by id. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<readonly Trigger[]>;
  /** Kept for 30 days. @param unique tells two of one millisecond apart */
  note(tenant: TenantId, id: TriggerId, delivery: Delivery, unique: string): Promise<void>;
  /** The newest first. */
  deliveries(
    tenant: TenantId,
    id: TriggerId,
    page: { readonly limit: number; readonly before?: string | undefined },
  ): Promise<readonly NotedDelivery[]>;
}

const HISTORY_MS = LIMITS.deliveryHistoryDays * 86_400_000;

export const makeTriggers = (store: Store): Triggers => {
  const records = makeRecords<Trigger>(store);
  const hooks = makeRecords<{ readonly tenant: TenantId }>(store);
  const find: Triggers['find'] = async (tenant, id) => (await records.get(keys.trigger(tenant, id)))?.value;
  return {
    find,

    async locate(id) {
      const hook = await hooks.get(keys.hook(id));
      return hook && find(hook.value.tenant, id);
    },

    async add(trigger, alongside) {
      const { tenant, id } = trigger;
      await records.add(keys.trigger(tenant, id), trigger, [hooks.writeOf(keys.hook(id), { tenant }, 0), ...alongside]);
    },

    change: (tenant, id, change, alongside) => records.change(keys.trigger(tenant, id), change, alongside),

    remove: (tenant, id, alongside) =>
      records.remove(keys.trigger(tenant, id), [{ remove: keys.hook(id) }, ...alongside]),

    list: (tenant, page) => records.list(keys.trigger(tenant, '' as TriggerId).pk, page),

    async note(tenant, id, delivery, unique) {
      const { at } = delivery;
      const key = keys.triggerDelivery(tenant, at, id, unique);
      // One that is there already is the same one.
      await store.write([{ put: { ...key, version: 1, data: delivery, expiresAt: at + HISTORY_MS }, ifVersion: 0 }]);
    },

    async deliveries(tenant, id, { limit, before }) {
      const { pk } = keys.triggerDelivery(tenant, 0, id, '');
      // Nothing sorts between a slash and a nought; what comes before a place is all that sorts before it.
      const items = await store.query(pk, {
        from: `${id}/`,
        to: before === undefined ? `${id}0` : `${id}/${before}`,
        limit: before === undefined ? limit : limit + 1,
        reverse: true,
      });
      return items
        .map(({ sk, data }) => ({ ...(data as Delivery), place: sk.slice(id.length + 1) }))
        .filter(({ place }) => place !== before)
        .slice(0, limit);
    },
  };
};
