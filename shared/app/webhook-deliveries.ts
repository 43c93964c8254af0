import type * as z from 'zod';
import type { DeliveryList, deliveriesQuery, Redeliver, Redelivering } from '../contract/webhook-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { reopen, retryNow } from '../domain/webhook-steps.ts';
import type { EndedDelivery, Webhook, WebhookId } from '../domain/webhooks.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { invalidCursor, nextCursor, toPage } from './paging.ts';
import { toEndedView, toOpenView } from './webhook-view.ts';
import { requireWebhook } from './webhooks.ts';

type Parts = Pick<Deps, 'webhooks' | 'clock' | 'auditLog'>;
type Query = z.output<typeof deliveriesQuery>;

/** Of one request: each is a part of its transaction. */
const MOST_REOPENED = 50;
/** So many that are left are counted. */
const MOST_COUNTED = 100;

/** What a webhook was sent and is yet to be sent, the last event first. @throws AppError 'not-found'; 'invalid-request' for a cursor */
export const listWebhookDeliveries = async (
  deps: Parts,
  actor: Actor,
  id: WebhookId,
  query: Query,
): Promise<z.output<typeof DeliveryList>> => {
  const webhook = await requireWebhook(deps, actor, id);
  const { limit, after } = toPage(actor.tenant, query);
  const before = after === undefined ? Number.POSITIVE_INFINITY : Number(after);
  if (Number.isNaN(before)) throw invalidCursor();
  const wanted = (status: Query['status']) => query.status === undefined || query.status === status;
  const ended = async (outcome: EndedDelivery['outcome']) => {
    if (!wanted(outcome)) return [];
    return deps.webhooks.ended(webhook, outcome, { limit, ...(after === undefined ? {} : { before }) });
  };
  const found = (await Promise.all([ended('delivered'), ended('dead')])).flat();
  const open = wanted('waiting') ? webhook.open.filter(({ sequence }) => sequence < before) : [];
  const items = [...open.map((one) => toOpenView(webhook, one)), ...found.map((one) => toEndedView(webhook, one))].sort(
    (a, b) => b.sequence - a.sequence,
  );
  const shown = items.slice(0, limit);
  const sequences = shown.map(({ sequence }) => String(sequence));
  return { items: shown, ...nextCursor(actor.tenant, sequences, limit) };
};

/**
 * Sends one delivery again, whatever came of it, or as many of those that were given up as fit. Each has its tries anew; one that
 * still waits is tried now. @throws AppError 'not-found' for a webhook, or a delivery that is not kept (any more); 'conflict' for a webhook that is disabled
 */
export const redeliver = async (
  deps: Parts,
  actor: Actor,
  id: WebhookId,
  { sequence }: z.output<typeof Redeliver>,
): Promise<z.output<typeof Redelivering>> => {
  const webhook = await requireWebhook(deps, actor, id);
  if (sequence !== undefined && isOpen(webhook, sequence)) {
    await deps.webhooks.change(webhook, (latest) => ({
      webhook: retryNow(requireEnabled(latest), sequence, deps.clock.now()),
    }));
    return { redelivering: 1, left: 0 };
  }
  const asked = sequence === undefined ? await oldestDead(deps, webhook) : await one(deps, webhook, sequence);
  if (asked.length === 0) return { redelivering: 0, left: 0 };
  let count = 0;
  const changed = await deps.webhooks.change(webhook, (latest) => {
    const { reopened, webhook: next } = reopen(requireEnabled(latest), asked.slice(0, MOST_REOPENED), deps.clock.now());
    count = reopened.length;
    if (count === 0) return undefined;
    const event = auditWrite(deps, actor, 'webhook.redelivered', id, { count, ...(sequence ? { sequence } : {}) });
    return { webhook: next, reopened, alongside: [event] };
  });
  return { redelivering: changed ? count : 0, left: asked.length - count };
};

const oldestDead = async ({ webhooks }: Parts, webhook: Webhook): Promise<readonly EndedDelivery[]> =>
  (await webhooks.ended(webhook, 'dead', { limit: MOST_COUNTED })).toReversed();

const one = async ({ webhooks }: Parts, webhook: Webhook, sequence: number): Promise<readonly EndedDelivery[]> => {
  const found = await webhooks.findEnded(webhook, sequence);
  if (found) return [found];
  const detail = `Nothing is kept of a delivery of event ${sequence} to ${webhook.id}.`;
  throw new AppError('not-found', detail, { faults: [{ in: 'body', pointer: '/sequence', detail }] });
};

const isOpen = ({ open }: Webhook, sequence: number): boolean => open.some((one) => one.sequence === sequence);

const requireEnabled = (webhook: Webhook): Webhook => {
  if (webhook.enabled) return webhook;
  throw new AppError('conflict', `The webhook ${webhook.id} is disabled. Enable it first.`);
};
