import type * as z from 'zod';
import { DEFAULT_TENANT, OWNER } from '../access/rights.ts';
import type { ChangeTenant, CreateTenant, NewTenantView, TenantList, TenantView } from '../contract/access-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError, isConflict } from '../domain/errors.ts';
import { type TenantId, toTenantId } from '../domain/ids.ts';
import type { Removal, Tenant } from '../domain/principals.ts';
import { keys } from '../store/schema.ts';
import { firstKeyOf } from './api-keys.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { newMember, toMemberView } from './members.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';

type Parts = Pick<Deps, 'principals' | 'clock' | 'random' | 'auditLog'>;
type View = z.output<typeof TenantView>;

/** A tenant with its first admin and that one's key, all or nothing. @throws AppError 'conflict' when the id is taken */
export const addTenant = async (
  deps: Parts,
  actor: Actor,
  { id, name, admin = 'admin', limits }: z.output<typeof CreateTenant>,
): Promise<z.output<typeof NewTenantView>> => {
  const createdAt = deps.clock.now();
  const tenant: Tenant = { id, name, suspended: false, createdAt, ...(limits ? { limits } : {}) };
  const tenantId = toTenantId(id);
  const member = newMember(deps, OWNER, { name: admin, kind: 'person', role: 'admin', scope: {} });
  const { text, write } = firstKeyOf(deps, tenantId, member.id);
  const { principals } = deps;
  const alongside = [
    principals.members.writeOf(keys.member(tenantId, member.id), member, 0),
    write,
    auditWrite(deps, actor, 'tenant.added', id, limits ? { limits } : {}),
  ];
  await principals.tenants.add(keys.tenant(tenantId), tenant, alongside).catch(async (error: unknown) => {
    const taken = isConflict(error) ? await principals.tenants.get(keys.tenant(tenantId)) : undefined;
    throw taken?.value.removal ? takenForEver(id) : error;
  });
  return { ...toView(tenant), admin: toMemberView(member), key: text };
};

/** Without those that were removed. */
export const listTenants = async (
  { principals }: Pick<Deps, 'principals'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof TenantList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await principals.tenants.list(keys.tenant('' as TenantId).pk, { limit, after });
  return {
    items: found.filter(({ removal }) => removal?.removedAt === undefined).map((tenant) => toView(tenant)),
    ...nextCursor(
      actor.tenant,
      found.map(({ id }) => id),
      limit,
    ),
  };
};

/** One that is being removed, with how far that has come; of one that was, what is left. @throws AppError 'not-found' */
export const getTenant = async ({ principals }: Pick<Deps, 'principals'>, id: string): Promise<View> => {
  const [found, removal] = await Promise.all([
    principals.tenants.get(keys.tenant(toTenantId(id))),
    principals.removals.get(keys.removal(toTenantId(id))),
  ]);
  if (!found) throw noTenant(id);
  return toView(found.value, removal?.value);
};

/**
 * Shuts a tenant for good: from the next request on none of its credentials is good, and nothing of it starts. What it has stored
 * is erased from then on (remove-tenants.ts), and its id is never used again. Twice is the same as once.
 * @throws AppError 'not-found'; 'conflict' for the owner's own
 */
export const removeTenant = async (deps: Parts, actor: Actor, id: string): Promise<View> => {
  const tenant = toTenantId(id);
  if (tenant === DEFAULT_TENANT) {
    throw new AppError('conflict', `The tenant ${id} is the owner’s own, and stays as long as the installation.`);
  }
  const { principals, clock } = deps;
  const { role, credential } = actor;
  const requestedAt = clock.now();
  const removal: Removal = { tenant, requestedAt, requestedBy: { id: actor.id, role, credential }, erased: 0 };
  const shut = (latest: Tenant): Tenant | undefined =>
    latest.removal ? undefined : { ...latest, removal: { requestedAt } };
  const changed = await principals.tenants.change(keys.tenant(tenant), shut, [
    principals.removals.writeOf(keys.removal(tenant), removal, 0),
    auditWrite(deps, actor, 'tenant.removal-requested', id),
  ]);
  if (!changed) throw noTenant(id);
  return getTenant(deps, id);
};

/** @throws AppError 'not-found'; 'conflict' for one that is being removed, or was */
export const changeTenant = async (
  deps: Parts,
  actor: Actor,
  id: string,
  { name, suspended, limits }: z.output<typeof ChangeTenant>,
): Promise<View> => {
  const change = (tenant: Tenant): Tenant => {
    if (tenant.removal) throw takenForEver(id);
    return {
      ...tenant,
      name: name ?? tenant.name,
      suspended: suspended ?? tenant.suspended,
      ...(limits ? { limits } : {}),
    };
  };
  const details = { ...(suspended === undefined ? {} : { suspended }), ...(limits ? { limits } : {}) };
  const event = auditWrite(deps, actor, 'tenant.changed', id, details);
  const changed = await deps.principals.tenants.change(keys.tenant(toTenantId(id)), change, [event]);
  if (!changed) throw noTenant(id);
  return toView(changed);
};

const noTenant = (id: string): AppError => {
  const detail = `There is no tenant ${id}.`;
  return new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

const takenForEver = (id: string): AppError =>
  new AppError(
    'conflict',
    `The tenant ${id} is being removed, or was, and its id is never used again. Choose another.`,
  );

const toView = ({ id, name, suspended, limits = {}, createdAt, removal }: Tenant, progress?: Removal): View => ({
  ...{ id, name, suspended, limits },
  state: removal?.removedAt !== undefined ? 'removed' : removal ? 'removing' : suspended ? 'suspended' : 'good',
  createdAt: toTimestamp(createdAt),
  removal: removal
    ? {
        requestedAt: toTimestamp(removal.requestedAt),
        removedAt: removal.removedAt === undefined ? null : toTimestamp(removal.removedAt),
        unfinishedCommands: progress?.unfinished ?? null,
        erasedCommands: progress?.erased ?? null,
      }
    : null,
});
