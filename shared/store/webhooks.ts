import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { type TenantId, toTenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { EndedDelivery, Webhook, WebhookId } from '../domain/webhooks.ts';
import { makeRecords } from './records.ts';
import { indexKeys, keys } from './schema.ts';
import type { Item, Store, Write } from './store.ts';

/** Names a webhook across tenants. */
export interface WebhookReference {
  readonly tenant: TenantId;
  readonly id: WebhookId;
}

/** A webhook as it is to be, and what is to be written and removed with it. */
export interface WebhookChange {
  readonly webhook: Webhook;
  /** Deliveries that came to their end by it: open ones before, which had no other place. */
  readonly ended?: readonly EndedDelivery[];
  /** That are open again by it. */
  readonly reopened?: readonly EndedDelivery[];
  /** Written in the same transaction. */
  readonly alongside?: readonly Write[];
}

/** The webhooks and what was delivered, above the store. */
export interface Webhooks {
  find(reference: WebhookReference): Promise<Webhook | undefined>;
  /** @throws AppError 'conflict' when the id is taken */
  add(webhook: Webhook, alongside: readonly Write[]): Promise<void>;
  /**
   * Reads, changes and stores, again when someone else was faster. Undefined when it is not there; a change that gives undefined leaves
   * all as it is. @throws AppError 'conflict' when others were faster each time; what `change` does
   */
  change(
    reference: WebhookReference,
    change: (webhook: Webhook) => WebhookChange | undefined,
  ): Promise<Webhook | undefined>;
  /** What was delivered is found no more, and goes when its time is over. */
  remove(reference: WebhookReference, alongside: readonly Write[]): Promise<void>;
  /** A tenant's, by id. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<readonly Webhook[]>;
  /** Those of all tenants that are to be told of events. The index may lag. */
  enabled(): Promise<readonly WebhookReference[]>;
  /** Ended deliveries, the last event first, of those before a number. */
  ended(
    reference: WebhookReference,
    outcome: EndedDelivery['outcome'],
    page: { readonly limit: number; readonly before?: number | undefined },
  ): Promise<readonly EndedDelivery[]>;
  /** Of one event; undefined when it is open, too old, or never was. */
  findEnded(reference: WebhookReference, sequence: number): Promise<EndedDelivery | undefined>;
}

const MOST_TRIES = 8;
const PAGE = 1_000;
const PREFIX = 'webhook/';
const KEPT_SECONDS = { delivered: LIMITS.webhookDeliveredSeconds, dead: LIMITS.webhookDeadSeconds };

export const makeWebhooks = (store: Store, clock: Pick<Clock, 'now'>): Webhooks => {
  const records = makeRecords<Webhook>(store, ({ tenant, id, enabled }) =>
    enabled ? { due: indexKeys.enabledWebhook(tenant, id) } : {},
  );
  const keyOf = ({ tenant, id }: WebhookReference) => keys.webhook(tenant, id);
  const deliveryKey = ({ tenant, id }: WebhookReference, { outcome, sequence }: EndedDelivery) =>
    keys.webhookDelivery(tenant, sequence, id, outcome);

  return {
    find: async (reference) => (await records.get(keyOf(reference)))?.value,

    add: (webhook, alongside) => records.add(keyOf(webhook), webhook, alongside),

    async change(reference, change) {
      const key = keyOf(reference);
      // Of deliveries that ended before, and were sent again by several at once.
      const versions = new Map<string, number>();
      for (let tries = 1; tries <= MOST_TRIES; tries++) {
        const found = await records.get(key);
        if (!found) return undefined;
        const changed = change(found.value);
        if (!changed) return found.value;
        const { webhook, ended = [], reopened = [], alongside = [] } = changed;
        const written = await store.write([
          records.writeOf(key, webhook, found.version),
          ...ended.map((one): Write => {
            const place = deliveryKey(reference, one);
            const ifVersion = versions.get(place.sk) ?? 0;
            const expiresAt = clock.now() + KEPT_SECONDS[one.outcome] * 1_000;
            return { put: { ...place, version: ifVersion + 1, data: one, expiresAt }, ifVersion };
          }),
          ...reopened.map((one) => ({ remove: deliveryKey(reference, one) })),
          ...alongside,
        ]);
        if (written.ok) return webhook;
        const standing = written.index > 0 ? ended[written.index - 1] : undefined;
        if (standing) versions.set(deliveryKey(reference, standing).sk, written.actual?.version ?? 0);
      }
      throw new AppError('conflict', `${reference.id} is being changed by others. Try again.`);
    },

    remove: (reference, alongside) => records.remove(keyOf(reference), alongside),

    async list(tenant, { limit, after = '' }) {
      const { pk } = keys.webhook(tenant, '' as WebhookId);
      const items = await store.query(pk, { from: `${PREFIX}${after}\0`, to: 'webhook0', limit });
      return items.map(({ data }) => data as Webhook);
    },

    async enabled() {
      const { pk } = indexKeys.enabledWebhook('' as TenantId, '' as WebhookId);
      const all: WebhookReference[] = [];
      for (let from = ''; ; ) {
        const found = await store.queryIndex('due', pk, { ...(from === '' ? {} : { from }), limit: PAGE });
        all.push(...found.map(({ indexKey: { sk } }) => toReference(sk)));
        if (found.length < PAGE) return all;
        from = `${found.at(-1)?.indexKey.sk}\0`;
      }
    },

    async ended({ tenant, id }, outcome, { limit, before }) {
      const { pk, sk: from } = keys.webhookDelivery(tenant, 0, id, outcome);
      const to = keys.webhookDelivery(tenant, before === undefined ? 999_999_999_999 : before - 1, id, outcome).sk;
      return (await store.query(pk, { from, to, limit, reverse: true })).map(toEnded);
    },

    async findEnded({ tenant, id }, sequence) {
      const [delivered, dead] = await store.getAll([
        keys.webhookDelivery(tenant, sequence, id, 'delivered'),
        keys.webhookDelivery(tenant, sequence, id, 'dead'),
      ]);
      const found = delivered ?? dead;
      return found && toEnded(found);
    },
  };
};

const toEnded = ({ data }: Item): EndedDelivery => data as EndedDelivery;

const toReference = (text: string): WebhookReference => {
  const [tenant = '', id = ''] = text.split('/');
  return { tenant: toTenantId(tenant), id: id as WebhookId };
};
