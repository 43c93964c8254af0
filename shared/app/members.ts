import type * as z from 'zod';
import { permissionsOf } from '../access/rights.ts';
import type { ChangeMember, CreateMember, MemberList, MemberView } from '../contract/access-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { isRoleName } from '../domain/permissions.ts';
import type { Member } from '../domain/principals.ts';
import { keys } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { requireNoMoreThan, toScope, toScopeView } from './scope.ts';

type Parts = Pick<Deps, 'principals' | 'clock' | 'random' | 'auditLog'>;
type View = z.output<typeof MemberView>;

const ID_BYTES = 8;

/**
 * Adds a person or a service account, with a role that may do no more than the caller.
 * @throws AppError 'invalid-request' for an unknown role, 'forbidden', 'conflict' when the identity has a member
 */
export const addMember = async (
  deps: Parts,
  actor: Actor,
  { name, kind = 'person', role, scope, identity }: z.output<typeof CreateMember>,
): Promise<View> => {
  const member = newMember(deps, actor.id, {
    ...{ name, kind, role },
    scope: toScope(scope ?? actor.scope),
    ...(identity ? { identity } : {}),
  });
  await requireRole(deps, actor, role);
  requireNoMoreThan(actor, await permissionsOf(deps.principals, actor.tenant, role), member.scope);
  const event = auditWrite(deps, actor, 'member.added', member.id, { kind, role });
  await deps.principals.addMember(actor.tenant, member, [event]).catch((error: unknown) => {
    if (!(error instanceof AppError && error.code === 'conflict')) throw error;
    const detail = 'Another member has this identity.';
    throw new AppError('conflict', detail, { faults: [{ in: 'body', pointer: '/identity', detail }] });
  });
  return toMemberView(member);
};

export const newMember = (
  { clock, random }: Pick<Parts, 'clock' | 'random'>,
  createdBy: string,
  terms: Pick<Member, 'name' | 'kind' | 'role' | 'scope' | 'identity'>,
): Member => ({ ...terms, id: `mem_${random.hex(ID_BYTES)}`, disabled: false, createdAt: clock.now(), createdBy });

export const listMembers = async (
  { principals }: Pick<Deps, 'principals'>,
  { tenant }: Actor,
  query: PageQuery,
): Promise<z.output<typeof MemberList>> => {
  const { limit, after } = toPage(tenant, query);
  const found = await principals.members.list(keys.member(tenant, '').pk, { limit, after });
  return {
    items: found.map(toMemberView),
    ...nextCursor(
      tenant,
      found.map(({ id }) => id),
      limit,
    ),
  };
};

/** @throws AppError 'not-found' */
export const getMember = async (deps: Pick<Deps, 'principals'>, actor: Actor, id: string): Promise<View> =>
  toMemberView(await requireMember(deps, actor, id));

/** @throws AppError 'not-found', 'forbidden' when the member may, or would, do more than the caller */
export const changeMember = async (
  deps: Parts,
  actor: Actor,
  id: string,
  { role, scope, ...plain }: z.output<typeof ChangeMember>,
): Promise<View> => {
  const { principals } = deps;
  const member = await requireMember(deps, actor, id);
  // Also who it is now: otherwise an admin could be put out by someone below.
  for (const name of new Set([member.role, role ?? member.role])) {
    await requireRole(deps, actor, name === member.role ? undefined : name);
    requireNoMoreThan(actor, await permissionsOf(principals, actor.tenant, name), toScope(scope ?? member.scope));
  }
  const change = (latest: Member): Member => ({
    ...latest,
    name: plain.name ?? latest.name,
    disabled: plain.disabled ?? latest.disabled,
    role: role ?? latest.role,
    scope: scope ? toScope(scope) : latest.scope,
  });
  const details = {
    ...(role === undefined ? {} : { role }),
    ...(scope ? { scope } : {}),
    ...(plain.disabled === undefined ? {} : { disabled: plain.disabled }),
  };
  const event = auditWrite(deps, actor, 'member.changed', id, details);
  const changed = await principals.members.change(keys.member(actor.tenant, id), change, [event]);
  return toMemberView(changed ?? member);
};

/** None of its keys is good any more. @throws AppError 'forbidden' when the member may do more than the caller */
export const removeMember = async (deps: Parts, actor: Actor, id: string): Promise<void> => {
  const { principals } = deps;
  const member = (await principals.members.get(keys.member(actor.tenant, id)))?.value;
  if (!member) return;
  requireNoMoreThan(actor, await permissionsOf(principals, actor.tenant, member.role), member.scope);
  await principals.removeMember(actor.tenant, member, [auditWrite(deps, actor, 'member.removed', id)]);
};

/** @throws AppError 'not-found', the same for another tenant's member as for one that never was */
export const requireMember = async (
  { principals }: Pick<Deps, 'principals'>,
  { tenant }: Actor,
  id: string,
): Promise<Member> => {
  const found = await principals.members.get(keys.member(tenant, id));
  if (found) return found.value;
  const detail = `There is no member ${id}.`;
  throw new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

const requireRole = async (
  { principals }: Pick<Parts, 'principals'>,
  { tenant }: Actor,
  name: string | undefined,
): Promise<void> => {
  if (name === undefined || isRoleName(name) || (await principals.roles.get(keys.role(tenant, name)))) return;
  const detail = `There is no role ${name}. GET /v1/roles lists them.`;
  throw new AppError('invalid-request', detail, { faults: [{ in: 'body', pointer: '/role', detail }] });
};

export const toMemberView = (member: Member): View => ({
  ...member,
  scope: toScopeView(member.scope),
  identity: member.identity ?? null,
  createdAt: toTimestamp(member.createdAt),
});
