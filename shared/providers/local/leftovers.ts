import { gather } from './gather.ts';
import { elapsed, pause } from './machine-time.ts';
import {
  hasProcessTable,
  idsComeRoundMs,
  lastProcessId,
  markerIn,
  type ProcessEntry,
  readEnvironment,
  readProcess,
  visitProcesses,
} from './process-table.ts';
import { killTree, send, type Tree } from './process-tree.ts';

/** A run whose leader has ended. */
interface EndedRun {
  readonly tree: Tree & { readonly leader: number };
  /** By `elapsed`, when its leader was made. */
  readonly madeAt: number;
}

/** Kills what commands leave behind when they end by themselves, as the end of a container would. */
export interface Leftovers {
  /** Until it has ended, a leader is not to be taken for something that another command left behind. */
  leaderStarted(leader: number): void;
  leaderEnded(leader: number): void;
  /**
   * To be called as soon as the leader has ended by itself. Resolves when nothing of the run is found: no background children,
   * also none that made a session of their own.
   * @returns the processes that are left, as killTree
   */
  kill(run: EndedRun): Promise<readonly ProcessEntry[]>;
}

export const makeLeftovers = (): Leftovers => {
  const leaders = new Set<number>();
  const glance = gather((runs: readonly EndedRun[]) => glanceOnce(runs, leaders));
  return {
    leaderStarted: (leader) => void leaders.add(leader),
    leaderEnded: (leader) => void leaders.delete(leader),
    async kill(run) {
      const { tree } = run;
      // The whole group at once. Most often nobody is left in it.
      const isGroupGone = send(-tree.leader, 'SIGKILL') === 'gone';
      if (!hasProcessTable) return isGroupGone ? [] : killTree(tree);
      // No process was made on this machine since the leader, so it left none.
      if (isGroupGone && lastProcessId() === tree.leader) return [];
      for (let looks = 1; looks <= MOST_BLURRED_LOOKS; looks++) {
        const { left, isBlurred } = await glance(run);
        if (left.has(tree)) return killTree(tree);
        if (!isBlurred) break;
        await pause(1);
      }
      return [];
    },
  };
};

/** A glance that found nothing counts only when it was sharp; but something may execute programs all the time. */
const MOST_BLURRED_LOOKS = 20;

interface Glance {
  readonly left: ReadonlySet<Tree>;
  /** Processes were just executing another program, so that they could not be told. */
  readonly isBlurred: boolean;
}

/**
 * Whether anything is left of some runs. Cheap, as each command ends with it: only processes that were made after the
 * first of their leaders are looked at, and of most only the environment. Who these may be is for killTree to find out.
 */
const glanceOnce = (runs: readonly EndedRun[], leaders: ReadonlySet<number>): Glance => {
  const left = new Set<Tree>();
  let isBlurred = false;
  const treeByKey = new Map(runs.map(({ tree }) => [tree.key, tree]));
  const treeByLeader = new Map(runs.map(({ tree }) => [tree.leader, tree]));
  const oldest = runs.reduce((a, b) => (b.madeAt < a.madeAt ? b : a));
  const isOrdered = elapsed() - oldest.madeAt < idsComeRoundMs();
  visitProcesses(isOrdered ? oldest.tree.leader : undefined, (pid) => {
    if (leaders.has(pid) || pid === process.pid) return;
    const environment = readEnvironment(pid);
    const marker = environment && markerIn(environment);
    let tree = marker === undefined ? undefined : treeByKey.get(marker);
    if (marker === undefined) {
      const entry = readProcess(pid);
      if (!entry || entry.isDead || entry.isKernel) return;
      tree = treeByLeader.get(entry.session);
      if (!tree && environment?.length === 0) {
        if (entry.isExecuting) isBlurred = true;
        // It may have executed between the two reads: the environment that it has now tells.
        else tree = treeByKey.get(markerIn(readEnvironment(pid) ?? environment) ?? '');
      }
    }
    if (tree) left.add(tree);
  });
  return { left, isBlurred };
};
