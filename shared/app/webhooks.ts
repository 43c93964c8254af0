import type * as z from 'zod';
import type {
  ChangeWebhook,
  CreateWebhook,
  NewWebhookView,
  RotateWebhook,
  WebhookList,
  WebhookView,
} from '../contract/webhook-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { EVENT_TYPES, type EventType } from '../domain/events.ts';
import { LIMITS } from '../domain/limits.ts';
import { enable } from '../domain/webhook-steps.ts';
import type { KeptKey, Webhook, WebhookId } from '../domain/webhooks.ts';
import { EgressError } from '../egress/egress.ts';
import { matchesGlob } from '../policy/glob.ts';
import { auditWrite, noteRefusal } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { mayReadEvent } from './readable-events.ts';
import { goodKeys, hostOf } from './send-webhook.ts';
import { toWebhookView } from './webhook-view.ts';

type Parts = Pick<Deps, 'webhooks' | 'signingKeys' | 'egress' | 'clock' | 'random' | 'auditLog'>;
type View = z.output<typeof WebhookView>;
type NewView = z.output<typeof NewWebhookView>;

const ID_BYTES = 8;
/** A day: time to bring the new secret to the receiver. */
const DEFAULT_OVERLAP_SECONDS = 24 * 3_600;

/**
 * A webhook of the caller's, which is told of what happens from now on, with its secret.
 * @throws AppError 'invalid-request' for a URL that is never asked, or events that there are none of; 'forbidden' for events that the caller may not
 * read; 'conflict' for too many; 'unavailable' when the vault is
 */
export const createWebhook = async (
  deps: Parts,
  actor: Actor,
  body: z.output<typeof CreateWebhook>,
): Promise<NewView> => {
  const { tenant } = actor;
  const url = requireUrl(deps, body.url);
  await requireEvents(deps, actor, body.events);
  if ((await deps.webhooks.list(tenant, { limit: LIMITS.webhooks })).length >= LIMITS.webhooks) {
    throw new AppError('conflict', `There are ${LIMITS.webhooks} webhooks, the most of a tenant. Remove some.`);
  }
  const now = deps.clock.now();
  const id = `whk_${deps.random.hex(ID_BYTES)}` as WebhookId;
  const { key, text } = await deps.signingKeys.make(tenant, id);
  const webhook: Webhook = {
    ...{ id, tenant, url, version: 1, member: actor.id, scope: actor.scope, createdBy: actor.id },
    description: body.description ?? '',
    events: body.events,
    labels: body.labels ?? {},
    enabled: body.enabled ?? true,
    createdAt: now,
    updatedAt: now,
    keys: [key],
    after: await headOf(deps, actor),
    open: [],
  };
  await deps.webhooks.add(webhook, [auditWrite(deps, actor, 'webhook.created', id, detailsOf(webhook))]);
  return { ...toWebhookView(webhook, now), secret: text };
};

/** @throws AppError 'not-found' */
export const getWebhook = async (deps: Parts, actor: Actor, id: WebhookId): Promise<View> =>
  toWebhookView(await requireWebhook(deps, actor, id), deps.clock.now());

/** The tenant's, by id; of a caller with a scope, its own. */
export const listWebhooks = async (
  { webhooks, clock }: Pick<Parts, 'webhooks' | 'clock'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof WebhookList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await webhooks.list(actor.tenant, { limit, after });
  const ids = found.map(({ id }) => id);
  return {
    items: found.filter((one) => isTheirs(actor, one)).map((one) => toWebhookView(one, clock.now())),
    ...nextCursor(actor.tenant, ids, limit),
  };
};

/**
 * What is given is changed, and it is the caller's from now on: it is told what the caller may read.
 * @throws AppError as `createWebhook`; 'not-found'; 'conflict' when `onVersion` is not the present one
 */
export const changeWebhook = async (
  deps: Parts,
  actor: Actor,
  id: WebhookId,
  body: z.output<typeof ChangeWebhook>,
): Promise<View> => {
  const present = await requireWebhook(deps, actor, id);
  const url = body.url === undefined ? present.url : requireUrl(deps, body.url);
  await requireEvents(deps, actor, body.events ?? present.events);
  const now = deps.clock.now();
  const head = body.missed === 'send' ? 0 : await headOf(deps, actor);
  const changed = await deps.webhooks.change({ tenant: actor.tenant, id }, (latest) => {
    requireVersion(latest, body.onVersion);
    const { description = latest.description, events = latest.events, labels = latest.labels } = body;
    const next: Webhook = {
      ...latest,
      ...{ url, description, events, labels, member: actor.id, scope: actor.scope },
      version: latest.version + 1,
      updatedAt: now,
    };
    const isOn = body.enabled ?? latest.enabled;
    const webhook =
      isOn && !latest.enabled
        ? enable(next, { head, now })
        : { ...next, enabled: isOn, disabled: isOn || body.enabled === undefined ? next.disabled : undefined };
    return { webhook, alongside: [auditWrite(deps, actor, 'webhook.changed', id, detailsOf(webhook))] };
  });
  if (!changed) throw noWebhook(id);
  return toWebhookView(changed, now);
};

