import type { Command } from '../domain/command.ts';
import type { CommandId } from '../domain/ids.ts';
import type { RunIo, StartOutcome } from '../providers/provider.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';
import { type HeldSession, leaveLine, lineUp } from './held-sessions.ts';
import { traceEnvironmentOf } from './trace-environment.ts';

/**
 * Has a command executed by the shell of its session, when its turn has come: before that it is refused, and woken later. One whose
 * session has ended is never executed.
 */
export const runInSession = async (deps: Deps, command: Command, session: string, io: RunIo): Promise<StartOutcome> => {
  const { id, tenant, spec, attempts } = command;
  const held = deps.heldSessions.find(session);
  if (!held || held.ending) {
    const stored = await deps.sessions.find(tenant, session);
    // In the hands of another process, which takes it.
    if (stored?.state === 'active' && stored.worker !== deps.worker) return { kind: 'refused' };
    const detail = `The session ${session} has ended, so this was not executed. ${stored?.detail ?? ''}`.trim();
    return { kind: 'rejected', fault: { detail, retryable: false } };
  }
  if (!(await takesTurn(deps, held, id))) return { kind: 'refused' };
  try {
    const redeemed = await io.redeem().catch(() => undefined);
    if (redeemed === false) return { kind: 'refused' };
    if (redeemed === undefined) {
      return { kind: 'rejected', fault: { detail: 'The start ticket could not be redeemed.', retryable: true } };
    }
    const stdin = await readAll(io.stdin);
    const env = traceEnvironmentOf(deps, command, attempts.length, held.session.spec.env);
    return await held.shell.run({ text: spec.script ?? '', stdin, env }, io);
  } finally {
    held.running = undefined;
    held.lastUsedAt = deps.clock.now();
    await wakeNext(deps, held);
  }
};

/** Whether the shell is this command's now. Takes it before anything is waited for, so that no two have it. */
const takesTurn = async (deps: Deps, held: HeldSession, id: CommandId): Promise<boolean> => {
  lineUp(held, id);
  if (held.running !== undefined) return false;
  held.running = id;
  const first = await firstInLine(deps, held);
  if (first === id || first === undefined) {
    leaveLine(held, id);
    return true;
  }
  held.running = undefined;
  await wake(deps, held, first);
  return false;
};

/** Who was canceled or has expired while it waited has left the line. */
const firstInLine = async (deps: Deps, { line, session, running }: HeldSession): Promise<CommandId | undefined> => {
  for (;;) {
    const [first] = line;
    if (first === undefined || first === running) return first;
    const stored = await deps.commands.find(referenceOf(session.tenant, first));
    if (stored?.command.status === 'queued') return first;
    if (line[0] === first) line.shift();
  }
};

/** Of those that wait, the first that still does: its turn has come, unless one is running. */
export const wakeNext = async (deps: Deps, held: HeldSession): Promise<void> => {
  if (held.running !== undefined) return;
  const first = await firstInLine(deps, held).catch(() => held.line[0]);
  if (first !== undefined && held.running === undefined) await wake(deps, held, first);
};

/** A wake-up that is not sent is made up for by the sweeper. */
const wake = async ({ queue, log }: Deps, { session }: HeldSession, id: CommandId): Promise<void> => {
  const reference = referenceOf(session.tenant, id);
  await queue
    .send({ v: 1, id: reference }, { priority: 'normal' })
    .catch((error: unknown) =>
      log.warn('A wake-up was not sent; the sweeper will find the command', { reference, error }),
    );
};

const readAll = async (source: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of source ?? []) pieces.push(piece);
  return Buffer.concat(pieces);
};
