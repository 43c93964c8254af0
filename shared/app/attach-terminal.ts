import { requirePermission } from '../access/access.ts';
import type { Actor } from '../domain/actor.ts';
import { type Command, isFinal, type Status } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import type { TerminalSize } from '../domain/terminal.ts';
import { referenceOf } from '../store/schema.ts';
import { noteAttached } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { piecesOf, sizeOfOutput } from './read-output.ts';
import { requireCommand } from './require-command.ts';
import { lastAttemptWithOutput } from './view.ts';

/** Where to begin with what the terminal has shown: at a byte, or with what comes next. */
export type TerminalStart = number | 'end';

/** One who looks at a terminal. Dispose of it when done. */
export interface AttachedTerminal extends Disposable {
  /** The offset of the first byte of `output`; no more than what is stored. */
  readonly from: number;
  readonly status: Status;
  /** What the terminal shows, as it shows it; returns the command once it has ended, and undefined once this was disposed of. */
  readonly output: AsyncGenerator<Uint8Array, Command | undefined>;
  resize(size: TerminalSize): void;
}

/**
 * A command with a terminal, of somebody who may both read and control it.
 * @throws AppError 'forbidden', 'not-found'; 'conflict' for a command without a terminal
 */
export const requireTerminal = async (deps: Pick<Deps, 'commands'>, actor: Actor, id: CommandId): Promise<Command> => {
  // Whoever types also sees what it does.
  requirePermission(actor, 'commands:read');
  requirePermission(actor, 'commands:control');
  const { command } = await requireCommand(deps, actor, id);
  if (command.spec.terminal) return command;
  throw new AppError('conflict', `${id} was not submitted with a "terminal", so there is none to attach to.`);
};

/**
 * Attaches to the terminal of a command, also before it starts and after it has ended: it is shown what is stored, then what
 * comes. Who reads slowly holds up nobody else. The audit log says who looks at it. @throws AppError as `requireTerminal`
 */
export const attachTerminal = async (
  deps: Deps,
  actor: Actor,
  id: CommandId,
  start: TerminalStart,
): Promise<AttachedTerminal> => {
  const command = await requireTerminal(deps, actor, id);
  await noteAttached(deps, actor, id);
  const reference = referenceOf(actor.tenant, id);
  const from = Math.min(await shownBytes(deps, command), start === 'end' ? Number.POSITIVE_INFINITY : start);
  const look = deps.terminalSizes.look(reference);
  const left = new AbortController();
  return {
    from,
    status: command.status,
    output: show(deps, command, from, left.signal),
    resize: look.resize,
    [Symbol.dispose]() {
      left.abort();
      look[Symbol.dispose]();
    },
  };
};

const shownBytes = async (deps: Deps, command: Command): Promise<number> => {
  const attempt = lastAttemptWithOutput(command);
  return attempt ? (await sizeOfOutput(deps, command, attempt.number)).stdoutBytes : 0;
};

async function* show(
  deps: Deps,
  found: Command,
  from: number,
  left: AbortSignal,
): AsyncGenerator<Uint8Array, Command | undefined> {
  const reference = referenceOf(found.tenant, found.id);
  using watch = deps.changes.watch(reference, ['record', 'output']);
  const leave = () => watch[Symbol.dispose]();
  left.addEventListener('abort', leave, { once: true });
  let command = found;
  let offset = from;
  while (!left.aborted) {
    // The record before the output: what a final record counts is surely stored.
    command = (await deps.commands.find(reference))?.command ?? command;
    // With a terminal there is one attempt that ran, and nothing on stderr.
    const attempt = lastAttemptWithOutput(command);
    if (attempt) {
      for await (const { bytes, end } of piecesOf(deps, command, attempt.number, { from: offset })) {
        yield bytes;
        if (left.aborted) return undefined;
        offset = end;
      }
    }
    if (isFinal(command.status)) return command;
    if (!left.aborted) await watch.next(deps.lookEverySeconds * 1_000);
  }
  return undefined;
}
