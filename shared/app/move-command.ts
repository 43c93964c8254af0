import type { Actor } from '../domain/actor.ts';
import { type Command, currentAttempt, isFinal, routeOf } from '../domain/command.ts';
import { AppError, type Fault, type ProblemCode } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { referenceOf } from '../store/schema.ts';
import { perform } from './advance-command.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { observeCommand } from './observe-command.ts';
import { requireCommand } from './require-command.ts';

/**
 * Has a command's next attempt on another target that it may run on. What has not started is moved at once; what runs is stopped
 * where it is, seen gone, and then runs again, if its caller allows that. Twice is the same as once.
 * @throws AppError 'not-found', 'already-final'; 'invalid-request' for a target that it may not run on; 'forbidden' for one beyond
 * the scope; 'conflict' when it is being stopped or must not run again
 */
export const moveCommand = async (deps: Deps, actor: Actor, id: CommandId, target: string): Promise<Command> => {
  const stored = await requireCommand(deps, actor, id);
  const { command } = stored;
  if (isFinal(command.status)) throw new AppError('already-final', `${id} has already ended: ${command.status}.`);
  if (command.session !== undefined) {
    throw new AppError('conflict', `${id} belongs to ${command.session}, whose shell is on ${command.spec.target}.`);
  }
  const legs = routeOf(command.spec).filter(({ places }) => places.some((place) => place.target === target));
  if (legs.length === 0) throw refusal('invalid-request', `${id} may not run on ${target}: ${mayRunOn(command)}.`);
  const { targets: names } = actor.scope;
  if (names && !names.includes(target) && !legs.some(({ name }) => names.includes(name))) {
    throw refusal('forbidden', `You may not use the target ${target}.`);
  }
  const reference = referenceOf(actor.tenant, id);
  const event = auditWrite(deps, actor, 'command.move-requested', id, { target });
  const moved = await observeCommand(
    deps,
    reference,
    { kind: 'move-requested', target },
    { from: stored, alongside: [event] },
  );
  const latest = moved?.stored.command ?? command;
  if (!moved?.changed && !isThere(latest, target)) throw new AppError('conflict', whyNot(latest, target));
  await perform(deps, reference, moved);
  return latest;
};

/** Or on its way. */
const isThere = (command: Command, target: string): boolean => {
  const { status, cancelRequestedAt, moveTo } = command;
  if (isFinal(status) || cancelRequestedAt !== undefined) return false;
  const present = status === 'queued' ? undefined : currentAttempt(command)?.target;
  return (moveTo ?? present) === target;
};

const mayRunOn = ({ spec }: Command): string => {
  const targets = routeOf(spec).flatMap(({ places }) => places.map((place) => place.target));
  return targets.length > 1
    ? `it was submitted for ${targets.join(', ')}`
    : `it was submitted for ${targets[0]} alone, without failover`;
};

const whyNot = (command: Command, target: string): string => {
  const { id, status, spec, cancelRequestedAt } = command;
  const attempt = currentAttempt(command);
  if (isFinal(status)) return `${id} has ended meanwhile: ${status}.`;
  if (cancelRequestedAt !== undefined || attempt?.stop) return `${id} is being stopped.`;
  if (!spec.retry.on.includes('lost')) {
    return `${id} runs, and may not run again: its retry.on does not name lost. Cancel it, and replay it with target ${target}.`;
  }
  return `${id} runs, and has no attempt left of its ${spec.retry.maxAttempts}.`;
};

const refusal = (code: ProblemCode, detail: string): AppError => {
  const faults: Fault[] = [{ in: 'body', pointer: '/target', detail }];
  return new AppError(code, detail, { faults });
};
