import type * as z from 'zod';
import type { DeliveryView, WebhookTest, WebhookView } from '../contract/webhook-schemas.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { nextTryAt } from '../domain/webhook-steps.ts';
import type { Attempt, EndedDelivery, OpenDelivery, Webhook } from '../domain/webhooks.ts';
import { goodKeys } from './send-webhook.ts';

export const toWebhookView = (webhook: Webhook, now: Instant): z.output<typeof WebhookView> => {
  const { id, url, events, labels, description, enabled, disabled, version, member, createdBy, after, open } = webhook;
  return {
    ...{ id, url, events: [...events], labels: { ...labels }, description, enabled, version, member, createdBy, after },
    disabled: disabled ? { at: toTimestamp(disabled.at), reason: disabled.reason } : null,
    createdAt: toTimestamp(webhook.createdAt),
    updatedAt: toTimestamp(webhook.updatedAt),
    secrets: goodKeys(webhook, now).map(({ createdAt, until }) => ({
      createdAt: toTimestamp(createdAt),
      until: timestampOrNull(until),
    })),
    waiting: open.length,
    nextTryAt: enabled ? timestampOrNull(nextTryAt(webhook)) : null,
    failingSince: timestampOrNull(webhook.failingSince),
    deliveredAt: timestampOrNull(webhook.deliveredAt),
  };
};

export const toOpenView = ({ tenant }: Webhook, open: OpenDelivery): z.output<typeof DeliveryView> => ({
  ...common(tenant, open),
  status: 'waiting',
  lastTry: open.last ? toAttemptView(open.last) : null,
  nextTryAt: toTimestamp(open.retryAt),
});

export const toEndedView = ({ tenant }: Webhook, ended: EndedDelivery): z.output<typeof DeliveryView> => ({
  ...common(tenant, ended),
  status: ended.outcome,
  lastTry: toAttemptView(ended.last),
  nextTryAt: null,
});

export const toAttemptView = ({ at, durationMs, statusCode, fault }: Attempt): z.output<typeof WebhookTest>['try'] => ({
  at: toTimestamp(at),
  durationMs,
  statusCode: statusCode ?? null,
  fault: fault ?? null,
});

const common = (tenant: string, { sequence, type, subject, tries }: OpenDelivery | EndedDelivery) => ({
  ...{ sequence, type, subject, tries },
  event: `${tenant}-${sequence}`,
});

const timestampOrNull = (instant: Instant | undefined): string | null =>
  instant === undefined ? null : toTimestamp(instant);
