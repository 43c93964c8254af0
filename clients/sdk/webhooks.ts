import type * as z from 'zod';
import type {
  ChangeWebhook,
  CreateWebhook,
  DeliveryView,
  NewWebhookView,
  Redeliver,
  Redelivering,
  RotateWebhook,
  WebhookTest as TestSchema,
  WebhookView,
} from '../../shared/contract/webhook-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type Webhook = z.output<typeof WebhookView>;
/** With its secret, which is shown this once. */
export type NewWebhook = z.output<typeof NewWebhookView>;
export type Delivery = z.output<typeof DeliveryView>;
export type WebhookTest = z.output<typeof TestSchema>;
export type DeliveryStatus = Delivery['status'];

/** Events that are posted to somebody outside. */
export interface WebhookCalls {
  /** Not retried, since a repetition would make another. */
  createWebhook(webhook: z.input<typeof CreateWebhook>): Promise<NewWebhook>;
  /** All of them, page after page. */
  listWebhooks(): AsyncGenerator<Webhook>;
  getWebhook(id: string): Promise<Webhook>;
  /** What is not given stays as it is. With `onVersion`, only if that is its version now. */
  changeWebhook(id: string, changes: z.input<typeof ChangeWebhook>): Promise<Webhook>;
  removeWebhook(id: string): Promise<void>;
  /** A new secret; the old one signs too for the overlap. Not retried, since its answer is the only one with the secret. */
  rotateWebhook(id: string, terms?: z.input<typeof RotateWebhook>): Promise<NewWebhook>;
  /** What was sent and is yet to be sent, the last event first, page after page. */
  listWebhookDeliveries(
    id: string,
    filter?: { readonly status?: DeliveryStatus | undefined },
  ): AsyncGenerator<Delivery>;
  /** One delivery by the number of its event, or all that were given up, as many as fit. */
  redeliver(id: string, which: z.input<typeof Redeliver>): Promise<z.output<typeof Redelivering>>;
  /** Sends a ping now, once, and says what came of it. */
  testWebhook(id: string): Promise<WebhookTest>;
}

const pathOf = (id: string, more = ''): string => `/v1/webhooks/${encodeURIComponent(id)}${more}`;

export const makeWebhookCalls = (json: Json, send: Send): WebhookCalls => ({
  createWebhook: (webhook) => json('POST', '/v1/webhooks', { json: webhook, tries: 1 }),
  listWebhooks: () => allItems(json, '/v1/webhooks'),
  getWebhook: (id) => json('GET', pathOf(id)),
  changeWebhook: (id, changes) => json('PATCH', pathOf(id), { json: changes, tries: 1 }),
  removeWebhook: (id) => send('DELETE', pathOf(id)),
  rotateWebhook: (id, terms = {}) => json('POST', pathOf(id, '/rotate'), { json: terms, tries: 1 }),
  listWebhookDeliveries: (id, { status } = {}) => allItems(json, pathOf(id, '/deliveries'), { status }),
  redeliver: (id, which) => json('POST', pathOf(id, '/redeliver'), { json: which }),
  testWebhook: (id) => json('POST', pathOf(id, '/test'), { tries: 1 }),
});
