import * as z from 'zod';
import { EVENT_TYPES } from '../domain/events.ts';
import { LIMITS } from '../domain/limits.ts';
import { DELIVERY_STATUSES, DISABLED_REASONS, WEBHOOK_ID, type WebhookId } from '../domain/webhooks.ts';
import { Name } from './access-schemas.ts';
import { counted, labelKey, labelValue, wholeNumber } from './schemas.ts';

export const WebhookIdText = z
  .string()
  .regex(WEBHOOK_ID, 'must be a webhook’s id: whk_ and 16 characters')
  .meta({ id: 'WebhookId' }) as unknown as z.ZodType<WebhookId, string>;

const Time = z.iso.datetime();

const Url = z
  .string()
  .max(LIMITS.webhookUrlCharacters)
  .describe('Where events are posted to: https, on port 443 or 8443 of a host on the public internet.');
const Events = z
  .array(z.string().min(1).max(LIMITS.patternCharacters))
  .min(1)
  .max(LIMITS.webhookEvents)
  .describe('Types of events, such as command.completed, or patterns such as command.*');
const Labels = counted(z.record(labelKey, labelValue), LIMITS.labels).describe(
  'Only events of commands with all of these. Default: none, for events of all kinds.',
);

export const CreateWebhook = z
  .strictObject({
    url: Url,
    events: Events,
    labels: Labels.optional(),
    description: Name.optional().describe('For people. Default: none.'),
    enabled: z.boolean().optional().describe('Default true.'),
  })
  .meta({ id: 'CreateWebhook' });

export const ChangeWebhook = z
  .strictObject({
    url: Url.optional(),
    events: Events.optional(),
    labels: Labels.optional(),
    description: Name.optional(),
    enabled: z.boolean().optional(),
    missed: z
      .enum(['skip', 'send'])
      .optional()
      .describe('With `enabled: true`: what becomes of what happened while it was disabled. Default skip.'),
    onVersion: z.int().min(1).optional().describe('Only if this is its version now.'),
  })
  .refine(({ missed, enabled }) => missed === undefined || enabled === true, {
    error: 'is of `enabled: true` only',
    path: ['missed'],
  })
  .meta({ id: 'ChangeWebhook', description: 'What is not given stays as it is.' });

export const RotateWebhook = z
  .strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(LIMITS.webhookOverlapSeconds)
      .optional()
      .describe('So long messages are signed with the old secret too. Default: a day.'),
  })
  .meta({ id: 'RotateWebhook' });

const AttemptView = z.object({
  at: Time,
  durationMs: z.int().min(0),
  statusCode: z.int().nullable().describe('Of the answer; null when there was none.'),
  fault: z
    .string()
    .nullable()
    .describe('Why there was none: timeout, unreachable, unknown-host, address, redirect, no-secret and others.'),
});

export const WebhookView = z
  .object({
    id: WebhookIdText,
    url: z.string(),
    events: z.array(z.string()),
    labels: z.record(z.string(), z.string()),
    description: z.string(),
    enabled: z.boolean(),
    disabled: z
      .object({ at: Time, reason: z.enum(DISABLED_REASONS) })
      .nullable()
      .describe('When it was disabled by itself: the receiver is gone (410), failed for days, or its member is.'),
    version: z.int().min(1).describe('One more with each change.'),
    member: z.string().describe('Whoever changed it last: it is told what this member may read.'),
    createdAt: Time,
    createdBy: z.string(),
    updatedAt: Time,
    secrets: z
      .array(z.object({ createdAt: Time, until: Time.nullable() }))
      .describe('By which messages are signed, the newest first, and until when. Their text is not shown again.'),
    after: z.int().min(0).describe('Events up to this number were sent, are waiting, or are not for it.'),
    waiting: z.int().min(0).describe('Deliveries that have yet to succeed.'),
    nextTryAt: Time.nullable().describe('When the next of these is tried.'),
    failingSince: Time.nullable().describe('Since when no delivery succeeded.'),
    deliveredAt: Time.nullable().describe('When the last one succeeded.'),
  })
  .meta({ id: 'Webhook' });

export const NewWebhookView = WebhookView.extend({
  secret: z.string().describe('whsec_…, by which messages are verified. Shown here and never again.'),
}).meta({ id: 'NewWebhook' });

export const WebhookList = z
  .object({ items: z.array(WebhookView), nextCursor: z.string().optional() })
  .meta({ id: 'WebhookList' });

export const DeliveryView = z
  .object({
    sequence: z.int().min(1).describe('The number of its event.'),
    event: z.string().describe('The id of its event.'),
    type: z.enum(EVENT_TYPES),
    subject: z.string(),
    status: z.enum(DELIVERY_STATUSES).describe('Dead: given up, and sent again only when somebody asks.'),
    tries: z.int().min(0),
    lastTry: AttemptView.nullable(),
    nextTryAt: Time.nullable().describe('Not before then, and not before earlier events of the same subject.'),
  })
  .meta({ id: 'WebhookDelivery' });

export const DeliveryList = z
  .object({ items: z.array(DeliveryView), nextCursor: z.string().optional() })
  .meta({ id: 'WebhookDeliveryList' });

export const Redeliver = z
  .strictObject({
    sequence: z.int().min(1).optional().describe('The delivery of this event.'),
    status: z.literal('dead').optional().describe('Or all that were given up, as many as fit.'),
  })
  .refine((body) => (body.sequence === undefined) !== (body.status === undefined), {
    error: 'exactly one of sequence and status must be given',
    path: ['sequence'],
  })
  .meta({ id: 'Redeliver' });

export const Redelivering = z
  .object({
    redelivering: z.int().min(0).describe('Deliveries that are sent again.'),
    left: z.int().min(0).describe('That did not fit: ask again once some are through. At most 100 are counted.'),
  })
  .meta({ id: 'Redelivering' });

export const WebhookTest = z
  .object({ delivered: z.boolean(), message: z.string().describe('The webhook-id.'), try: AttemptView })
  .meta({ id: 'WebhookTest' });

export const deliveriesQuery = z.strictObject({
  status: z.enum(DELIVERY_STATUSES).optional(),
  limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
  cursor: z.string().optional(),
});
