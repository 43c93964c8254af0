import type { Scope } from './actor.ts';
import type { AuditActor } from './audit.ts';
import type { Instant } from './clock.ts';
import type { TenantId } from './ids.ts';
import type { Permission } from './permissions.ts';
import type { TenantLimits } from './quotas.ts';

/** Who an access token speaks of (OpenID Connect Core, section 2: `sub` is unique within its issuer). */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
}

/** A person, or a program's account, within a tenant. */
export interface Member {
  readonly id: string;
  readonly kind: 'person' | 'service-account';
  readonly name: string;
  /** A built-in role or one of the tenant's own. */
  readonly role: string;
  readonly scope: Scope;
  /** Whose access tokens speak for it. */
  readonly identity?: Identity;
  readonly disabled: boolean;
  readonly createdAt: Instant;
  readonly createdBy: string;
}

/** A role that a tenant made up. */
export interface CustomRole {
  readonly name: string;
  readonly description: string;
  readonly permissions: readonly Permission[];
}

/** A key of a member. Its text is nowhere. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** The member that it speaks for; `owner` for the installation's owner. */
  readonly member: string;
  /** SHA-256 of its text, in hex. */
  readonly hash: string;
  /** Fewer than its member has; undefined: the same. */
  readonly permissions?: readonly Permission[];
  readonly scope: Scope;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly expiresAt?: Instant;
  readonly revokedAt?: Instant;
  /** To the hour. */
  readonly lastUsedAt?: Instant;
}

export interface Tenant {
  readonly id: string;
  readonly name: string;
  /** None of its credentials is good meanwhile. */
  readonly suspended: boolean;
  readonly limits?: TenantLimits;
  readonly createdAt: Instant;
  /** It is on its way out, or gone. The id stays taken for ever, so that nothing old is ever taken for a new tenant's. */
  readonly removal?: { readonly requestedAt: Instant; readonly removedAt?: Instant };
}

/** Whether none of its credentials is good. A tenant without a record, such as the owner's, is open. */
export const isShut = (tenant: Tenant | undefined): boolean =>
  tenant !== undefined && (tenant.suspended || tenant.removal !== undefined);

/** The work of removing a tenant, as far as it has come. */
export interface Removal {
  readonly tenant: TenantId;
  readonly requestedAt: Instant;
  readonly requestedBy: AuditActor;
  /** Commands that had not ended at the last look; absent before the first. */
  readonly unfinished?: number;
  /** Commands that are gone. */
  readonly erased: number;
}
