import { actorOfMember, limitRights } from '../access/rights.ts';
import type { Actor } from '../domain/actor.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { EVENT_TYPES, type EventType, type StoredEvent, toStoredEvent } from '../domain/events.ts';
import { LIMITS } from '../domain/limits.ts';
import { admit, disable, dueOf, isDelivered, isFull, type Outcome, settle } from '../domain/webhook-steps.ts';
import type { Attempt, EndedDelivery, OpenDelivery, Webhook } from '../domain/webhooks.ts';
import { matchesGlob } from '../policy/glob.ts';
import { keys } from '../store/schema.ts';
import type { Write } from '../store/store.ts';
import type { WebhookReference } from '../store/webhooks.ts';
import type { Deps } from './deps.ts';
import { readLogAfter } from './read-log.ts';
import { readableEvents } from './readable-events.ts';
import { hostOf, sendWebhook } from './send-webhook.ts';

type Parts = Pick<
  Deps,
  | 'webhooks'
  | 'signingKeys'
  | 'egress'
  | 'auditLog'
  | 'commands'
  | 'principals'
  | 'clock'
  | 'random'
  | 'log'
  | 'metrics'
>;

/** So long one process alone delivers to a webhook, unless it is done before. Longer than any one of its requests takes. */
const LEASE_SECONDS = 60;
/** Then its member's rights are looked at anew: the next look goes on. */
const PASS_SECONDS = 30;
/** Requests to one webhook at once, each about another subject. */
const AT_ONCE = 8;
/** Events that are taken in before some of them were sent: they are written with each change. */
const TAKEN_IN = 32;
/** A webhook that lags behind by fewer events that are not for it costs nothing but their reading. */
const MOST_UNNOTED = 100;
/** How many entries one look reads: bounds the work that a filter with few matches causes. */
const MOST_SCANNED = 1_000;

export interface DeliverOptions {
  /** Nothing is sent any more once it aborts; what is on its way then counts for nothing, and is sent again. */
  readonly signal: AbortSignal;
  /** Nothing more is begun after that. @default no end */
  readonly until?: Instant;
}

/**
 * Sends a webhook what is due, and what happened since, until nothing is left to be sent now. Safe to run at any time, by any number at
 * once: one holds the lease. What came of it is stored after it was sent, so that a crash repeats and never loses.
 * @throws whatever kept it from going on; the next look tries again
 */
export const deliverWebhook = async (
  deps: Parts,
  reference: WebhookReference,
  { signal, until: end = Number.POSITIVE_INFINITY }: DeliverOptions,
): Promise<void> => {
  const { webhooks, clock } = deps;
  const until = Math.min(end, clock.now() + PASS_SECONDS * 1_000);
  const first = await webhooks.find(reference);
  if (first) deps.metrics.webhook(first);
  if (!first?.enabled || !isFree(first, clock.now()) || !(await hasWork(deps, first))) return;
  const reader = await readerOf(deps, first);
  if (reader === 'nobody') return disableFor(deps, reference, first);
  if (reader === 'suspended') return;
  const known = new Map<number, StoredEvent>();
  const planned = await plan(deps, reader, first, known);
  if (!planned) return;
  const holder = deps.random.hex(8);
  const lease = () => ({ holder, until: clock.now() + LEASE_SECONDS * 1_000 });
  const isOurs = (webhook: Webhook) => webhook.lease?.holder === holder;
  const taken = await webhooks.change(reference, (latest) =>
    latest.enabled && isFree(latest, clock.now()) ? { webhook: { ...latest, lease: lease() } } : undefined,
  );
  if (!taken || !isOurs(taken)) return;
  try {
    await deliverAll(deps, taken, { reader, known, signal, until, isOurs, lease });
  } finally {
    // Whoever looks next need not wait for its end; where that cannot be stored, it does.
    const release = (stored: Webhook) => (isOurs(stored) ? { webhook: { ...stored, lease: undefined } } : undefined);
    await webhooks.change(reference, release).catch((error: unknown) => {
      if (!signal.aborted) deps.log.warn('A lease could not be given back', { webhook: reference.id, error });
    });
  }
};

const deliverAll = async (
  deps: Parts,
  taken: Webhook,
  held: Required<DeliverOptions> & {
    readonly reader: Reader;
    readonly known: Map<number, StoredEvent>;
    readonly isOurs: (webhook: Webhook) => boolean;
    readonly lease: () => NonNullable<Webhook['lease']>;
  },
): Promise<void> => {
  const { webhooks, clock } = deps;
  const { reader, known, signal, until, isOurs, lease } = held;
  for (let latest = taken; latest.enabled && !signal.aborted && clock.now() < until; ) {
    const work = await plan(deps, reader, latest, known);
    if (!work) return;
    const outcomes = await sendAll(deps, latest, work.due, { known, signal });
    let ended: readonly EndedDelivery[] = [];
    const changed = await webhooks.change(latest, (stored) => {
      if (!isOurs(stored)) return undefined;
      const now = clock.now();
      const settled = settle(admit(stored, work.found, now), outcomes, now);
      ended = settled.ended;
      const alongside = stored.enabled && !settled.webhook.enabled ? [disabledWrite(deps, settled.webhook)] : [];
      return { ...settled, webhook: { ...settled.webhook, lease: lease() }, alongside };
    });
    // Someone else has it now, and sends again what was not stored; or it is gone.
    if (!changed || !isOurs(changed)) return;
    for (const { outcome } of ended) deps.metrics.delivered(outcome);
    deps.metrics.webhook(changed);
    latest = changed;
  }
};

