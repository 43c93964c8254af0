import type { Actor } from '../domain/actor.ts';
import { isFinal } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { type Reference, referenceOf } from '../store/schema.ts';
import type { StdinState } from '../store/stdin-log.ts';
import type { Deps } from './deps.ts';
import { requireCommand } from './require-command.ts';

/**
 * Adds a part to the input of a command that was submitted with open stdin, also before it starts.
 * With `from`, the offset of the part, a repeated part is taken once.
 * @throws AppError 'not-found', 'already-final'; 'conflict' when stdin is not open, has ended, or `from` does not fit
 */
export const writeStdin = async (
  deps: Pick<Deps, 'commands' | 'stdin'>,
  actor: Actor,
  id: CommandId,
  part: { readonly bytes: Uint8Array; readonly from?: number | undefined },
): Promise<StdinState> => deps.stdin.append(await requireOpenStdin(deps, actor, id), part.bytes, part.from);

/** Ends the input. Twice is the same as once. @throws AppError as `writeStdin` */
export const endStdin = async (
  deps: Pick<Deps, 'commands' | 'stdin'>,
  actor: Actor,
  id: CommandId,
): Promise<StdinState> => deps.stdin.end(await requireOpenStdin(deps, actor, id));

const requireOpenStdin = async (deps: Pick<Deps, 'commands'>, actor: Actor, id: CommandId): Promise<Reference> => {
  const { command } = await requireCommand(deps, actor, id);
  if (command.spec.stdin.kind !== 'open') {
    throw new AppError('conflict', `${id} was not submitted with "stdin": "open", so it takes no more input.`);
  }
  if (isFinal(command.status)) throw new AppError('already-final', `${id} has already ended: ${command.status}.`);
  return referenceOf(actor.tenant, id);
};
