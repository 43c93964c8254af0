import type { Observation } from '../engine/types.ts';
import type { Stored } from '../store/commands.ts';
import type { Chunk } from '../store/output-writer.ts';
import type { Reference } from '../store/schema.ts';
import type { Deps } from './deps.ts';
import { type Moved, observeCommand } from './observe-command.ts';

type End = Extract<Observation, { attempt: number }>;

/**
 * Stores how an attempt ended, and the rest of its output not after it. The caller performs the effects.
 * @throws AppError 'conflict' when someone else has stored output in the place of the rest
 */
export const storeEnd = async (
  deps: Deps,
  reference: Reference,
  seen: End,
  { rest, from }: { readonly rest: Chunk | undefined; readonly from?: Stored },
): Promise<Moved | undefined> => {
  const isApart = deps.store.atomicWrites === 'costly';
  // The output first: an end without its output would be a lie, output without its end is only early.
  if (rest && isApart) await deps.output.append(reference, seen.attempt, rest);
  const alongside = rest && !isApart ? [await deps.output.toWrite(reference, seen.attempt, rest)] : [];
  const moved = await observeCommand(deps, reference, seen, { from, alongside });
  if (alongside.length > 0) deps.changes.announce(reference, 'output');
  return moved;
};
