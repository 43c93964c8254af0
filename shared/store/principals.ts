import { createHash } from 'node:crypto';
import type { TenantId } from '../domain/ids.ts';
import type { ApiKey, CustomRole, Identity, Member, Removal, Tenant } from '../domain/principals.ts';
import type { SessionToken } from '../domain/session-tokens.ts';
import { makeRecords, type Records, type Versioned } from './records.ts';
import { keys } from './schema.ts';
import type { Store, Write } from './store.ts';

/** Who there is: tenants, their members, roles, keys and session tokens. */
export interface Principals {
  readonly tenants: Records<Tenant>;
  /** Tenants that are being removed. */
  readonly removals: Records<Removal>;
  readonly members: Records<Member>;
  readonly roles: Records<CustomRole>;
  readonly apiKeys: Records<ApiKey>;
  /** They vanish when they can be renewed no more. */
  readonly sessionTokens: Records<SessionToken>;
  /** Stores a new member, and that its identity speaks for it. @throws AppError 'conflict' when the identity has a member */
  addMember(tenant: TenantId, member: Member, alongside?: readonly Write[]): Promise<void>;
  removeMember(tenant: TenantId, member: Member, alongside?: readonly Write[]): Promise<void>;
  memberOf(tenant: TenantId, identity: Identity): Promise<Versioned<Member> | undefined>;
}

interface IdentityData {
  readonly member: string;
}

export const makePrincipals = (store: Store): Principals => {
  const members = makeRecords<Member>(store);
  const identities = makeRecords<IdentityData>(store);
  return {
    tenants: makeRecords(store),
    removals: makeRecords(store),
    members,
    roles: makeRecords(store),
    apiKeys: makeRecords(store),
    sessionTokens: makeRecords<SessionToken>(store, ({ refreshExpiresAt: expiresAt }) => ({ expiresAt })),

    async addMember(tenant, member, alongside = []) {
      const { identity } = member;
      const ofIdentity = identity
        ? [identities.writeOf(keys.identity(tenant, digestOf(identity)), { member: member.id }, 0)]
        : [];
      await members.add(keys.member(tenant, member.id), member, [...ofIdentity, ...alongside]);
    },

    async removeMember(tenant, { id, identity }, alongside = []) {
      await store.write([
        { remove: keys.member(tenant, id) },
        ...(identity ? [{ remove: keys.identity(tenant, digestOf(identity)) }] : []),
        ...alongside,
      ]);
    },

    async memberOf(tenant, identity) {
      const found = await identities.get(keys.identity(tenant, digestOf(identity)));
      return found && members.get(keys.member(tenant, found.value.member));
    },
  };
};

/** Both may be long and of any characters; together they are unambiguous. */
const digestOf = ({ issuer, subject }: Identity): string =>
  createHash('sha256')
    .update(JSON.stringify([issuer, subject]))
    .digest('hex');
