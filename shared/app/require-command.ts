import { type Actor, isInScope } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import type { Stored } from '../store/commands.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';

/** @throws AppError 'not-found', the same for another tenant's command, or one beyond the caller's scope, as for one that never was */
export const requireCommand = async (
  deps: Pick<Deps, 'commands'>,
  { tenant, scope }: Actor,
  id: CommandId,
): Promise<Stored> => {
  const stored = await deps.commands.find(referenceOf(tenant, id));
  if (!stored || !isInScope(scope, stored.command)) {
    const detail = `There is no command ${id}.`;
    throw new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
  }
  return stored;
};
