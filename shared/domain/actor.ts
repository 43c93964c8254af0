import type { Instant } from './clock.ts';
import type { CommandSpec } from './command.ts';
import type { Credential } from './credential.ts';
import type { TenantId } from './ids.ts';
import { type Permission, ROLES } from './permissions.ts';
import type { TenantLimits } from './quotas.ts';

/** What a credential is limited to, besides its permissions. */
export interface Scope {
  /** Only these targets. Undefined: all. */
  readonly targets?: readonly string[];
  /** Only commands that carry all of these labels; they are put on what it submits. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Who calls, whose data it is, and what it may do. Made by authentication only, never from a request's body. */
export interface Actor {
  /** Of the member or service account, or `owner`. */
  readonly id: string;
  readonly tenant: TenantId;
  /** A built-in role's name, or a tenant's own. */
  readonly role: string;
  readonly permissions: ReadonlySet<Permission>;
  readonly scope: Scope;
  readonly credential: Credential;
  /** When the credential ends by itself, where that is known. */
  readonly credentialEndsAt?: Instant | undefined;
  /** Of the installation's own key: a digest, by which one that took its place is told from it. */
  readonly credentialHash?: string | undefined;
  /** The network that it calls from, where that is known. */
  readonly place?: string;
  /** Its tenant's. */
  readonly limits?: TenantLimits | undefined;
}

/** Whoever runs the installation. */
export const ownerOf = (tenant: TenantId): Actor => ({
  id: 'owner',
  tenant,
  role: 'owner',
  permissions: new Set(ROLES.owner),
  scope: {},
  credential: { kind: 'installation-key' },
});

/** Whether the command is within the scope. */
export const isInScope = (
  { targets, labels }: Scope,
  { spec }: { readonly spec: Pick<CommandSpec, 'target' | 'labels'> },
): boolean =>
  (targets === undefined || targets.includes(spec.target)) &&
  Object.entries(labels ?? {}).every(([name, value]) => spec.labels[name] === value);
