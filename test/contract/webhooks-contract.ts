import { describe, expect, onTestFinished, test } from 'vitest';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { EndedDelivery } from '../../shared/domain/webhooks.ts';
import { makeWebhooks } from '../../shared/store/webhooks.ts';
import { T0 } from '../support/commands.ts';
import { fakeClock } from '../support/fake-clock.ts';
import type { OpenStore } from '../support/items.ts';
import { aWebhook, webhookId } from '../support/webhook-receivers.ts';

const tenant = toTenantId('default');
const other = toTenantId('other');

/** Webhooks above a store: who is told, what was delivered, and who wins. */
export const webhooksContract = (name: string, openStore: OpenStore): void => {
  const open = async () => {
    const store = await openStore();
    onTestFinished(() => store.close());
    return { store, webhooks: makeWebhooks(store, fakeClock()) };
  };
  const of = (n: number) => ({ tenant, id: webhookId(n) });
  const delivery = (sequence: number, outcome: EndedDelivery['outcome'] = 'delivered'): EndedDelivery => ({
    sequence,
    outcome,
    type: 'command.submitted',
    subject: `subject-${sequence}`,
    tries: 1,
    last: { at: T0, durationMs: 3, statusCode: outcome === 'dead' ? 500 : 200 },
  });

  describe(`webhooks in ${name}`, () => {
    test('those that are enabled are found, of all tenants; one that is disabled or removed is not', async () => {
      const { webhooks } = await open();
      await webhooks.add(aWebhook({ id: webhookId(1) }), []);
      await webhooks.add(aWebhook({ id: webhookId(2), enabled: false }), []);
      await webhooks.add(aWebhook({ id: webhookId(3), tenant: other }), []);
      await webhooks.add(aWebhook({ id: webhookId(4) }), []);
      expect(await webhooks.enabled()).toEqual([of(1), of(4), { tenant: other, id: webhookId(3) }]);
      await webhooks.change(of(2), (webhook) => ({ webhook: { ...webhook, enabled: true } }));
      await webhooks.change(of(1), (webhook) => ({ webhook: { ...webhook, enabled: false } }));
      await webhooks.remove(of(4), []);
      expect(await webhooks.enabled()).toEqual([of(2), { tenant: other, id: webhookId(3) }]);
    });

    test('a tenant’s are listed by id, page after page, and nothing else that is stored beside them', async () => {
      const { webhooks } = await open();
      for (const n of [3, 1, 2]) await webhooks.add(aWebhook({ id: webhookId(n) }), []);
      await webhooks.add(aWebhook({ tenant: other }), []);
      await webhooks.change(of(1), (webhook) => ({ webhook, ended: [delivery(1), delivery(2, 'dead')] }));
      const ids = async (page: { limit: number; after?: string }) =>
        (await webhooks.list(tenant, page)).map(({ id }) => id);
      expect(await ids({ limit: 2 })).toEqual([webhookId(1), webhookId(2)]);
      expect(await ids({ limit: 2, after: webhookId(2) })).toEqual([webhookId(3)]);
    });

    test('deliveries that ended are found by outcome, the last event first, and by their event', async () => {
      const { webhooks } = await open();
      await webhooks.add(aWebhook(), []);
      await webhooks.add(aWebhook({ id: webhookId(2) }), []);
      const ended = [delivery(1), delivery(2, 'dead'), delivery(3), delivery(10)];
      await webhooks.change(of(1), (webhook) => ({ webhook, ended }));
      await webhooks.change(of(2), (webhook) => ({ webhook, ended: [delivery(4)] }));
      const found = async (...[outcome, page]: [EndedDelivery['outcome'], { limit: number; before?: number }]) =>
        (await webhooks.ended(of(1), outcome, page)).map(({ sequence }) => sequence);
      expect(await found('delivered', { limit: 10 })).toEqual([10, 3, 1]);
      expect(await found('delivered', { limit: 1, before: 10 })).toEqual([3]);
      expect(await found('dead', { limit: 10 })).toEqual([2]);
      expect(await webhooks.findEnded(of(1), 2)).toEqual(delivery(2, 'dead'));
      expect(await webhooks.findEnded(of(1), 4)).toBeUndefined();
    });

    test('one that is open again is found no more, and can end another time, also where it ended meanwhile', async () => {
      const { webhooks } = await open();
      await webhooks.add(aWebhook(), []);
      const dead = delivery(1, 'dead');
      await webhooks.change(of(1), (webhook) => ({ webhook, ended: [dead] }));
      await webhooks.change(of(1), (webhook) => ({ webhook, reopened: [dead] }));
      expect(await webhooks.findEnded(of(1), 1)).toBeUndefined();
      for (const tries of [2, 3]) {
        await webhooks.change(of(1), (webhook) => ({ webhook, ended: [{ ...delivery(1), tries }] }));
      }
      expect(await webhooks.findEnded(of(1), 1)).toEqual({ ...delivery(1), tries: 3 });
    });

    test('of many that change one at once, each change is made once, with what belongs to it', async () => {
      const { webhooks } = await open();
      await webhooks.add(aWebhook(), []);
      const results = await Promise.allSettled(
        Array.from({ length: 4 }, (_, n) =>
          webhooks.change(of(1), (webhook) => ({
            webhook: { ...webhook, after: webhook.after + 1 },
            ended: [delivery(n + 1)],
          })),
        ),
      );
      const made = results.filter((one) => one.status === 'fulfilled').length;
      expect((await webhooks.find(of(1)))?.after).toBe(made);
      expect(await webhooks.ended(of(1), 'delivered', { limit: 10 })).toHaveLength(made);
    });

    test('a change of one that is gone, or that gives nothing, stores nothing', async () => {
      const { webhooks } = await open();
      expect(await webhooks.change(of(1), (webhook) => ({ webhook, ended: [delivery(1)] }))).toBeUndefined();
      await webhooks.add(aWebhook(), []);
      expect(await webhooks.change(of(1), () => undefined)).toEqual(await webhooks.find(of(1)));
      expect(await webhooks.ended(of(1), 'delivered', { limit: 10 })).toEqual([]);
    });
  });
};
