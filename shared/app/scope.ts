import type * as z from 'zod';
import type { ScopeSchema } from '../contract/access-schemas.ts';
import type { Actor, Scope } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import type { Permission } from '../domain/permissions.ts';

type ScopeView = z.output<typeof ScopeSchema>;

export const toScopeView = ({ targets, labels }: Scope): ScopeView => ({
  ...(targets ? { targets: [...targets] } : {}),
  ...(labels ? { labels: { ...labels } } : {}),
});

export const toScope = ({ targets, labels }: Scope | ScopeView = {}): Scope => ({
  ...(targets ? { targets } : {}),
  ...(labels && Object.keys(labels).length > 0 ? { labels } : {}),
});

/** Whether nothing is within `inner` that is not within `outer`. */
const isWithin = (inner: Scope, outer: Scope): boolean =>
  (outer.targets === undefined || (inner.targets?.every((name) => outer.targets?.includes(name)) ?? false)) &&
  Object.entries(outer.labels ?? {}).every(([name, value]) => inner.labels?.[name] === value);

/**
 * Nobody gives what it has not: neither a permission, nor a target or label beyond its own scope.
 * @throws AppError 'forbidden'
 */
export const requireNoMoreThan = (actor: Actor, permissions: Iterable<Permission>, scope: Scope): void => {
  const beyond = [...permissions].filter((permission) => !actor.permissions.has(permission));
  if (beyond.length > 0) {
    throw new AppError('forbidden', `What you do not have you cannot give: ${beyond.join(', ')}.`);
  }
  if (!isWithin(scope, actor.scope)) {
    throw new AppError('forbidden', 'The scope must be within your own: its targets, with all of its labels.');
  }
};
