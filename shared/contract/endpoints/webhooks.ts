import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import { wholeNumber } from '../schemas.ts';
import {
  ChangeWebhook,
  CreateWebhook,
  DeliveryList,
  deliveriesQuery,
  NewWebhookView,
  Redeliver,
  Redelivering,
  RotateWebhook,
  WebhookIdText,
  WebhookList,
  WebhookTest,
  WebhookView,
} from '../webhook-schemas.ts';

const webhook = z.strictObject({ id: WebhookIdText });
const view = (description: string) => ({ description, schema: WebhookView });
const page = 'One page. `nextCursor` is there while more may follow.';

/** Events that are posted to somebody outside. */
export const webhookEndpoints = {
  createWebhook: {
    method: 'POST',
    path: '/v1/webhooks',
    function: 'webhooks',
    permission: 'webhooks:manage',
    summary: 'Have events posted to a URL from now on, signed as Standard Webhooks',
    body: CreateWebhook,
    answers: { 201: { description: 'The webhook, and its secret, this once.', schema: NewWebhookView } },
  },
  listWebhooks: {
    method: 'GET',
    path: '/v1/webhooks',
    function: 'webhooks',
    permission: 'webhooks:read',
    summary: 'List webhooks',
    query: z.strictObject({
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: { 200: { description: page, schema: WebhookList } },
  },
  getWebhook: {
    method: 'GET',
    path: '/v1/webhooks/{id}',
    function: 'webhooks',
    permission: 'webhooks:read',
    summary: 'Read a webhook, and how it fares',
    params: webhook,
    answers: { 200: view('The webhook.') },
  },
  changeWebhook: {
    method: 'PATCH',
    path: '/v1/webhooks/{id}',
    function: 'webhooks',
    permission: 'webhooks:manage',
    summary: 'Change, disable or enable a webhook: it is told what the caller may read from now on',
    params: webhook,
    body: ChangeWebhook,
    answers: { 200: view('The webhook. What waits goes to where it points now.') },
  },
  removeWebhook: {
    method: 'DELETE',
    path: '/v1/webhooks/{id}',
    function: 'webhooks',
    permission: 'webhooks:manage',
    summary: 'Remove a webhook and its secrets; what waits is not sent any more',
    params: webhook,
    answers: { 204: { description: 'It is told nothing more.' } },
  },
  rotateWebhook: {
    method: 'POST',
    path: '/v1/webhooks/{id}/rotate',
    function: 'webhooks',
    permission: 'webhooks:manage',
    summary: 'Make a new secret; messages are signed with the old one too for a while',
    params: webhook,
    body: RotateWebhook,
    bodyOptional: true,
    answers: { 201: { description: 'The webhook, and its new secret, this once.', schema: NewWebhookView } },
  },
  listWebhookDeliveries: {
    method: 'GET',
    path: '/v1/webhooks/{id}/deliveries',
    function: 'webhooks',
    permission: 'webhooks:read',
    summary: 'List what a webhook was sent, the last event first',
    params: webhook,
    query: deliveriesQuery,
    answers: { 200: { description: page, schema: DeliveryList } },
  },
  redeliver: {
    method: 'POST',
    path: '/v1/webhooks/{id}/redeliver',
    function: 'webhooks',
    permission: 'webhooks:manage',
    summary: 'Send one delivery again, or all that were given up',
    params: webhook,
    body: Redeliver,
    answers: { 202: { description: 'They are sent again, with the ids that they had.', schema: Redelivering } },
  },
  testWebhook: {
    method: 'POST',
    path: '/v1/webhooks/{id}/test',
    function: 'webhooks',
    permission: 'webhooks:manage',
    summary: 'Send a signed ping now and say what came of it; also to a disabled webhook',
    params: webhook,
    answers: { 200: { description: 'It was sent once, whatever the answer.', schema: WebhookTest } },
  },
} as const satisfies Record<string, Endpoint>;
