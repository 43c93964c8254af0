import type { TenantId, WorkflowId } from '../domain/ids.ts';
import type { ScheduleId } from '../domain/schedules.ts';
import type { TriggerId } from '../domain/triggers.ts';
import type { Objects } from '../objects/objects.ts';
import { indexKeys, keys, partitionsOf, type Reference, type WorkflowReference } from './schema.ts';
import type { Key, Range, Store } from './store.ts';

/** Erases what a tenant stored. Any of it may be done again, also by several at once. */
export interface Erasure {
  /** All that belongs to a command, its record last: until then it is found again. Its objects go with its tenant's. */
  command(reference: Reference): Promise<void>;
  /** What a tenant has beside its commands: its objects, all of its partitions, and what its audit log needed to go on. The log stays. */
  rest(tenant: TenantId): Promise<void>;
}

/** Items may be of 64 KiB, and come along when their keys are asked for. */
const PAGE = 25;

export const makeErasure = (store: Store, objects: Objects): Erasure => {
  const remove = async (keysToRemove: readonly Key[]): Promise<void> => {
    // Each by itself: they need not go together, and a transaction costs twice.
    await Promise.all(keysToRemove.map(({ pk, sk }) => store.write([{ remove: { pk, sk } }])));
  };

  const removeRange = async (pk: string, range: Omit<Range, 'limit'> = {}): Promise<void> => {
    for (;;) {
      const items = await store.query(pk, { ...range, limit: PAGE });
      await remove(items);
      if (items.length < PAGE) return;
    }
  };

  /** They have a partition each, as commands have. */
  const removeSchedules = async (tenant: TenantId): Promise<void> => {
    const { pk } = indexKeys.listSchedule(tenant, '' as ScheduleId);
    for (let from = ''; ; ) {
      const found = await store.queryIndex('list', pk, { ...(from === '' ? {} : { from }), limit: PAGE });
      await remove(found.map(({ key }) => key));
      if (found.length < PAGE) return;
      // The index may show what was removed for a moment more.
      from = `${found.at(-1)?.indexKey.sk}\0`;
    }
  };

  /** What says whose a trigger is; the triggers themselves go with their partition. */
  const removeHooks = async (tenant: TenantId): Promise<void> => {
    const { pk } = keys.trigger(tenant, '' as TriggerId);
    for (let from = ''; ; ) {
      const found = await store.query(pk, { ...(from === '' ? {} : { from }), limit: PAGE });
      await remove(found.map(({ sk }) => keys.hook(sk as TriggerId)));
      if (found.length < PAGE) return;
      from = `${found.at(-1)?.sk}\0`;
    }
  };

  /** The record last: until then it is found again. */
  const removeWorkflows = async (tenant: TenantId): Promise<void> => {
    const { pk } = indexKeys.listWorkflow(tenant, '' as WorkflowId, 0);
    for (let from = ''; ; ) {
      const found = await store.queryIndex('list', pk, { ...(from === '' ? {} : { from }), limit: PAGE });
      for (const { key } of found) {
        await remove([keys.workflowPlan(key.pk as WorkflowReference)]);
        await remove([key]);
      }
      if (found.length < PAGE) return;
      from = `${found.at(-1)?.indexKey.sk}\0`;
    }
  };

  return {
    async command(reference) {
      const record = keys.command(reference);
      // Nothing sorts between a text and the same with a NUL at its end.
      await removeRange(reference, { from: `${record.sk}\0` });
      await remove([record]);
    },

    async rest(tenant) {
      await objects.removeAll(keys.objectsOf(tenant));
      await removeSchedules(tenant);
      await removeHooks(tenant);
      await removeWorkflows(tenant);
      for (const pk of partitionsOf(tenant)) await removeRange(pk);
      const { pk } = keys.auditHead(tenant);
      await remove([keys.commandFence(tenant)]);
      for (const kind of ['open', 'profile']) await removeRange(pk, { from: `${kind}/`, to: `${kind}0` });
    },
  };
};