/** What waits is not sent any more. @throws AppError 'not-found' */
export const removeWebhook = async (deps: Parts, actor: Actor, id: WebhookId): Promise<void> => {
  await requireWebhook(deps, actor, id);
  await deps.webhooks.remove({ tenant: actor.tenant, id }, [auditWrite(deps, actor, 'webhook.removed', id)]);
  await deps.signingKeys.remove(actor.tenant, id);
};

/**
 * A new secret. Messages are signed with the one before too, until the overlap is over; of more than so many at once the oldest are dropped.
 * @throws AppError 'not-found'; 'unavailable'
 */
export const rotateWebhook = async (
  deps: Parts,
  actor: Actor,
  id: WebhookId,
  { overlapSeconds = DEFAULT_OVERLAP_SECONDS }: z.output<typeof RotateWebhook>,
): Promise<NewView> => {
  const { tenant } = actor;
  await requireWebhook(deps, actor, id);
  const { key, text } = await deps.signingKeys.make(tenant, id);
  const now = deps.clock.now();
  const until = now + overlapSeconds * 1_000;
  let dropped: readonly KeptKey[] = [];
  const changed = await deps.webhooks.change({ tenant, id }, (latest) => {
    const old = goodKeys(latest, now).map((one) => ({ ...one, until: Math.min(one.until ?? until, until) }));
    const keys = [key, ...goodKeys({ keys: old }, now)].slice(0, LIMITS.webhookKeys);
    dropped = latest.keys.filter(({ value }) => !keys.some((kept) => kept.value === value));
    const webhook = { ...latest, keys, version: latest.version + 1, updatedAt: now };
    return { webhook, alongside: [auditWrite(deps, actor, 'webhook.rotated', id, { overlapSeconds })] };
  });
  if (!changed) throw noWebhook(id);
  await deps.signingKeys.drop(tenant, id, dropped);
  return { ...toWebhookView(changed, now), secret: text };
};

/** @throws AppError 'not-found', the same for another tenant's as for what never was */
export const requireWebhook = async (
  { webhooks }: Pick<Parts, 'webhooks'>,
  actor: Actor,
  id: WebhookId,
): Promise<Webhook> => {
  const webhook = await webhooks.find({ tenant: actor.tenant, id });
  if (webhook && isTheirs(actor, webhook)) return webhook;
  throw noWebhook(id);
};

/** Whoever is limited to a part of the commands does not see what others are told of the rest. */
const isTheirs = ({ id, scope }: Actor, { member }: Webhook): boolean =>
  member === id || (scope.targets === undefined && scope.labels === undefined);

const noWebhook = (id: WebhookId): AppError => {
  const detail = `There is no webhook ${id}.`;
  return new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

const requireVersion = ({ version }: Webhook, onVersion: number | undefined): void => {
  if (onVersion === undefined || onVersion === version) return;
  const detail = `The webhook is of version ${version} by now, not ${onVersion}. Read it again.`;
  throw new AppError('conflict', detail, { faults: [{ in: 'body', pointer: '/onVersion', detail }] });
};

/** What happened until now is before what it is told of. */
const headOf = async ({ auditLog }: Pick<Parts, 'auditLog'>, { tenant }: Actor): Promise<number> =>
  (await auditLog.head(tenant)).head.end.size;

/** As it is asked later, so that no two spellings of it differ. Whether its host is on the public internet is found out each time. */
const requireUrl = ({ egress }: Pick<Parts, 'egress'>, text: string): string => {
  const fault = egress.check(text);
  if (fault) throw invalid('/url', new EgressError(fault).message);
  return new URL(text).href;
};

/** Whoever names a type has to be allowed to read it; of a pattern it is told what it may. */
const requireEvents = async (
  deps: Pick<Parts, 'auditLog' | 'clock'>,
  actor: Actor,
  events: readonly string[],
): Promise<void> => {
  for (const [index, pattern] of events.entries()) {
    const types = EVENT_TYPES.filter((type) => matchesGlob(pattern, type));
    if (types.length === 0) throw invalid(`/events/${index}`, 'There is no such type of event. See docs/events.md.');
    if (types.some((type) => mayReadEvent(actor, type))) continue;
    await noteRefusal(deps, actor, 'access.forbidden', 'createWebhook', { type: types[0] as EventType });
    const detail = `Events ${pattern} take the permission audit:read, which the role ${actor.role} lacks.`;
    throw new AppError('forbidden', detail, { faults: [{ in: 'body', pointer: `/events/${index}`, detail }] });
  }
};

const invalid = (pointer: string, detail: string): AppError =>
  new AppError('invalid-request', `${pointer}: ${detail}`, { faults: [{ in: 'body', pointer, detail }] });

const detailsOf = (webhook: Webhook) => {
  const { events, labels, enabled, version } = webhook;
  return { host: hostOf(webhook), events, labels: Object.keys(labels), enabled, version };
};
