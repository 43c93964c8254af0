import type * as z from 'zod';
import type { RoleBody, RoleList, RoleView } from '../contract/access-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { isRoleName, ROLES } from '../domain/permissions.ts';
import { keys } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { requireNoMoreThan } from './scope.ts';

type Parts = Pick<Deps, 'principals' | 'auditLog' | 'clock'>;
type View = z.output<typeof RoleView>;

/** The built-in ones first. */
export const listRoles = async (
  { principals }: Pick<Parts, 'principals'>,
  { tenant }: Actor,
): Promise<z.output<typeof RoleList>> => {
  const own = await principals.roles.list(keys.role(tenant, '').pk, { limit: LIMITS.roles });
  const builtIn = Object.entries(ROLES).map(([name, permissions]) => ({
    name,
    description: '',
    permissions: [...permissions],
    builtIn: true,
  }));
  return {
    items: [...builtIn, ...own.map((role) => ({ ...role, permissions: [...role.permissions], builtIn: false }))],
  };
};

/**
 * A role that may do no more than the caller, before and after.
 * @throws AppError 'forbidden'; 'conflict' for a built-in role's name, or when there are too many
 */
export const putRole = async (
  deps: Parts,
  actor: Actor,
  name: string,
  { description = '', permissions }: z.output<typeof RoleBody>,
): Promise<View> => {
  requireOwn(name);
  const { principals } = deps;
  const { tenant } = actor;
  const key = keys.role(tenant, name);
  requireNoMoreThan(actor, permissions, actor.scope);
  requireNoMoreThan(actor, (await principals.roles.get(key))?.value.permissions ?? [], actor.scope);
  const role = { name, description, permissions: [...new Set(permissions)] };
  const event = auditWrite(deps, actor, 'role.put', name, { permissions: role.permissions });
  if (!(await principals.roles.change(key, () => role, [event]))) {
    if ((await principals.roles.list(key.pk, { limit: LIMITS.roles })).length >= LIMITS.roles) {
      throw new AppError('conflict', `A tenant has at most ${LIMITS.roles} roles of its own. Remove one first.`);
    }
    await principals.roles.add(key, role, [event]);
  }
  return { ...role, builtIn: false };
};

/** Whoever has it may do nothing any more. @throws AppError 'forbidden', 'conflict' for a built-in role */
export const removeRole = async (deps: Parts, actor: Actor, name: string): Promise<void> => {
  requireOwn(name);
  const { principals } = deps;
  const key = keys.role(actor.tenant, name);
  requireNoMoreThan(actor, (await principals.roles.get(key))?.value.permissions ?? [], actor.scope);
  await principals.roles.remove(key, [auditWrite(deps, actor, 'role.removed', name)]);
};

const requireOwn = (name: string): void => {
  if (isRoleName(name)) throw new AppError('conflict', `${name} is a built-in role, which stays as it is.`);
};
