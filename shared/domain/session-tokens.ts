import type { Scope } from './actor.ts';
import type { Instant } from './clock.ts';
import type { Permission } from './permissions.ts';

/** What a session token was traded for, and is worth nothing without. */
export type TradedFor =
  | { readonly kind: 'api-key'; readonly id: string }
  /** Another issuer's, by its `jti` where it has one. */
  | { readonly kind: 'access-token'; readonly id: string | undefined }
  /** With a digest of it, so that none of its session tokens outlives its being replaced. */
  | { readonly kind: 'installation-key'; readonly hash: string };

/** A session token and the refresh token that came with it, by the SHA-256 of their texts in hex. */
export interface HashedPair {
  readonly accessHash: string;
  readonly refreshHash: string;
  /** When the session token ends. */
  readonly expiresAt: Instant;
}

/** What a credential was traded for: a session token, and those that take its place. Their texts are nowhere. */
export interface SessionToken {
  readonly id: string;
  readonly name?: string;
  /** The member that it speaks for; `owner` for the installation's owner. */
  readonly member: string;
  readonly tradedFor: TradedFor;
  /** At most these, of what the credential may do at the time of the request. */
  readonly permissions: readonly Permission[];
  readonly scope: Scope;
  /** SHA-256 of what all of its refresh tokens have in common, by which one that was used long ago is told from a guess. */
  readonly familyHash: string;
  readonly pair: HashedPair;
  /** The pair before, when it was replaced, and what the present one was derived with. */
  readonly replaced?: { readonly pair: HashedPair; readonly at: Instant; readonly nonce: string };
  readonly createdAt: Instant;
  /** When it can be renewed no more, whatever happens. */
  readonly refreshExpiresAt: Instant;
  readonly revokedAt?: Instant;
}
