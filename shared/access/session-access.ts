import type { Actor } from '../domain/actor.ts';
import type { Clock, Instant } from '../domain/clock.ts';
import type { TenantId } from '../domain/ids.ts';
import { isShut } from '../domain/principals.ts';
import type { SessionToken } from '../domain/session-tokens.ts';
import type { Principals } from '../store/principals.ts';
import { keys } from '../store/schema.ts';
import { isValidKey, limitRights, type Rights, rightsOfKey, rightsOfMember } from './rights.ts';
import { isGoodAccessToken, isOver, type SessionTokenText } from './session-token.ts';

export interface SessionParts {
  readonly principals: Principals;
  readonly clock: Clock;
  /** Of the installation's own key. */
  readonly ownerKeyHash: () => Promise<string>;
}

/** The caller by its session token. Undefined when that is not good. */
export const bySessionToken = async (
  parts: SessionParts,
  { tenant, id }: SessionTokenText,
  text: string,
): Promise<Actor | undefined> => {
  const session = (await parts.principals.sessionTokens.get(keys.sessionToken(tenant, id)))?.value;
  return session && isGoodAccessToken(session, text, parts.clock.now())
    ? actorOfSession(parts, tenant, session)
    : undefined;
};

/**
 * The caller that a session token speaks for, with what both it and the credential that it was traded for may do now. Undefined when it is over, or
 * that credential is no longer good.
 */
export const actorOfSession = async (
  parts: SessionParts,
  tenant: TenantId,
  session: SessionToken,
): Promise<Actor | undefined> => {
  const { principals, clock } = parts;
  const now = clock.now();
  if (isOver(session, now)) return undefined;
  const [rights, tenantFound] = await Promise.all([
    rightsOfTraded(parts, tenant, session, now),
    principals.tenants.get(keys.tenant(tenant)),
  ]);
  if (!rights || isShut(tenantFound?.value)) return undefined;
  const { member, id, refreshExpiresAt } = session;
  return {
    ...{ id: member, tenant, ...limitRights(rights, session) },
    credential: { kind: 'session-token', id },
    credentialEndsAt: refreshExpiresAt,
    limits: tenantFound?.value.limits,
  };
};

/** What the credential may do that it was traded for. */
const rightsOfTraded = async (
  { principals, ownerKeyHash }: SessionParts,
  tenant: TenantId,
  { tradedFor, member }: SessionToken,
  now: Instant,
): Promise<Rights | undefined> => {
  if (tradedFor.kind === 'api-key') {
    const key = (await principals.apiKeys.get(keys.apiKey(tenant, tradedFor.id)))?.value;
    return key && isValidKey(key, now) ? rightsOfKey(principals, tenant, key) : undefined;
  }
  if (tradedFor.kind === 'installation-key' && tradedFor.hash !== (await ownerKeyHash())) return undefined;
  // Another issuer's token cannot be asked for again: the session token ends with it.
  return rightsOfMember(principals, tenant, member);
};
