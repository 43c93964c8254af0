import { createHmac } from 'node:crypto';
import type { Instant, Random } from '../domain/clock.ts';
import { isTenantId, type TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { HashedPair, SessionToken } from '../domain/session-tokens.ts';
import { hasHash, hashOf, isWhole, withChecksum } from './secret-text.ts';

/** Which session token a text is of. Whether it is good is in the store. */
export interface SessionTokenText {
  readonly tenant: TenantId;
  readonly id: string;
}

export interface RefreshTokenText extends SessionTokenText {
  /** What all refresh tokens of one trade have in common. */
  readonly family: string;
}

/** Texts that are shown once and kept nowhere. */
export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
}

const FAMILY_BYTES = 16;
const SECRET_BYTES = 32;
const NONCE_BYTES = 16;
const ACCESS = /^errand_session_([a-z0-9-]{1,63})_([0-9a-f]{16})_[0-9a-f]{72}$/;
const REFRESH = /^errand_refresh_([a-z0-9-]{1,63})_([0-9a-f]{16})_([0-9a-f]{32})[0-9a-f]{72}$/;

/** Undefined when it is no session token of ours; a refresh token is none. */
export const parseAccessToken = (text: string): SessionTokenText | undefined => {
  const [, tenant = '', id = ''] = ACCESS.exec(text) ?? [];
  return isTenantId(tenant) && isWhole(text) ? { tenant, id } : undefined;
};

/** Undefined when it is no refresh token of ours; a session token is none. */
export const parseRefreshToken = (text: string): RefreshTokenText | undefined => {
  const [, tenant = '', id = '', family = ''] = REFRESH.exec(text) ?? [];
  return isTenantId(tenant) && isWhole(text) ? { tenant, id, family } : undefined;
};

/** `errand_session_<tenant>_<id>_<secret><checksum>`, and `errand_refresh_<tenant>_<id>_<family><secret><checksum>`. */
const pairOf = ({ tenant, id, family }: RefreshTokenText, secretOf: (use: string) => string): TokenPair => ({
  accessToken: withChecksum(`errand_session_${tenant}_${id}_${secretOf('access')}`),
  refreshToken: withChecksum(`errand_refresh_${tenant}_${id}_${family}${secretOf('refresh')}`),
});

/** The pair that a credential is traded for. */
export const firstPair = (
  text: SessionTokenText,
  random: Random,
): { readonly pair: TokenPair; readonly familyHash: string } => {
  const family = random.hex(FAMILY_BYTES);
  return { pair: pairOf({ ...text, family }, () => random.hex(SECRET_BYTES)), familyHash: hashOf(family) };
};

/**
 * The pair that replaces another, derived from the refresh token that was shown and what the store keeps of the exchange: whoever shows the same
 * one again, as its answer was lost, gets the same pair and not a second one. Who has only the token or only the store can derive nothing.
 */
export const nextPair = (refreshToken: string, nonce: string): TokenPair => {
  const text = parseRefreshToken(refreshToken);
  if (!text) throw new TypeError('Not a refresh token');
  return pairOf(text, (use) => createHmac('sha256', refreshToken).update(`${use}/${nonce}`).digest('hex'));
};

export const makeNonce = (random: Random): string => random.hex(NONCE_BYTES);

/** As it is stored. It never outlives what it can be renewed for. */
export const toHashedPair = (
  { accessToken, refreshToken }: TokenPair,
  now: Instant,
  refreshExpiresAt: Instant,
): HashedPair => ({
  accessHash: hashOf(accessToken),
  refreshHash: hashOf(refreshToken),
  expiresAt: Math.min(now + LIMITS.sessionTokenSeconds * 1_000, refreshExpiresAt),
});

export const isOver = ({ revokedAt, refreshExpiresAt }: SessionToken, now: Instant): boolean =>
  revokedAt !== undefined || now >= refreshExpiresAt;

const OVERLAP_MS = LIMITS.sessionOverlapSeconds * 1_000;

/** Whether the text is the session token that is good now, or the one before for as long as requests with it may be under way. */
export const isGoodAccessToken = (session: SessionToken, text: string, now: Instant): boolean => {
  if (isOver(session, now)) return false;
  const { pair, replaced } = session;
  if (hasHash(text, pair.accessHash)) return now < pair.expiresAt;
  if (!replaced || !hasHash(text, replaced.pair.accessHash)) return false;
  return now < Math.min(replaced.pair.expiresAt, replaced.at + OVERLAP_MS);
};

/**
 * What it means that a refresh token of the family is shown: `first`, it is the one that is good; `again`, it was just used, and the answer may have
 * been lost; `reuse`, it was used before that, so that somebody has what only another should (RFC 9700, section 4.14.2); `over`, none is good.
 */
export const useOfRefreshToken = (
  session: SessionToken,
  text: string,
  now: Instant,
): 'first' | 'again' | 'reuse' | 'over' => {
  if (isOver(session, now)) return 'over';
  const { pair, replaced } = session;
  if (hasHash(text, pair.refreshHash)) return 'first';
  const isJustUsed = replaced && hasHash(text, replaced.pair.refreshHash) && now - replaced.at < OVERLAP_MS;
  return isJustUsed ? 'again' : 'reuse';
};
