import type * as z from 'zod';
import { OWNER } from '../access/rights.ts';
import type { ChangeTenant, CreateTenant, NewTenantView, TenantList, TenantView } from '../contract/access-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { type TenantId, toTenantId } from '../domain/ids.ts';
import type { Tenant } from '../domain/principals.ts';
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
  await principals.tenants.add(keys.tenant(tenantId), tenant, alongside);
  return { ...toView(tenant), admin: toMemberView(member), key: text };
};

export const listTenants = async (
  { principals }: Pick<Deps, 'principals'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof TenantList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await principals.tenants.list(keys.tenant('' as TenantId).pk, { limit, after });
  return {
    items: found.map(toView),
    ...nextCursor(
      actor.tenant,
      found.map(({ id }) => id),
      limit,
    ),
  };
};

/** @throws AppError 'not-found' */
export const getTenant = async ({ principals }: Pick<Deps, 'principals'>, id: string): Promise<View> => {
  const found = await principals.tenants.get(keys.tenant(toTenantId(id)));
  if (!found) throw noTenant(id);
  return toView(found.value);
};

/** @throws AppError 'not-found' */
export const changeTenant = async (
  deps: Parts,
  actor: Actor,
  id: string,
  { name, suspended, limits }: z.output<typeof ChangeTenant>,
): Promise<View> => {
  const change = (tenant: Tenant): Tenant => ({
    ...tenant,
    name: name ?? tenant.name,
    suspended: suspended ?? tenant.suspended,
    ...(limits ? { limits } : {}),
  });
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

const toView = (tenant: Tenant): View => ({
  ...tenant,
  limits: tenant.limits ?? {},
  createdAt: toTimestamp(tenant.createdAt),
});
