import type * as z from 'zod';
import type { WebhookTest } from '../contract/webhook-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { isDelivered } from '../domain/webhook-steps.ts';
import type { WebhookId } from '../domain/webhooks.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { messageIdOf, sendWebhook } from './send-webhook.ts';
import { toAttemptView } from './webhook-view.ts';
import { requireWebhook } from './webhooks.ts';

type Parts = Pick<Deps, 'webhooks' | 'signingKeys' | 'egress' | 'clock' | 'random' | 'store' | 'auditLog'>;

/**
 * Sends a ping to a webhook, once and now, and says what came of it. It is of no log, and no part of the webhook's deliveries.
 * @throws AppError 'not-found'; 'unavailable' when the vault is
 */
export const testWebhook = async (deps: Parts, actor: Actor, id: WebhookId): Promise<z.output<typeof WebhookTest>> => {
  const webhook = await requireWebhook(deps, actor, id);
  const ping = {
    specversion: '1.0',
    id: `${actor.tenant}-ping-${deps.random.hex(8)}`,
    source: 'errand',
    type: 'webhook.ping',
    time: toTimestamp(deps.clock.now()),
    subject: id,
    tenant: actor.tenant,
    sequence: 0,
    datacontenttype: 'application/json',
    data: { id },
  };
  // Written before: what went out is in the log, whatever becomes of this process.
  await deps.store.write([auditWrite(deps, actor, 'webhook.tested', id)]);
  const { attempt } = await sendWebhook(deps, webhook, ping);
  return { delivered: isDelivered(attempt), message: messageIdOf(webhook, ping), try: toAttemptView(attempt) };
};
