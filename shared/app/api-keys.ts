import type * as z from 'zod';
import { makeApiKey } from '../access/api-key.ts';
import { OWNER, rightsOfKey } from '../access/rights.ts';
import type { ApiKeyList, ApiKeyView, CreateApiKey, NewApiKeyView, RotateApiKey } from '../contract/access-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { ApiKey } from '../domain/principals.ts';
import { keys } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { requireMember } from './members.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { requireNoMoreThan, toScope, toScopeView } from './scope.ts';

type Parts = Pick<Deps, 'principals' | 'clock' | 'random' | 'auditLog'>;
type NewKey = z.output<typeof NewApiKeyView>;

/**
 * A new key, for the caller itself or, with keys:manage, another member of the tenant. It may do no more than its maker.
 * @throws AppError 'forbidden', 'not-found' for a member that is not there, 'invalid-request' for an end in the past
 */
export const createApiKey = async (
  deps: Parts,
  actor: Actor,
  { name, member = actor.id, permissions, scope, expiresAt }: z.output<typeof CreateApiKey>,
): Promise<NewKey> => {
  if (member !== actor.id) {
    if (!actor.permissions.has('keys:manage')) {
      throw new AppError('forbidden', 'A key for another member needs the permission keys:manage.');
    }
    await requireMember(deps, actor, member);
  }
  // A key that was limited makes no key that is not: what is left out is what the caller itself has.
  const own = member === actor.id ? actor : undefined;
  const given = permissions ?? (own ? [...actor.permissions] : undefined);
  const terms: KeyTerms = {
    name,
    member,
    ...(given ? { permissions: given } : {}),
    scope: scope ? toScope(scope) : (own?.scope ?? {}),
    ...ending(deps.clock.now(), expiresAt),
  };
  if (permissions) requireNoMoreThan(actor, permissions, actor.scope);
  await requireRightsOf(deps, actor, terms);
  return addKey(deps, actor, terms);
};

/** Whoever gets to see a key can do all that it can. @throws AppError 'forbidden' */
const requireRightsOf = async (
  { principals }: Pick<Parts, 'principals'>,
  actor: Actor,
  key: KeyTerms,
): Promise<void> => {
  const rights = await rightsOfKey(principals, actor.tenant, key);
  if (rights) requireNoMoreThan(actor, rights.permissions, rights.scope);
};

type KeyTerms = Pick<ApiKey, 'name' | 'member' | 'permissions' | 'scope' | 'expiresAt'>;

const addKey = async (deps: Parts, actor: Actor, terms: KeyTerms, replaced?: string): Promise<NewKey> => {
  const { id, hash, text } = makeApiKey(actor.tenant, deps.random);
  const key: ApiKey = { ...terms, id, hash, createdAt: deps.clock.now(), createdBy: actor.id };
  const { member, permissions, scope, expiresAt } = terms;
  const event = auditWrite(deps, actor, replaced === undefined ? 'key.created' : 'key.rotated', id, {
    ...{ member, scope },
    ...(permissions ? { permissions } : {}),
    ...(expiresAt === undefined ? {} : { expiresAt: toTimestamp(expiresAt) }),
    ...(replaced === undefined ? {} : { replaced }),
  });
  await deps.principals.apiKeys.add(keys.apiKey(actor.tenant, id), key, [event]);
  return { ...toView(key), key: text };
};

/** The caller's own keys; with keys:manage, all of the tenant's. */
export const listApiKeys = async (
  { principals }: Pick<Deps, 'principals'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof ApiKeyList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await principals.apiKeys.list(keys.apiKey(actor.tenant, '').pk, { limit, after });
  return {
    items: found.filter((key) => isTheirs(actor, key)).map(toView),
    ...nextCursor(
      actor.tenant,
      found.map(({ id }) => id),
      limit,
    ),
  };
};

const isTheirs = (actor: Actor, { member }: ApiKey): boolean =>
  member === actor.id || actor.permissions.has('keys:manage');

