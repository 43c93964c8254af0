import { describe, expect, onTestFinished, test } from 'vitest';
import { toTenantId } from '../../shared/domain/ids.ts';
import { makeSchedules } from '../../shared/store/schedules.ts';
import { scheduleReferenceOf } from '../../shared/store/schema.ts';
import { T0 } from '../support/commands.ts';
import type { OpenStore } from '../support/items.ts';
import { aSchedule, scheduleId } from '../support/schedules.ts';

/** Schedules above a store: what is due, what is a tenant's, and who wins. */
export const schedulesContract = (name: string, openStore: OpenStore): void => {
  const open = async () => {
    const store = await openStore();
    onTestFinished(() => store.close());
    return { store, schedules: makeSchedules(store) };
  };
  const referenceOf = (n: number) => scheduleReferenceOf(toTenantId('default'), scheduleId(n));

  describe(`schedules in ${name}`, () => {
    test('those that are due come the most overdue first, with their times, and nothing that is due later', async () => {
      const { schedules } = await open();
      // More than there are partitions, so that they have to be put in order.
      const ns = [7, 3, 9, 1, 5, 2, 8, 4, 6, 0];
      for (const n of ns) await schedules.add(aSchedule({ id: scheduleId(n), next: T0 + n }), []);
      const due = ns.toSorted().map((n) => ({ reference: referenceOf(n), dueAt: T0 + n }));
      expect(await schedules.due(T0 + 6, 100)).toEqual(due.slice(0, 7));
      expect(await schedules.due(T0 + 100, 4)).toEqual(due.slice(0, 4));
      expect(await schedules.due(T0 - 1, 100)).toEqual([]);
    });

    test('one that goes on to its next instant is found there, and one without is not found', async () => {
      const { schedules } = await open();
      await schedules.add(aSchedule({ next: T0 }), []);
      await schedules.change(referenceOf(1), (one) => ({ ...one, next: T0 + 1_000 }));
      expect(await schedules.due(T0 + 5_000, 10)).toEqual([{ reference: referenceOf(1), dueAt: T0 + 1_000 }]);
      await schedules.change(referenceOf(1), (one) => ({ ...one, next: undefined }));
      expect(await schedules.due(T0 + 5_000, 10)).toEqual([]);
      expect(await schedules.find(referenceOf(1))).not.toHaveProperty('next');
    });

    test('of many that change one at once, each change is made once', async () => {
      const { schedules } = await open();
      await schedules.add(aSchedule(), []);
      const results = await Promise.allSettled(
        Array.from({ length: 4 }, () =>
          schedules.change(referenceOf(1), (one) => ({ ...one, version: one.version + 1 })),
        ),
      );
      const made = results.filter(({ status }) => status === 'fulfilled').length;
      expect((await schedules.find(referenceOf(1)))?.version).toBe(1 + made);
    });

    test('a tenant’s are listed by id, page after page, and counted; no other tenant’s', async () => {
      const { schedules } = await open();
      for (const n of [3, 1, 2]) await schedules.add(aSchedule({ id: scheduleId(n) }), []);
      await schedules.add(aSchedule({ id: scheduleId(4), tenant: toTenantId('other') }), []);
      const tenant = toTenantId('default');
      const ids = async (page: { limit: number; after?: string }) =>
        (await schedules.list(tenant, page)).map(({ id }) => id);
      expect(await ids({ limit: 2 })).toEqual([scheduleId(1), scheduleId(2)]);
      expect(await ids({ limit: 2, after: scheduleId(2) })).toEqual([scheduleId(3)]);
      expect(await schedules.count(tenant, 10)).toBe(3);
      expect(await schedules.count(tenant, 2)).toBe(2);
      await schedules.remove(referenceOf(2), []);
      expect(await ids({ limit: 5 })).toEqual([scheduleId(1), scheduleId(3)]);
    });
  });
};
