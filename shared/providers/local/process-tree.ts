import { gather } from './gather.ts';
import { elapsed, pause } from './machine-time.ts';
import {
  hasProcessTable,
  markerIn,
  type ProcessEntry,
  readEnvironment,
  readProcess,
  visitProcesses,
} from './process-table.ts';

/** The processes of one run, as far as they can be found. */
export interface Tree {
  /** The value of the marker that they carry. */
  readonly key: string;
  /** The process that was started for it, if it is known: also the number of its session and process group. */
  readonly leader: number | undefined;
  /** What the last look found: pid, and when it started. A process is known again when all that tied it to us is gone. */
  readonly known: Map<number, string>;
  /** The sessions that they were in. */
  readonly sessions: Set<number>;
}

export const makeTree = (key: string, leader?: number): Tree => ({
  key,
  leader,
  known: new Map(),
  sessions: new Set(leader === undefined ? [] : [leader]),
});

interface Look {
  readonly found: ReadonlyMap<Tree, readonly ProcessEntry[]>;
  /** Processes were just executing another program, so that they could not be told. */
  readonly isBlurred: boolean;
}

interface Row extends ProcessEntry {
  readonly marker: string | undefined;
}

/**
 * One pass over all processes, for all `trees`. Found are those that carry the marker, also after setsid or a double
 * fork; those in the tree's sessions; those found before; and the descendants of all of them.
 */
const lookAtOnce = (trees: readonly Tree[]): Look => {
  const rows = new Map<number, Row>();
  let isBlurred = false;
  visitProcesses(undefined, (pid) => {
    const entry = pid === process.pid ? undefined : readProcess(pid);
    if (!entry || entry.isDead || entry.isKernel) return;
    let environment = readEnvironment(pid);
    if (environment?.length === 0) {
      // It may have begun to execute, or be done with it, since it was read.
      if (entry.isExecuting || readProcess(pid)?.isExecuting) isBlurred = true;
      else environment = readEnvironment(pid);
    }
    rows.set(pid, { ...entry, marker: environment && markerIn(environment) });
  });
  const treeByKey = new Map(trees.map((tree) => [tree.key, tree]));
  const treeBySession = new Map(trees.flatMap((tree) => [...tree.sessions].map((id) => [id, tree] as const)));
  const treeByPid = new Map<number, Tree>();
  for (const row of rows.values()) {
    // Who carries another's marker is no one's by a number, which may have been used before; but see its ancestors.
    const own = row.marker === undefined ? treeBySession.get(row.session) : treeByKey.get(row.marker);
    const tree = own ?? trees.find(({ known }) => known.get(row.pid) === row.startedAt);
    if (tree) treeByPid.set(row.pid, tree);
  }
  const found = new Map<Tree, ProcessEntry[]>(trees.map((tree) => [tree, []]));
  for (const row of rows.values()) {
    const tree = treeOfLine(row.pid, rows, treeByPid);
    if (tree) found.get(tree)?.push(row);
  }
  for (const [tree, entries] of found) remember(tree, entries);
  return { found, isBlurred };
};

/** The tree of a process, or of its nearest ancestor that has one. */
const treeOfLine = (
  pid: number,
  rows: ReadonlyMap<number, Row>,
  treeByPid: ReadonlyMap<number, Tree>,
): Tree | undefined => {
  // An id that is used again while all are read could make a circle.
  const seen = new Set<number>();
  for (let at: number | undefined = pid; at !== undefined && !seen.has(at); at = rows.get(at)?.parent) {
    const tree = treeByPid.get(at);
    if (tree) return tree;
    seen.add(at);
  }
  return undefined;
};

const remember = (tree: Tree, entries: readonly ProcessEntry[]): void => {
  tree.known.clear();
  tree.sessions.clear();
  for (const { pid, startedAt, session } of entries) {
    tree.known.set(pid, startedAt);
    // Zero stands for a session from outside of this container.
    if (session > 0) tree.sessions.add(session);
  }
};

const look = gather(lookAtOnce);

/** A look that found nothing counts only when it was sharp; but something may execute programs all the time. */
const MOST_BLURRED_LOOKS = 20;

