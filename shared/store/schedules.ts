import type { Instant } from '../domain/clock.ts';
import type { TenantId } from '../domain/ids.ts';
import { dueAtOf as dueAtOfSchedule, type Schedule, type ScheduleId } from '../domain/schedules.ts';
import { makeRecords } from './records.ts';
import {
  dueAtOf,
  dueBy,
  dueSchedulePartitions,
  indexKeys,
  keys,
  type ScheduleReference,
  scheduleReferenceOf,
} from './schema.ts';
import type { Store, Write } from './store.ts';

/** A schedule's place in the order of those that are due. */
export interface DueSchedule {
  readonly reference: ScheduleReference;
  readonly dueAt: Instant;
}

/** The schedules, above the store. */
export interface Schedules {
  find(reference: ScheduleReference): Promise<Schedule | undefined>;
  /** @throws AppError 'conflict' when the id is taken */
  add(schedule: Schedule, alongside: readonly Write[]): Promise<void>;
  /**
   * Reads, changes and stores, again when someone else was faster. Undefined when it is not there; a change that gives undefined leaves all
   * as it is. @throws AppError 'conflict' when others were faster each time; what `change` does
   */
  change(
    reference: ScheduleReference,
    change: (schedule: Schedule) => Schedule | undefined,
    alongside?: readonly Write[],
  ): Promise<Schedule | undefined>;
  remove(reference: ScheduleReference, alongside: readonly Write[]): Promise<void>;
  /** Of a tenant, up to `most`. The index may lag. */
  count(tenant: TenantId, most: number): Promise<number>;
  /** A tenant's, by id. The index may lag. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<readonly Schedule[]>;
  /** Those that someone must look at by `until`, the most overdue first. */
  due(until: Instant, limit: number): Promise<readonly DueSchedule[]>;
}

/** @param stored called after each change that may make one due earlier */
export const makeSchedules = (store: Store, stored: () => void = () => {}): Schedules => {
  const records = makeRecords<Schedule>(store, (schedule) => {
    const { tenant, id } = schedule;
    const dueAt = dueAtOfSchedule(schedule);
    return {
      list: indexKeys.listSchedule(tenant, id),
      ...(dueAt === undefined ? {} : { due: indexKeys.dueSchedule(scheduleReferenceOf(tenant, id), dueAt) }),
    };
  });
  return {
    async find(reference) {
      return (await records.get(keys.schedule(reference)))?.value;
    },

    async add(schedule, alongside) {
      await records.add(keys.schedule(scheduleReferenceOf(schedule.tenant, schedule.id)), schedule, alongside);
      stored();
    },

    async change(reference, change, alongside) {
      const changed = await records.change(keys.schedule(reference), change, alongside);
      stored();
      return changed;
    },

    remove: (reference, alongside) => records.remove(keys.schedule(reference), alongside),

    async count(tenant, most) {
      const { pk } = indexKeys.listSchedule(tenant, '' as ScheduleId);
      return (await store.queryIndex('list', pk, { limit: most })).length;
    },

    async list(tenant, { limit, after }) {
      // From the first key behind it: nothing sorts between a text and the same with a NUL at its end.
      const from = after === undefined ? {} : { from: `${after}\0` };
      const { pk } = indexKeys.listSchedule(tenant, '' as ScheduleId);
      const entries = await store.queryIndex('list', pk, { limit, ...from });
      const items = entries.length > 0 ? await store.getAll(entries.map(({ key }) => key)) : [];
      // One that was removed since is in the index for a moment more.
      return items.flatMap((item) => (item ? [item.data as Schedule] : []));
    },

    async due(until, limit) {
      const range = { to: dueBy(until), limit };
      const shards = await Promise.all(dueSchedulePartitions.map((pk) => store.queryIndex('due', pk, range)));
      return shards
        .flat()
        .map(({ key, indexKey }) => ({ reference: key.pk as ScheduleReference, dueAt: dueAtOf(indexKey) }))
        .sort((a, b) => a.dueAt - b.dueAt)
        .slice(0, limit);
    },
  };
};
