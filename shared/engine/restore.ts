import { toTimestamp } from '../domain/clock.ts';
import { type Command, currentAttempt, isFinal } from '../domain/command.ts';
import { conclude, giveUpStart, mayHaveRun } from './conclude.ts';
import { withoutHeld } from './release.ts';
import type { Observation, Step, StepContext } from './types.ts';

/**
 * What becomes of a command whose store was restored from a backup. What happened to it after the backup left no trace: it may
 * have run, so it is not run again unless somebody says so.
 */
export const restore = (
  restored: Command,
  seen: Extract<Observation, { kind: 'restored' }>,
  context: StepContext,
): Step => {
  // Without it, what is at a provider belongs to the installation that was backed up, and that one may live.
  const command = seen.takesOver ? restored : withoutHeld(restored);
  if (isFinal(command.status)) return { next: command, effects: [] };
  const { output, takesOver, waitsOn } = seen;
  const attempt = command.status === 'queued' ? undefined : currentAttempt(command);
  const backup = `the backup of ${toTimestamp(seen.backedUpAt)} was made, from which this is restored`;
  if (attempt && mayHaveRun(attempt, context)) {
    const detail = `It ran when ${backup}; how it ended cannot be known.`;
    // A copy beside the one that lives does nothing of its own accord.
    const kind = takesOver ? 'lost' : 'unknown';
    // That it was to be stopped says how it ended only where it was seen gone.
    const { stop: _, ...unstopped } = attempt;
    return conclude(command, unstopped, { kind, detail, output }, context);
  }
  const detail = `It waited when ${backup}; whether it has run since cannot be known.`;
  if (!waitsOn) return conclude(command, attempt, { kind: 'unknown', detail, output }, context);
  return attempt ? giveUpStart(command, attempt, { detail }, context) : { next: command, effects: [] };
};
