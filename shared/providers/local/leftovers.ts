import { findTrees, killTrees, lastProcessId, type Wanted } from './process-tree.ts';

/** So many runs that end one after the other share one pass over /proc. */
const GATHER_MS = 4;

let gathered: { runs: Wanted[]; done: Promise<void> } | undefined;

/**
 * Kills what a command left behind when it ended by itself, as the end of a container would: background children,
 * also those that made a session of their own. Resolves when nothing of it is found.
 */
export const killLeftovers = (run: Wanted & { readonly leader: number }): Promise<void> => {
  try {
    // The whole group at once. ESRCH, the common case: nobody is left in it.
    process.kill(-run.leader, 'SIGKILL');
  } catch {
    // No process was made on this machine since the leader: so it left none.
    if (lastProcessId() === run.leader) return Promise.resolve();
  }
  if (gathered) {
    gathered.runs.push(run);
    return gathered.done;
  }
  const runs: Wanted[] = [run];
  const done = new Promise<void>((resolve) => setTimeout(resolve, GATHER_MS)).then(async () => {
    gathered = undefined;
    const found = findTrees(runs);
    const left = runs.filter(({ key }) => (found.get(key) ?? []).length > 0);
    if (left.length > 0) await killTrees(left);
  });
  gathered = { runs, done };
  return done;
};
