import type * as z from 'zod';
import { firstPair, type TokenPair, toHashedPair } from '../access/session-token.ts';
import type {
  CreateSessionToken,
  NewSessionTokenView,
  SessionTokenList,
  SessionTokenView,
} from '../contract/session-token-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { GIVES_ACCESS } from '../domain/permissions.ts';
import type { SessionToken, TradedFor } from '../domain/session-tokens.ts';
import { keys } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { requireNoMoreThan, toScope, toScopeView } from './scope.ts';

type Parts = Pick<Deps, 'principals' | 'clock' | 'random' | 'auditLog'>;
export type NewSessionToken = z.output<typeof NewSessionTokenView>;

const ID_BYTES = 8;

/**
 * Trades the caller's credential for a session token, which may do no more than it and lives no longer. Keys and members, which would outlive it, it makes only
 * if that was asked for by name.
 * @throws AppError 'forbidden', also for a session token; 'conflict' for a credential that ends now
 */
export const createSessionToken = async (
  deps: Parts,
  actor: Actor,
  { name, permissions, scope }: z.output<typeof CreateSessionToken>,
): Promise<NewSessionToken> => {
  const { clock, random, principals } = deps;
  const { tenant } = actor;
  const tradedFor = tradedForOf(actor);
  const now = clock.now();
  const refreshExpiresAt = Math.min(now + LIMITS.sessionRefreshSeconds * 1_000, actor.credentialEndsAt ?? Infinity);
  if (refreshExpiresAt <= now)
    throw new AppError('conflict', 'The credential ends now. Get a new one, and trade that.');
  const terms = {
    permissions: permissions ?? [...actor.permissions].filter((one) => !GIVES_ACCESS.includes(one)),
    scope: scope ? toScope(scope) : actor.scope,
  };
  requireNoMoreThan(actor, terms.permissions, terms.scope);
  const id = random.hex(ID_BYTES);
  const { pair, familyHash } = firstPair({ tenant, id }, random);
  const session: SessionToken = {
    ...{ id, member: actor.id, tradedFor, ...terms, familyHash, refreshExpiresAt },
    ...(name === undefined ? {} : { name }),
    pair: toHashedPair(pair, now, refreshExpiresAt),
    createdAt: now,
  };
  const details = { ...terms, refreshExpiresAt: toTimestamp(refreshExpiresAt) };
  const event = auditWrite(deps, actor, 'session-token.created', id, details);
  await principals.sessionTokens.add(keys.sessionToken(tenant, id), session, [event]);
  return toNewView(session, pair, now);
};

const tradedForOf = ({ credential, credentialHash }: Actor): TradedFor => {
  if (credential.kind === 'api-key' || credential.kind === 'access-token') return credential;
  if (credential.kind === 'installation-key' && credentialHash !== undefined) {
    return { kind: 'installation-key', hash: credentialHash };
  }
  throw new AppError(
    'forbidden',
    'A session token cannot be traded for another. Renew it, or trade what it was traded for.',
  );
};

/** Those of the caller's credential; with keys:own its member's, with keys:manage all of the tenant's. */
export const listSessionTokens = async (
  { principals, clock }: Pick<Parts, 'principals' | 'clock'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof SessionTokenList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await principals.sessionTokens.list(keys.sessionToken(actor.tenant, '').pk, { limit, after });
  const now = clock.now();
  return {
    items: found.filter((one) => now < one.refreshExpiresAt && isTheirs(actor, one)).map(toView),
    ...nextCursor(
      actor.tenant,
      found.map(({ id }) => id),
      limit,
    ),
  };
};

const isTheirs = (actor: Actor, session: SessionToken): boolean => {
  const { id, permissions, credential } = actor;
  if (permissions.has('keys:manage')) return true;
  if (session.member !== id) return false;
  return permissions.has('keys:own') || isOf(session, credential);
};

/** Whether it is the credential itself, or was traded for it. */
const isOf = ({ id, tradedFor }: SessionToken, credential: Actor['credential']): boolean => {
  if (credential.kind === 'session-token') return credential.id === id;
  if (credential.kind !== tradedFor.kind) return false;
  return credential.kind === 'installation-key' || ('id' in tradedFor && credential.id === tradedFor.id);
};

/** From now on neither it nor its refresh token is good. @throws AppError 'not-found', the same for another's as for one that never was */
export const revokeSessionToken = async (deps: Parts, actor: Actor, id: string): Promise<void> => {
  const { principals, clock } = deps;
  const key = keys.sessionToken(actor.tenant, id);
  const found = (await principals.sessionTokens.get(key))?.value;
  if (!found || !isTheirs(actor, found)) {
    const detail = `There is no session token ${id}.`;
    throw new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
  }
  const event = auditWrite(deps, actor, 'session-token.revoked', id);
  await principals.sessionTokens.change(key, (latest) => revoked(latest, clock.now()), [event]);
};

/** Undefined when it is already. */
export const revoked = (session: SessionToken, now: Instant): SessionToken | undefined =>
  session.revokedAt === undefined ? { ...session, revokedAt: now } : undefined;

const toView = (session: SessionToken): z.output<typeof SessionTokenView> => {
  const { id, name, member, permissions, tradedFor, replaced, revokedAt } = session;
  return {
    ...{ id, name: name ?? null, member, permissions: [...permissions], scope: toScopeView(session.scope) },
    tradedFor: { kind: tradedFor.kind, id: ('id' in tradedFor ? tradedFor.id : undefined) ?? null },
    createdAt: toTimestamp(session.createdAt),
    refreshedAt: replaced ? toTimestamp(replaced.at) : null,
    expiresAt: toTimestamp(session.pair.expiresAt),
    refreshExpiresAt: toTimestamp(session.refreshExpiresAt),
    revokedAt: revokedAt === undefined ? null : toTimestamp(revokedAt),
  };
};

export const toNewView = (
  session: SessionToken,
  { accessToken, refreshToken }: TokenPair,
  now: Instant,
): NewSessionToken => ({
  ...toView(session),
  ...{ accessToken, refreshToken },
  expiresInSeconds: Math.max(0, Math.floor((session.pair.expiresAt - now) / 1_000)),
});
