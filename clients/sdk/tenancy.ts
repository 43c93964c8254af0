import type * as z from 'zod';
import type {
  ChangeMember,
  ChangeTenant,
  CreateMember,
  CreateTenant,
  MemberView,
  NewTenantView,
  RoleBody,
  RoleList,
  RoleView,
  TenantView,
} from '../../shared/contract/access-schemas.ts';
import type { UsageView } from '../../shared/contract/usage-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type Member = z.output<typeof MemberView>;
export type Role = z.output<typeof RoleView>;
export type Tenant = z.output<typeof TenantView>;
/** With its first admin and that one's key, which is told here and never again. */
export type NewTenant = z.output<typeof NewTenantView>;

/** Who belongs to a tenant, what they may do, and what it uses; and, for the installation's owner, tenants. */
export interface TenancyCalls {
  /** Not retried, since a repetition would add another. */
  addMember(terms: z.input<typeof CreateMember>): Promise<Member>;
  listMembers(): AsyncGenerator<Member>;
  changeMember(id: string, change: z.input<typeof ChangeMember>): Promise<Member>;
  /** None of its keys is good any more. */
  removeMember(id: string): Promise<void>;
  /** The built-in ones first. */
  listRoles(): Promise<readonly Role[]>;
  putRole(name: string, role: z.input<typeof RoleBody>): Promise<Role>;
  removeRole(name: string): Promise<void>;
  addTenant(terms: z.input<typeof CreateTenant>): Promise<NewTenant>;
  listTenants(): AsyncGenerator<Tenant>;
  changeTenant(id: string, change: z.input<typeof ChangeTenant>): Promise<Tenant>;
  /** Shut at once; all that it stored is erased from then on. */
  removeTenant(id: string): Promise<Tenant>;
  usage(): Promise<z.output<typeof UsageView>>;
}

const at = (kind: string, id: string): string => `/v1/${kind}/${encodeURIComponent(id)}`;

export const makeTenancyCalls = (json: Json, send: Send): TenancyCalls => ({
  addMember: (terms) => json('POST', '/v1/members', { json: terms, tries: 1 }),
  listMembers: () => allItems(json, '/v1/members'),
  changeMember: (id, change) => json('PATCH', at('members', id), { json: change }),
  removeMember: (id) => send('DELETE', at('members', id)),
  listRoles: async () => (await json<z.output<typeof RoleList>>('GET', '/v1/roles')).items,
  putRole: (name, role) => json('PUT', at('roles', name), { json: role }),
  removeRole: (name) => send('DELETE', at('roles', name)),
  addTenant: (terms) => json('POST', '/v1/tenants', { json: terms, tries: 1 }),
  listTenants: () => allItems(json, '/v1/tenants'),
  changeTenant: (id, change) => json('PATCH', at('tenants', id), { json: change }),
  removeTenant: (id) => json('DELETE', at('tenants', id)),
  usage: () => json('GET', '/v1/usage'),
});
