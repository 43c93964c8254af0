import type { Actor } from '../domain/actor.ts';
import { type Command, currentAttempt, isFinal, type SignalName } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { referenceOf } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { observeCommand, targetOf } from './observe-command.ts';
import { requireCommand } from './require-command.ts';

/**
 * Sends one signal to a running command.
 * @throws AppError 'not-found', 'already-final'; 'conflict' when it does not run; 'unsupported-by-target'
 */
export const signalCommand = async (deps: Deps, actor: Actor, id: CommandId, signal: SignalName): Promise<Command> => {
  const stored = await requireCommand(deps, actor, id);
  const { command } = stored;
  if (isFinal(command.status)) throw new AppError('already-final', `${id} has already ended: ${command.status}.`);
  const target = currentAttempt(command)?.target;
  if (target !== undefined && targetOf(deps, target)?.features.signals === false) {
    throw new AppError('unsupported-by-target', `The target ${target} cannot send signals.`);
  }
  if (command.signals.length >= LIMITS.signals) {
    throw new AppError('conflict', `${id} was sent ${LIMITS.signals} signals already, which is the most.`);
  }
  const reference = referenceOf(actor.tenant, id);
  const event = auditWrite(deps, actor, 'command.signaled', id, { signal });
  const moved = await observeCommand(
    deps,
    reference,
    { kind: 'signal-requested', signal },
    { from: stored, alongside: [event] },
  );
  if (!moved?.changed) {
    throw new AppError(
      'conflict',
      `${id} is ${moved?.stored.command.status}, not running. Send the signal once it runs.`,
    );
  }
  return moved.stored.command;
};
