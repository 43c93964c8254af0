import type { WebhookReference } from '../store/webhooks.ts';
import { type DeliverOptions, deliverWebhook } from './deliver-webhook.ts';
import type { Deps } from './deps.ts';

/** Which webhooks this process delivers to now. */
export interface Deliveries {
  /** Begins to deliver to those of the webhooks to which it does not already. None waits for another, nor the caller for any. */
  begin(webhooks: readonly WebhookReference[]): void;
  /** Resolves when all that was begun has come to its end. */
  ended(): Promise<void>;
}

/** Each webhook is delivered to on its own: one whose receiver is dead, slow or gone keeps no other waiting. */
export const makeDeliveries = (deps: Deps, options: DeliverOptions): Deliveries => {
  const running = new Map<string, Promise<void>>();

  const deliver = async (webhook: WebhookReference): Promise<void> => {
    try {
      await deliverWebhook(deps, webhook, options);
    } catch (error) {
      if (options.signal.aborted) return;
      const { tenant, id } = webhook;
      deps.log.error('A webhook could not be delivered to; the next look will try again', {
        tenant,
        webhook: id,
        error,
      });
    }
  };

  return {
    begin(webhooks) {
      for (const webhook of webhooks) {
        const name = `${webhook.tenant}/${webhook.id}`;
        if (running.has(name)) continue;
        running.set(
          name,
          deliver(webhook).finally(() => running.delete(name)),
        );
      }
    },

    async ended() {
      while (running.size > 0) await Promise.all(running.values());
    },
  };
};