/** A day: time to bring the new one to wherever the old one is in use. */
const DEFAULT_OVERLAP_SECONDS = 24 * 3_600;

/**
 * A new key with the same terms; the old one stays good for the overlap, and no longer than it would have.
 * @throws AppError 'not-found'; 'forbidden' for a key that may do more than the caller; 'conflict' for a key that is not good any more
 */
export const rotateApiKey = async (
  deps: Parts,
  actor: Actor,
  id: string,
  { overlapSeconds = DEFAULT_OVERLAP_SECONDS, expiresAt }: z.output<typeof RotateApiKey>,
): Promise<NewKey> => {
  const old = await requireKey(deps, actor, id);
  const now = deps.clock.now();
  if (old.revokedAt !== undefined || (old.expiresAt ?? now + 1) <= now) {
    throw new AppError('conflict', `The key ${id} is not good any more. Make a new one.`);
  }
  await requireRightsOf(deps, actor, old);
  const { name, member, permissions, scope } = old;
  const made = await addKey(
    deps,
    actor,
    {
      ...{ name, member, scope },
      ...(permissions ? { permissions } : {}),
      ...ending(now, expiresAt),
    },
    id,
  );
  await deps.principals.apiKeys.change(keys.apiKey(actor.tenant, id), (latest) => ({
    ...latest,
    expiresAt: Math.min(latest.expiresAt ?? Number.MAX_SAFE_INTEGER, now + overlapSeconds * 1_000),
  }));
  return made;
};

/** From now on it is not good. @throws AppError 'not-found' */
export const revokeApiKey = async (deps: Parts, actor: Actor, id: string): Promise<void> => {
  await requireKey(deps, actor, id);
  const revoke = (key: ApiKey) => (key.revokedAt === undefined ? { ...key, revokedAt: deps.clock.now() } : undefined);
  const event = auditWrite(deps, actor, 'key.revoked', id);
  await deps.principals.apiKeys.change(keys.apiKey(actor.tenant, id), revoke, [event]);
};

/** The same for another member's key as for one that never was. */
const requireKey = async ({ principals }: Pick<Deps, 'principals'>, actor: Actor, id: string): Promise<ApiKey> => {
  const key = (await principals.apiKeys.get(keys.apiKey(actor.tenant, id)))?.value;
  if (key && isTheirs(actor, key)) return key;
  const detail = `There is no key ${id}.`;
  throw new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

const ending = (now: Instant, text: string | undefined): Pick<ApiKey, 'expiresAt'> => {
  if (text === undefined) return {};
  const expiresAt = Date.parse(text);
  if (expiresAt > now) return { expiresAt };
  const detail = 'must be in the future';
  throw new AppError('invalid-request', `/expiresAt: ${detail}`, {
    faults: [{ in: 'body', pointer: '/expiresAt', detail }],
  });
};

/** The first key of a tenant's first admin, made by the installation's owner. */
export const firstKeyOf = (
  deps: Pick<Parts, 'principals' | 'clock' | 'random'>,
  tenant: Actor['tenant'],
  member: string,
) => {
  const { id, hash, text } = makeApiKey(tenant, deps.random);
  const key: ApiKey = { id, hash, name: 'first', member, scope: {}, createdAt: deps.clock.now(), createdBy: OWNER };
  return { text, write: deps.principals.apiKeys.writeOf(keys.apiKey(tenant, id), key, 0) };
};

const toTime = (instant: Instant | undefined): string | null => (instant === undefined ? null : toTimestamp(instant));

const toView = (key: ApiKey): z.output<typeof ApiKeyView> => ({
  id: key.id,
  name: key.name,
  member: key.member,
  permissions: key.permissions ? [...key.permissions] : null,
  scope: toScopeView(key.scope),
  createdAt: toTimestamp(key.createdAt),
  createdBy: key.createdBy,
  expiresAt: toTime(key.expiresAt),
  revokedAt: toTime(key.revokedAt),
  lastUsedAt: toTime(key.lastUsedAt),
});