/** Tells at the price of one read what is so most of the time. */
const hasWork = async ({ auditLog, clock }: Parts, webhook: Webhook): Promise<boolean> =>
  dueOf(webhook, clock.now(), 1).length > 0 ||
  (!isFull(webhook) && (await auditLog.head(webhook.tenant)).head.end.size > webhook.after);

const isFree = ({ lease }: Webhook, now: Instant): boolean => !lease || lease.until <= now;

/** Whose rights say what may be told, narrowed to the webhook's labels. */
type Reader = Pick<Actor, 'tenant' | 'permissions' | 'scope'>;

const readerOf = async (
  { principals }: Pick<Parts, 'principals'>,
  { tenant, id, member, scope, labels }: Webhook,
): Promise<Reader | 'nobody' | 'suspended'> => {
  const actor = await actorOfMember(principals, tenant, { id: member, scope, credential: { kind: 'webhook', id } });
  if (actor?.permissions.has('events:read')) {
    const isLabelled = Object.keys(labels).length > 0;
    return isLabelled ? { tenant, ...limitRights(actor, { scope: { labels } }) } : actor;
  }
  const found = await principals.tenants.get(keys.tenant(tenant));
  return found?.value.suspended ? 'suspended' : 'nobody';
};

/** Nobody is left whose rights could be asked for. */
const disableFor = async (deps: Parts, reference: WebhookReference, { version }: Webhook): Promise<void> => {
  await deps.webhooks.change(reference, (latest) => {
    if (!latest.enabled || latest.version !== version) return undefined;
    const webhook = disable(latest, 'member', deps.clock.now());
    return { webhook, alongside: [disabledWrite(deps, webhook)] };
  });
};

const disabledWrite = ({ auditLog, clock }: Pick<Parts, 'auditLog' | 'clock'>, webhook: Webhook): Write => {
  const { tenant, id, disabled, failingSince, open } = webhook;
  return auditLog.eventWrite(tenant, {
    type: 'webhook.disabled',
    at: toTimestamp(clock.now()),
    actor: { id: 'errand' },
    subject: id,
    details: {
      ...{ reason: disabled?.reason, host: hostOf(webhook), open: open.length },
      ...(failingSince === undefined ? {} : { failingSince: toTimestamp(failingSince) }),
    },
  });
};

interface Found {
  readonly events: readonly StoredEvent[];
  /** How far the log was read for them. */
  readonly to: number;
}

/** What is to be sent now, and what was found for that; undefined when there is nothing worth a write. */
const plan = async (
  deps: Parts,
  reader: Reader,
  webhook: Webhook,
  known: Map<number, StoredEvent>,
): Promise<{ readonly due: readonly OpenDelivery[]; readonly found: Found } | undefined> => {
  const now = deps.clock.now();
  const hasRoom = !isFull(webhook) && dueOf(webhook, now, AT_ONCE).length < AT_ONCE;
  const found = hasRoom ? await find(deps, reader, webhook) : { events: [], to: webhook.after };
  for (const event of found.events) known.set(event.sequence, event);
  const due = dueOf(admit(webhook, found, now), now, AT_ONCE);
  const isNothing = due.length === 0 && found.events.length === 0 && found.to - webhook.after < MOST_UNNOTED;
  return isNothing ? undefined : { due, found };
};

/** The next events that are for the webhook, at most `TAKEN_IN`. */
const find = async (deps: Parts, reader: Reader, webhook: Webhook): Promise<Found> => {
  const { tenant, after, open } = webhook;
  const { head } = await deps.auditLog.head(tenant);
  if (head.end.size <= after) return { events: [], to: after };
  const type = typesOf(webhook);
  const most = Math.min(TAKEN_IN, LIMITS.webhookOpen - open.length);
  for await (const { entries, to, isLast } of readLogAfter(deps, tenant, after)) {
    const events = await readableEvents(deps, reader, { type }, entries);
    const last = events[most - 1];
    if (last && events.length > most) return { events: events.slice(0, most), to: last.sequence };
    if (events.length > 0 || isLast || to - after >= MOST_SCANNED) return { events, to };
  }
  return { events: [], to: after };
};

const typesOf = ({ events }: Pick<Webhook, 'events'>): readonly EventType[] =>
  EVENT_TYPES.filter((type) => events.some((pattern) => matchesGlob(pattern, type)));

const sendAll = (
  deps: Parts,
  webhook: Webhook,
  due: readonly OpenDelivery[],
  { known, signal }: { readonly known: Map<number, StoredEvent>; readonly signal: AbortSignal },
): Promise<readonly Outcome[]> =>
  Promise.all(
    due.map(async ({ sequence, last }) => {
      const event = known.get(sequence) ?? (await eventAt(deps, webhook, sequence));
      known.delete(sequence);
      const sent = await sendWebhook(deps, webhook, event, signal);
      deps.metrics.sent({ outcome: outcomeOf(sent.attempt), again: last !== undefined });
      return { sequence, ...sent, fraction: deps.random.fraction() };
    }),
  );

const outcomeOf = (attempt: Attempt) =>
  isDelivered(attempt) ? 'delivered' : attempt.statusCode === undefined ? 'failed' : 'refused';

/** @throws Error when the log has lost it, which no log may */
const eventAt = async ({ auditLog }: Parts, { tenant }: Webhook, sequence: number): Promise<StoredEvent> => {
  const entry = await auditLog.entryAt(tenant, sequence);
  if (!entry) throw new Error(`The log of ${tenant} has no entry ${sequence}.`);
  return toStoredEvent(entry);
};
