import type { Actor } from '../domain/actor.ts';
import { isFinal } from '../domain/command.ts';
import type { CommandId } from '../domain/ids.ts';
import type { StreamName } from '../domain/output.ts';
import type { Deps } from './deps.ts';
import { piecesOf, sizeOfOutput } from './read-output.ts';
import { requireCommand } from './require-command.ts';
import { lastAttemptWithOutput } from './view.ts';

/** The bytes of an attempt's output as they are stored now. */
export interface OpenOutput {
  readonly attempt: number;
  /** How many bytes there are now. */
  readonly size: number;
  /** Whether more may come. */
  readonly complete: boolean;
  /** The bytes from `from` (inclusive) to `to` (exclusive). */
  read(from: number, to: number): AsyncGenerator<Uint8Array>;
}

/**
 * Opens the output of one stream, or of both in the order in which they came.
 * @param which `attempt`: the last one that ran unless named
 * @throws AppError 'not-found'
 */
export const openOutput = async (
  deps: Pick<Deps, 'commands' | 'output'>,
  actor: Actor,
  id: CommandId,
  which: { readonly stream?: StreamName | undefined; readonly attempt?: number | undefined },
): Promise<OpenOutput> => {
  const { command } = await requireCommand(deps, actor, id);
  const { stream } = which;
  const attempt = which.attempt ?? lastAttemptWithOutput(command)?.number ?? 1;
  const { stdoutBytes, stderrBytes } = await sizeOfOutput(deps, command, attempt);
  const isLast = attempt >= (command.attempts.at(-1)?.number ?? 1);
  return {
    attempt,
    size: stream === 'stdout' ? stdoutBytes : stream === 'stderr' ? stderrBytes : stdoutBytes + stderrBytes,
    complete: isFinal(command.status) || !isLast,
    async *read(from, to) {
      if (from >= to) return;
      let left = to - from;
      for await (const { bytes } of piecesOf(deps, command, attempt, { stream, from })) {
        yield bytes.length <= left ? bytes : bytes.subarray(0, left);
        left -= bytes.length;
        if (left <= 0) return;
      }
    },
  };
};
