import { describe, expect, onTestFinished, test } from 'vitest';
import { toTenantId } from '../../shared/domain/ids.ts';
import { makeErasure } from '../../shared/store/erasure.ts';
import { makeTriggers } from '../../shared/store/triggers.ts';
import { T0 } from '../support/commands.ts';
import type { OpenStore } from '../support/items.ts';
import { aTrigger, triggerId } from '../support/triggers.ts';

/** Triggers above a store: whose one is, what was delivered to it, and who wins. */
export const triggersContract = (name: string, openStore: OpenStore): void => {
  const open = async () => {
    const store = await openStore();
    onTestFinished(() => store.close());
    return { store, triggers: makeTriggers(store) };
  };
  const tenant = toTenantId('default');
  const other = toTenantId('other');
  const delivery = (n: number) => ({ at: T0 + n, bytes: n, outcome: 'skipped' as const });

  describe(`triggers in ${name}`, () => {
    test('one is found by its id alone, whose ever it is, until it is removed', async () => {
      const { triggers } = await open();
      await triggers.add(aTrigger({ tenant: other }), []);
      expect(await triggers.locate(triggerId())).toEqual(aTrigger({ tenant: other }));
      expect(await triggers.find(tenant, triggerId())).toBeUndefined();
      expect(await triggers.locate(triggerId(2))).toBeUndefined();
      await triggers.remove(other, triggerId(), []);
      expect(await triggers.locate(triggerId())).toBeUndefined();
    });

    test('an id that another tenant’s has is taken, and nothing is stored', async () => {
      const { triggers } = await open();
      await triggers.add(aTrigger({ tenant: other }), []);
      await expect(triggers.add(aTrigger(), [])).rejects.toMatchObject({ code: 'conflict' });
      expect(await triggers.find(tenant, triggerId())).toBeUndefined();
      expect(await triggers.locate(triggerId())).toMatchObject({ tenant: other });
    });

    test('of many that change one at once, each change is made once', async () => {
      const { triggers } = await open();
      await triggers.add(aTrigger(), []);
      const results = await Promise.allSettled(
        Array.from({ length: 4 }, () =>
          triggers.change(tenant, triggerId(), (one) => ({ ...one, version: one.version + 1 })),
        ),
      );
      const made = results.filter(({ status }) => status === 'fulfilled').length;
      expect((await triggers.find(tenant, triggerId()))?.version).toBe(1 + made);
    });

    test('a tenant’s are listed by id, page after page, and no other tenant’s', async () => {
      const { triggers } = await open();
      for (const n of [3, 1, 2]) await triggers.add(aTrigger({ id: triggerId(n) }), []);
      await triggers.add(aTrigger({ id: triggerId(4), tenant: other }), []);
      const ids = async (page: { limit: number; after?: string }) =>
        (await triggers.list(tenant, page)).map(({ id }) => id);
      expect(await ids({ limit: 2 })).toEqual([triggerId(1), triggerId(2)]);
      expect(await ids({ limit: 2, after: triggerId(2) })).toEqual([triggerId(3)]);
    });

    test('deliveries come the newest first, page after page, each once, and no other trigger’s', async () => {
      const { triggers } = await open();
      for (const n of [2, 5, 1, 4, 3]) await triggers.note(tenant, triggerId(1), delivery(n), `u${n}`);
      // Two of one millisecond.
      await triggers.note(tenant, triggerId(1), delivery(3), 'u3b');
      await triggers.note(tenant, triggerId(2), delivery(9), 'u9');
      await triggers.note(tenant, triggerId(0), delivery(9), 'u9');
      await triggers.note(other, triggerId(1), delivery(9), 'u9');
      const seen: number[] = [];
      for (let before: string | undefined; ; ) {
        const page = await triggers.deliveries(tenant, triggerId(1), { limit: 2, before });
        seen.push(...page.map(({ bytes }) => bytes));
        before = page.at(-1)?.place;
        if (page.length < 2) break;
      }
      expect(seen).toEqual([5, 4, 3, 3, 2, 1]);
    });

    test('erased with its tenant, nothing tells of it, and another tenant’s stays', async () => {
      const { store, triggers } = await open();
      const erasure = makeErasure(store, { removeAll: async () => {} } as never);
      for (let n = 1; n <= 30; n++) await triggers.add(aTrigger({ id: triggerId(n) }), []);
      await triggers.add(aTrigger({ id: triggerId(31), tenant: other }), []);
      await triggers.note(tenant, triggerId(1), delivery(1), 'u');
      await erasure.rest(tenant);
      for (let n = 1; n <= 30; n++) expect(await triggers.locate(triggerId(n))).toBeUndefined();
      expect(await triggers.list(tenant, { limit: 50 })).toEqual([]);
      expect(await triggers.deliveries(tenant, triggerId(1), { limit: 5 })).toEqual([]);
      expect(await triggers.locate(triggerId(31))).toMatchObject({ tenant: other });
    });
  });
};
