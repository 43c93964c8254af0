import type { Instant } from '../domain/clock.ts';
import type { Webhook } from '../domain/webhooks.ts';

type Named = Pick<Webhook, 'tenant' | 'id'>;

/** What waits for webhooks that are delivered to, as this process read it last. */
export interface WaitingDeliveries {
  set(webhook: Webhook): void;
  /** Forgets all but these. */
  keep(webhooks: readonly Named[]): void;
  count(): number;
  /** Since when the one that waits the longest has waited. */
  oldest(): Instant | undefined;
}

export const makeWaitingDeliveries = (): WaitingDeliveries => {
  const waiting = new Map<string, { readonly count: number; readonly since: Instant }>();
  const nameOf = ({ tenant, id }: Named): string => `${tenant}/${id}`;
  return {
    set(webhook) {
      const { enabled, open } = webhook;
      if (!enabled || open.length === 0) return void waiting.delete(nameOf(webhook));
      const since = open.reduce((least, one) => Math.min(least, one.since ?? one.last?.at ?? one.retryAt), Infinity);
      waiting.set(nameOf(webhook), { count: open.length, since });
    },
    keep(webhooks) {
      if (waiting.size === 0) return;
      const names = new Set(webhooks.map(nameOf));
      for (const name of waiting.keys()) if (!names.has(name)) waiting.delete(name);
    },
    count: () => [...waiting.values()].reduce((sum, { count }) => sum + count, 0),
    oldest: () => (waiting.size === 0 ? undefined : Math.min(...[...waiting.values()].map(({ since }) => since))),
  };
};
