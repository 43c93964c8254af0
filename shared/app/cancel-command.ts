import type { Actor } from '../domain/actor.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { referenceOf } from '../store/schema.ts';
import { perform } from './advance-command.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { observeCommand } from './observe-command.ts';
import { requireCommand } from './require-command.ts';

/**
 * Asks for the end of a command. What has not started is canceled at once; what runs is stopped and becomes
 * `canceled` when all of it was seen gone. Twice is the same as once.
 * @throws AppError 'not-found', 'already-final'
 */
export const cancelCommand = async (deps: Deps, actor: Actor, id: CommandId): Promise<Command> => {
  const stored = await requireCommand(deps, actor, id);
  const reference = referenceOf(actor.tenant, id);
  const event = auditWrite(deps, actor, 'command.cancel-requested', id);
  const moved = await observeCommand(
    deps,
    reference,
    { kind: 'cancel-requested' },
    { from: stored, alongside: [event] },
  );
  const { command } = moved?.stored ?? stored;
  if (!moved?.changed && isFinal(command.status)) {
    throw new AppError('already-final', `${id} has already ended: ${command.status}.`);
  }
  await perform(deps, reference, moved);
  return command;
};