const find = async (tree: Tree): Promise<readonly ProcessEntry[]> => {
  for (let looks = 1; ; looks++) {
    const { found, isBlurred } = await look(tree);
    const entries = found.get(tree) ?? [];
    if (entries.length > 0 || !isBlurred || looks === MOST_BLURRED_LOOKS) return entries;
    await pause(1);
  }
};

/** Whether something of what the last look found is still there: far cheaper than another look. */
const isSomethingLeft = ({ known }: Tree): boolean =>
  [...known].some(([pid, startedAt]) => {
    const entry = readProcess(pid);
    return entry !== undefined && !entry.isDead && entry.startedAt === startedAt;
  });

/** A negative id means a process group. `not-ours`: it belongs to another user. */
export const send = (pid: number, signal: NodeJS.Signals | 0): 'sent' | 'gone' | 'not-ours' => {
  try {
    process.kill(pid, signal);
    return 'sent';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'not-ours' : 'gone';
  }
};

/** Sends to each process once, and to the group as a whole, so that one that forks meanwhile gets it too. */
const sendAll = (
  { leader }: Tree,
  entries: readonly ProcessEntry[],
  signal: NodeJS.Signals,
): readonly ProcessEntry[] => {
  const isInGroup = ({ group }: ProcessEntry): boolean => leader !== undefined && group === leader;
  const isGroupThere = leader !== undefined && entries.some(isInGroup) && send(-leader, signal) === 'sent';
  const others = isGroupThere ? entries.filter((entry) => !isInGroup(entry)) : entries;
  return others.filter(({ pid }) => send(pid, signal) === 'not-ours');
};

const LONGEST_PAUSE_MS = 500;

/**
 * Kills all of a run, again and again until nothing is found: what is killed may have forked in between. A process
 * that the kernel holds on to is waited for, `patienceMs` at most; those of another user, which a command with the
 * right to change users can leave behind, are not.
 * @returns the processes that are left
 */
export const killTree = async (tree: Tree, patienceMs = Number.POSITIVE_INFINITY): Promise<readonly ProcessEntry[]> => {
  if (!hasProcessTable) return killGroup(tree);
  const giveUpAt = elapsed() + patienceMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const entries = await find(tree);
    const notOurs = sendAll(tree, entries, 'SIGKILL');
    if (notOurs.length === entries.length || elapsed() > giveUpAt) return entries;
    await pause(pauseMs);
  }
};

/** Where processes cannot be found, their group is what there is. Its dead count as there until they are asked for. */
const killGroup = async ({ leader }: Tree): Promise<readonly ProcessEntry[]> => {
  for (let looks = 0; leader !== undefined && looks < 100 && send(-leader, 'SIGKILL') === 'sent'; looks++) {
    await pause(10);
  }
  return [];
};

/**
 * TERM, grace, KILL, until nothing of the run is found. TERM is sent once: what a process starts to clean up is let be
 * until the grace is over.
 * @param leaderEnd resolves when the run's leader has ended, to look at once
 * @returns the processes that are left, as killTree
 */
export const endTree = async (
  tree: Tree,
  graceSeconds: number,
  leaderEnd?: Promise<unknown>,
): Promise<readonly ProcessEntry[]> => {
  const killAt = elapsed() + graceSeconds * 1_000;
  const entries = await find(tree);
  // Those that were stopped hear TERM only once they go on.
  for (const signal of ['SIGTERM', 'SIGCONT'] as const) {
    if (hasProcessTable) sendAll(tree, entries, signal);
    else if (tree.leader !== undefined) send(-tree.leader, signal);
  }
  let early = leaderEnd?.then(() => {
    early = undefined;
  });
  for (let pauseMs = 2; elapsed() < killAt; pauseMs = Math.min(2 * pauseMs, 50)) {
    if (hasProcessTable ? !isSomethingLeft(tree) && (await find(tree)).length === 0 : isGroupGone(tree)) return [];
    await Promise.race([pause(Math.min(pauseMs, killAt - elapsed())), ...(early ? [early] : [])]);
  }
  return killTree(tree);
};

const isGroupGone = ({ leader }: Tree): boolean => leader === undefined || send(-leader, 0) !== 'sent';
