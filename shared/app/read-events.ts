import type * as z from 'zod';
import type { EventPage } from '../contract/event-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { type EventType, permissionOfEvent, type StoredEvent } from '../domain/events.ts';
import type { CommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Permission } from '../domain/permissions.ts';
import { noteRefusal } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { readLogAfter } from './read-log.ts';
import { mayReadEvent, readableEvents } from './readable-events.ts';
import { requireCommand } from './require-command.ts';

export interface EventQuery {
  /** @default all that the caller may read */
  readonly type?: readonly EventType[] | undefined;
  /** Only about this one. */
  readonly command?: CommandId | undefined;
  /** Of those after this one. */
  readonly after?: number | undefined;
}

/** One event, or undefined for a sign of life, with the number to resume after. */
export interface FollowedEvent {
  readonly event?: StoredEvent;
  readonly position: number;
}

interface FollowOptions {
  /** Ends the events after so long, with a sign of life; the reader resumes, and shows its credential again. @default 300 */
  readonly forSeconds?: number | undefined;
  /** A long poll: they end as soon as there were some. @default false */
  readonly poll?: boolean;
}

/** A key that was revoked is good for no longer than this on a stream that was opened with it. */
const LONGEST_SECONDS = 300;
const HEARTBEAT_SECONDS = 15;
/** How many entries one request reads: bounds the work that a filter with few matches causes. */
const MOST_SCANNED = 5_000;

/** A page of a tenant's events, the oldest first. @throws AppError 'forbidden' for a type, 'not-found' for a command, 'invalid-request' for an `after` past the end */
export const readEvents = async (
  deps: Deps,
  actor: Actor,
  query: EventQuery & { readonly limit?: number | undefined },
): Promise<z.output<typeof EventPage>> => {
  const { after = 0, limit = LIMITS.listItems } = query;
  await requireReadable(deps, actor, query);
  if (deps.sealsOnRead) await (await import('./seal-audit.ts')).sealTenant(deps, actor.tenant);
  await requireWithin(deps, actor, after);
  const items: StoredEvent[] = [];
  let scanned = after;
  for await (const { entries, to } of readLogAfter(deps, actor.tenant, after)) {
    const events = await readableEvents(deps, actor, query, entries);
    items.push(...events.slice(0, limit - items.length));
    const isFull = items.length === limit;
    scanned = isFull ? (items.at(-1)?.sequence ?? to) : to;
    if (isFull || scanned - after >= MOST_SCANNED) break;
  }
  const { head } = await deps.auditLog.head(actor.tenant);
  return { items, after: scanned, more: scanned < head.end.size };
};

/**
 * Follows a tenant's events live: those after one, or from now on. Begins with a sign of life, so that a reader knows from where to go on.
 * @throws as readEvents
 */
export const followEvents = async (
  deps: Deps,
  actor: Actor,
  query: EventQuery,
  options: FollowOptions = {},
): Promise<AsyncGenerator<FollowedEvent>> => {
  await requireReadable(deps, actor, query);
  await requireWithin(deps, actor, query.after ?? 0);
  return follow(deps, actor, query, options);
};

async function* follow(
  deps: Deps,
  actor: Actor,
  query: EventQuery,
  { forSeconds = LONGEST_SECONDS, poll = false }: FollowOptions,
): AsyncGenerator<FollowedEvent> {
  const { clock, auditLog } = deps;
  const { tenant } = actor;
  using watch = deps.eventFeed.watch(tenant);
  const endAt = clock.now() + Math.min(forSeconds, LONGEST_SECONDS) * 1_000;
  // What happened until now is before what happens from now on.
  await watch.next(0);
  let position = query.after ?? (await auditLog.head(tenant)).head.end.size;
  let silentSince = clock.now();
  let isAnswered = false;
  yield { position };
  for (;;) {
    if ((await auditLog.head(tenant)).head.end.size > position) {
      for await (const { entries, to } of readLogAfter(deps, tenant, position)) {
        for (const event of await readableEvents(deps, actor, query, entries)) {
          yield { event, position: event.sequence };
          silentSince = clock.now();
          isAnswered = poll;
        }
        position = to;
      }
    }
    const heartbeatAt = Math.min(endAt, silentSince + HEARTBEAT_SECONDS * 1_000);
    if (!isAnswered) {
      if (clock.now() < heartbeatAt) await watch.next(heartbeatAt - clock.now());
      if (clock.now() < heartbeatAt) continue;
    }
    yield { position };
    if (isAnswered || clock.now() >= endAt || deps.closing.aborted) return;
    silentSince = clock.now();
  }
}

/** What is asked for by name is refused rather than left out in silence. */
const requireReadable = async (deps: Deps, actor: Actor, { type = [], command }: EventQuery): Promise<void> => {
  const hidden = type.find((one) => !mayReadEvent(actor, one));
  if (hidden) {
    const permission: Permission = permissionOfEvent(hidden);
    await noteRefusal(deps, actor, 'access.forbidden', 'readEvents', { permission, type: hidden });
    throw new AppError(
      'forbidden',
      `Events ${hidden} take the permission ${permission}, which the role ${actor.role} lacks.`,
    );
  }
  if (command) await requireCommand(deps, actor, command);
};

const requireWithin = async ({ auditLog }: Pick<Deps, 'auditLog'>, { tenant }: Actor, after: number): Promise<void> => {
  if (after === 0) return;
  const { size } = (await auditLog.head(tenant)).head.end;
  if (after <= size) return;
  const detail = `There are ${size} events; number ${after} is not among them. It was of another tenant or installation.`;
  throw new AppError('invalid-request', detail, { faults: [{ in: 'query', pointer: '/after', detail }] });
};
