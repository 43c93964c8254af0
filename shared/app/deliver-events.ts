import { type EventType, type StoredEvent, toStoredEvent } from '../domain/events.ts';
import type { TenantId } from '../domain/ids.ts';
import type { Subscription } from '../events/subscription.ts';
import type { EventCursor, StoredCursor } from '../store/event-cursors.ts';
import type { Deps } from './deps.ts';
import { readLogAfter } from './read-log.ts';
import { tenantsOf } from './tenants-of.ts';

type Parts = Pick<Deps, 'auditLog' | 'eventCursors' | 'principals' | 'clock' | 'random' | 'log' | 'subscriptions'>;

/** So long one process alone tells a subscription, unless it is done before. */
const LEASE_SECONDS = 60;
/** Between tries: doubled each time. */
const FIRST_RETRY_SECONDS = 1;
const LONGEST_RETRY_SECONDS = 300;
/** The next pass does the rest. */
const MOST_PARTS = 100;
/** A cursor that lags behind by fewer events that are not for its subscription costs nothing but their reading. */
const MOST_UNNOTED = 1_000;

/** Tells every subscription of the events of all tenants. Safe to run at any time, by any number at once. */
export const deliverEvents = async (deps: Parts): Promise<void> => {
  if (deps.subscriptions.length === 0) return;
  for await (const tenant of tenantsOf(deps)) await deliverTenantEvents(deps, tenant);
};

/** One that fails must not keep the others waiting. */
export const deliverTenantEvents = async (deps: Parts, tenant: TenantId): Promise<void> => {
  for (const subscription of deps.subscriptions) {
    await deliver(deps, tenant, subscription).catch((error: unknown) =>
      deps.log.error('A subscription could not be told of events', { tenant, subscription: subscription.name, error }),
    );
  }
};

const deliver = async (deps: Parts, tenant: TenantId, subscription: Subscription): Promise<void> => {
  const { eventCursors, clock, random } = deps;
  const { name, types } = subscription;
  const holder = random.hex(8);
  const save = (from: StoredCursor, next: EventCursor) => eventCursors.write(tenant, name, from, next);
  let stored = await eventCursors.read(tenant, name);
  const { lease, failures } = stored.cursor;
  // Whoever tells it now also tells it of what is new.
  if ((lease && lease.until > clock.now()) || (failures && failures.retryAt > clock.now())) return;
  for (let part = 1; part <= MOST_PARTS; part++) {
    const { after } = stored.cursor;
    const { events, to, isLast } = await nextEvents(deps, tenant, types, after);
    if (events.length === 0 && to - after < MOST_UNNOTED) break;
    const until = clock.now() + LEASE_SECONDS * 1_000;
    const taken = await save(stored, { ...stored.cursor, lease: { holder, until } });
    if (!taken) return;
    const { done, error } = await tell(deps, subscription, events);
    const undone = events[done];
    if (undone) {
      const before = done > 0 ? 0 : (stored.cursor.failures?.count ?? 0);
      const waitSeconds = Math.min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** before);
      const retry = { count: before + 1, retryAt: clock.now() + waitSeconds * 1_000 };
      await save(taken, { after: undone.sequence - 1, failures: retry });
      throw error ?? new Error(`${name} did ${done} of ${events.length} events`);
    }
    const saved = await save(taken, { after: to, ...(isLast ? {} : { lease: { holder, until } }) });
    if (!saved || isLast) return;
    stored = saved;
  }
  if (stored.cursor.lease?.holder === holder) await save(stored, { after: stored.cursor.after });
};

/** Those after one that are for the subscription: some, and how far the log was read for them. */
const nextEvents = async (deps: Parts, tenant: TenantId, types: readonly EventType[] | undefined, after: number) => {
  let to = after;
  for await (const { entries, to: end, isLast } of readLogAfter(deps, tenant, after)) {
    to = end;
    const events = entries.map(toStoredEvent).filter(({ type }) => types?.includes(type) ?? true);
    if (events.length > 0 || isLast || to - after >= MOST_UNNOTED) return { events, to, isLast };
  }
  return { events: [], to, isLast: true };
};

/** How many of the first are done, and why not the others. */
const tell = async (
  { clock }: Parts,
  subscription: Subscription,
  events: readonly StoredEvent[],
): Promise<{ readonly done: number; readonly error?: unknown }> => {
  if (events.length === 0) return { done: 0 };
  const late = new AbortController();
  const callOff = clock.after(LEASE_SECONDS * 1_000, () => late.abort(new Error('Another process may tell it now.')));
  try {
    return { done: await subscription.handle(events, late.signal) };
  } catch (error) {
    return { done: 0, error };
  } finally {
    callOff();
  }
};
