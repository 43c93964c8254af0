import { createHash, timingSafeEqual } from 'node:crypto';
import { type Actor, ownerOf } from '../domain/actor.ts';
import type { Clock, Instant } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { GIVES_ACCESS, type Permission } from '../domain/permissions.ts';
import { type ApiKey, isShut } from '../domain/principals.ts';
import type { TenantLimits } from '../domain/quotas.ts';
import type { SessionToken } from '../domain/session-tokens.ts';
import type { Principals } from '../store/principals.ts';
import { keys } from '../store/schema.ts';
import type { AccessToken, AccessTokens } from './access-tokens.ts';
import { parseApiKey } from './api-key.ts';
import { DEFAULT_TENANT, isValidKey, rightsOfKey, rightsOfMember } from './rights.ts';
import { hasHash, hashOf } from './secret-text.ts';
import { actorOfSession, bySessionToken } from './session-access.ts';
import { parseAccessToken } from './session-token.ts';

/** Who calls. */
export interface Access {
  /**
   * The caller by the bearer token of the request.
   * @throws AppError 'unauthenticated' when there is none or it is not good
   */
  authenticate(token: string | undefined): Promise<Actor>;
  /** The caller that a session token speaks for now. Undefined when it is over, or what it was traded for is no longer good. */
  actorOf(tenant: TenantId, session: SessionToken): Promise<Actor | undefined>;
  /** Whether access tokens of issuers are taken. */
  readonly takesTokens: boolean;
  /** Whose. */
  issuers(): Promise<readonly string[]>;
}

export interface AccessOptions {
  readonly principals: Principals;
  readonly clock: Clock;
  /** The installation's own key, which its owner holds; asked for once. */
  readonly readOwnerKey: () => Promise<string>;
  /** Verifies access tokens of issuers; loaded when one comes. @default none is good */
  readonly tokens?: (() => Promise<AccessTokens>) | undefined;
  /** Whether the last use of a key is noted, which takes a write. @default true */
  readonly notesUse?: boolean;
}

/** The same whatever is wrong with it: who guesses learns nothing. */
const notGood = (): AppError => unauthenticated('The key is not good: unknown, expired or revoked.');

/**
 * Keys of members, what they were traded for, and the one key of the installation's owner. Looked up with each request, so that a revoked one is at
 * once.
 */
export const makeAccess = (options: AccessOptions): Access => {
  const { principals, clock, readOwnerKey, tokens, notesUse = true } = options;
  const ownerKey = once(readOwnerKey);
  const ownerKeyHash = async () => hashOf(`session-tokens/${await ownerKey()}`);
  const sessions = { principals, clock, ownerKeyHash };
  return {
    actorOf: (tenant, session) => actorOfSession(sessions, tenant, session),
    takesTokens: tokens !== undefined,
    issuers: async () => (tokens ? (await tokens()).issuers : []),
    async authenticate(token) {
      if (token === undefined) throw unauthenticated('This needs a key: Authorization: Bearer <key>.');
      const parsed = parseApiKey(token);
      if (parsed) {
        const { tenant, id } = parsed;
        const good = await goodKey(principals, tenant, id, { token, now: clock.now() });
        const rights = good && (await rightsOfKey(principals, tenant, good.key));
        if (!rights) throw notGood();
        const { key, limits } = good;
        if (notesUse) await noteUse(principals, tenant, key, clock.now());
        const { member, expiresAt: credentialEndsAt } = key;
        return { id: member, tenant, ...rights, credential: { kind: 'api-key', id }, credentialEndsAt, limits };
      }
      const session = parseAccessToken(token);
      if (session) {
        const actor = await bySessionToken(sessions, session, token);
        if (!actor) throw notGood();
        return actor;
      }
      if (tokens && looksLikeAccessToken(token)) return byAccessToken(principals, await (await tokens()).verify(token));
      if (!isSameSecret(token, await ownerKey())) throw notGood();
      return { ...ownerOf(DEFAULT_TENANT), credentialHash: await ownerKeyHash() };
    },
  };
};

/** As an access token looks (RFC 7519, section 3), and no key of ours. */
const looksLikeAccessToken = (token: string): boolean => token.startsWith('eyJ') && token.includes('.');

const byAccessToken = async (principals: Principals, token: AccessToken | undefined): Promise<Actor> => {
  if (!token) throw notGood();
  const { tenant, identity, id, expiresAt } = token;
  const [found, tenantFound] = await Promise.all([
    principals.memberOf(tenant, identity),
    principals.tenants.get(keys.tenant(tenant)),
  ]);
  if (isShut(tenantFound?.value)) throw notGood();
  if (!found) {
    const who = `${identity.subject} of ${identity.issuer}`;
    throw new AppError(
      'forbidden',
      `The token is good, but ${who} is no member here. An admin can add one with this identity.`,
    );
  }
  const { id: member } = found.value;
  const rights = await rightsOfMember(principals, tenant, member);
  if (!rights) throw notGood();
  return {
    ...{ id: member, tenant, ...rights },
    credential: { kind: 'access-token', id },
    credentialEndsAt: expiresAt,
    limits: tenantFound?.value.limits,
  };
};

const goodKey = async (
  principals: Principals,
  tenant: TenantId,
  id: string,
  { token, now }: { readonly token: string; readonly now: Instant },
): Promise<{ key: ApiKey; limits: TenantLimits | undefined } | undefined> => {
  const [found, tenantFound] = await Promise.all([
    principals.apiKeys.get(keys.apiKey(tenant, id)),
    principals.tenants.get(keys.tenant(tenant)),
  ]);
  const key = found?.value;
  const isGood = key && hasHash(token, key.hash) && isValidKey(key, now) && !isShut(tenantFound?.value);
  return isGood ? { key, limits: tenantFound?.value.limits } : undefined;
};

const USE_IS_NOTED_EVERY_MS = 3_600_000;

/** To the hour: a write for each request would cost more than the request. */
const noteUse = async (principals: Principals, tenant: TenantId, key: ApiKey, now: number): Promise<void> => {
  if (now - (key.lastUsedAt ?? 0) < USE_IS_NOTED_EVERY_MS) return;
  await principals.apiKeys
    .change(keys.apiKey(tenant, key.id), (latest) => ({ ...latest, lastUsedAt: Math.max(now, latest.lastUsedAt ?? 0) }))
    // Nobody is kept out for want of a note.
    .catch(() => {});
};

const once = (read: () => Promise<string>): (() => Promise<string>) => {
  let reading: Promise<string> | undefined;
  return () => {
    reading ??= read();
    // A read that failed must not lock everyone out for as long as the process lives.
    reading.catch(() => (reading = undefined));
    return reading;
  };
};

/** @throws AppError 'forbidden' */
export const requirePermission = ({ permissions, role, credential }: Actor, permission: Permission): void => {
  if (permissions.has(permission)) return;
  const mayAsk = credential.kind === 'session-token' && GIVES_ACCESS.includes(permission);
  const next = mayAsk ? ' A session token has it only if it was asked for by name.' : '';
  throw new AppError(
    'forbidden',
    `This needs the permission ${permission}, which this caller (role ${role}) does not have.${next}`,
  );
};

/** In constant time. What is compared has equal lengths, so that it tells nothing of the secret's. */
export const isSameSecret = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** For a runner's token, the same whatever is wrong with it: who guesses learns nothing. */
export const noRight = (): AppError =>
  unauthenticated('This needs the token of an attempt: Authorization: Bearer <token>.');

export const unauthenticated = (detail: string): AppError =>
  new AppError('unauthenticated', detail, { headers: { 'www-authenticate': 'Bearer' } });
