import type { Actor, Scope } from '../domain/actor.ts';
import type { Instant } from '../domain/clock.ts';
import { type TenantId, toTenantId } from '../domain/ids.ts';
import { isRoleName, type Permission, ROLES } from '../domain/permissions.ts';
import type { ApiKey } from '../domain/principals.ts';
import type { Principals } from '../store/principals.ts';
import { keys } from '../store/schema.ts';

/** What somebody may do, and where. */
export type Rights = Pick<Actor, 'role' | 'permissions' | 'scope'>;

/** Whose the owner is. */
export const DEFAULT_TENANT = toTenantId('default');
export const OWNER = 'owner';

/** What a role may do: a built-in one, or one that the tenant made up. A role that is gone may nothing. */
export const permissionsOf = async (
  { roles }: Pick<Principals, 'roles'>,
  tenant: TenantId,
  name: string,
): Promise<ReadonlySet<Permission>> =>
  new Set(isRoleName(name) ? ROLES[name] : ((await roles.get(keys.role(tenant, name)))?.value.permissions ?? []));

/** Undefined for a member that is gone or disabled. */
export const rightsOfMember = async (
  principals: Principals,
  tenant: TenantId,
  id: string,
): Promise<Rights | undefined> => {
  if (id === OWNER && tenant === DEFAULT_TENANT) return { role: OWNER, permissions: new Set(ROLES.owner), scope: {} };
  const member = (await principals.members.get(keys.member(tenant, id)))?.value;
  if (!member || member.disabled) return undefined;
  const { role, scope } = member;
  return { role, permissions: await permissionsOf(principals, tenant, role), scope };
};

/**
 * A member as whoever acts in its name while it is away, with what it may do now. Undefined when it is gone or disabled, or its
 * tenant is suspended.
 */
export const actorOfMember = async (
  principals: Principals,
  tenant: TenantId,
  { id, scope, credential }: Pick<Actor, 'id' | 'scope' | 'credential'>,
): Promise<Actor | undefined> => {
  const [rights, found] = await Promise.all([
    rightsOfMember(principals, tenant, id),
    principals.tenants.get(keys.tenant(tenant)),
  ]);
  if (!rights || found?.value.suspended) return undefined;
  return { id, tenant, ...limitRights(rights, { scope }), credential, limits: found?.value.limits };
};

export const isValidKey = ({ revokedAt, expiresAt = Number.POSITIVE_INFINITY }: ApiKey, now: Instant): boolean =>
  revokedAt === undefined && now < expiresAt;

/** What its member may do, less what the key was made without. Undefined when the member is gone or disabled. */
export const rightsOfKey = async (
  principals: Principals,
  tenant: TenantId,
  key: Pick<ApiKey, 'member' | 'permissions' | 'scope'>,
): Promise<Rights | undefined> => {
  const rights = await rightsOfMember(principals, tenant, key.member);
  return rights && limitRights(rights, key);
};

/** What both allow. */
export const limitRights = (
  rights: Rights,
  { permissions, scope }: Partial<Pick<ApiKey, 'permissions'>> & Pick<ApiKey, 'scope'>,
): Rights => ({
  role: rights.role,
  permissions: permissions ? new Set(permissions.filter((one) => rights.permissions.has(one))) : rights.permissions,
  scope: narrow(rights.scope, scope),
});

/** What both allow. */
const narrow = (outer: Scope, inner: Scope): Scope => {
  const labels = { ...outer.labels, ...inner.labels };
  // Labels that cannot both be there leave nothing.
  const contradict = Object.entries(outer.labels ?? {}).some(([name, value]) => labels[name] !== value);
  const targets = contradict ? [] : commonTargets(outer.targets, inner.targets);
  return { ...(targets ? { targets } : {}), ...(Object.keys(labels).length > 0 ? { labels } : {}) };
};

const commonTargets = (a: readonly string[] | undefined, b: readonly string[] | undefined) =>
  a && b ? a.filter((name) => b.includes(name)) : (a ?? b);
