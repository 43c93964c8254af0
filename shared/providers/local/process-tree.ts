import { readdirSync, readFileSync } from 'node:fs';

/** The variable that every process of a run carries, unless it cleared its environment. */
export const MARKER = 'ERRAND_ATTEMPT';
const MARKER_BYTES = Buffer.from(`${MARKER}=`);

export const canFindTrees = process.platform === 'linux';

/** A run to look for: by its key, and by the process that was started for it, if it is known. */
export interface Wanted {
  readonly key: string;
  readonly leader?: number | undefined;
}

/**
 * The processes of some runs, by run key. Found are those that carry the run's marker in their environment, also
 * after setsid or a double fork; those in the leader's session or process group; and the descendants of all of them.
 * One pass over /proc serves all `wanted`. Finds nothing where there is no /proc.
 */
export const findTrees = (wanted: readonly Wanted[]): Map<string, number[]> => {
  const found = new Map<string, number[]>(wanted.map(({ key }) => [key, []]));
  if (!canFindTrees) return found;
  const keyByLeader = new Map(
    wanted.flatMap(({ key, leader }) => (leader === undefined ? [] : [[leader, key] as const])),
  );
  const keyByPid = new Map<number, string>();
  const parents = new Map<number, number>();
  for (const pid of processIds(wanted)) {
    const marker = readMarker(pid);
    if (marker !== undefined) {
      if (found.has(marker)) keyByPid.set(pid, marker);
      continue;
    }
    const stat = readStat(pid);
    if (!stat || stat.isZombie) continue;
    parents.set(pid, stat.parent);
    const key = keyByLeader.get(stat.session) ?? keyByLeader.get(stat.group);
    if (key !== undefined) keyByPid.set(pid, key);
  }
  for (const [pid, key] of keyByPid) found.get(key)?.push(pid);
  for (const pid of parents.keys()) {
    const key = keyByPid.has(pid) ? undefined : keyOfAncestor(pid, parents, keyByPid);
    if (key !== undefined) found.get(key)?.push(pid);
  }
  return found;
};

const keyOfAncestor = (
  pid: number,
  parents: ReadonlyMap<number, number>,
  keyByPid: ReadonlyMap<number, string>,
): string | undefined => {
  // A pid that is used again while /proc is read could make a circle.
  const seen = new Set<number>();
  for (let at = parents.get(pid); at !== undefined && !seen.has(at); at = parents.get(at)) {
    const key = keyByPid.get(at);
    if (key !== undefined) return key;
    seen.add(at);
  }
  return undefined;
};

/** Those that may belong to one of `wanted`: what a leader started came after it, and so has a higher id. */
const processIds = (wanted: readonly Wanted[]): number[] => {
  const leaders = wanted.map(({ leader }) => leader ?? 0);
  const oldest = Math.min(...leaders);
  // Ids begin again at the bottom once they are used up.
  const wrapped = (lastProcessId() ?? 0) < Math.max(...leaders);
  const ids: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (pid > 0 && pid !== process.pid && (wrapped || pid >= oldest)) ids.push(pid);
  }
  return ids;
};

interface Stat {
  readonly isZombie: boolean;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; undefined when the process is gone. */
const readStat = (pid: number): Stat | undefined => {
  const text = readText(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name, in parentheses, may itself hold spaces and parentheses.
  const [state, parent, group, session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    isZombie: state === 'Z' || state === 'X',
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
  };
};

const readMarker = (pid: number): string | undefined => {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    for (let at = environment.indexOf(MARKER_BYTES); at >= 0; at = environment.indexOf(MARKER_BYTES, at + 1)) {
      if (at > 0 && environment[at - 1] !== 0) continue;
      const end = environment.indexOf(0, at);
      return environment.toString('latin1', at + MARKER_BYTES.length, end < 0 ? environment.length : end);
    }
  } catch {
    // Gone, or another user's.
  }
  return undefined;
};

/** The process id that the kernel gave out last, over the whole machine (the last field of /proc/loadavg). */
export const lastProcessId = (): number | undefined => {
  const text = readText('/proc/loadavg');
  return text === undefined ? undefined : Number(text.slice(text.lastIndexOf(' ') + 1));
};

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
};

/** Sends a signal; false when there is nobody to take it. A negative id means a process group. */
export const send = (pid: number, signal: NodeJS.Signals): boolean => {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
};

/** Between two looks whether what was killed is gone. */
const LOOK_AGAIN_MS = 5;
/** What cannot be killed within this (a process stuck in the kernel) is left to it. */
const GIVE_UP_MS = 10_000;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Kills all of some runs, again and again until nothing is found: what is killed may have forked in between. */
export const killTrees = async (wanted: readonly Wanted[]): Promise<void> => {
  for (let waited = 0; waited < GIVE_UP_MS; waited += LOOK_AGAIN_MS) {
    const groups = wanted.map(({ leader }) => leader !== undefined && send(-leader, 'SIGKILL'));
    const pids = [...findTrees(wanted).values()].flat();
    for (const pid of pids) send(pid, 'SIGKILL');
    if (pids.length === 0 && (canFindTrees || !groups.includes(true))) return;
    await pause(LOOK_AGAIN_MS);
  }
};

/** Asks all of a run to end: TERM, and CONT for those that were stopped and would not hear it. */
const terminateTree = (wanted: Wanted): void => {
  const pids = findTrees([wanted]).get(wanted.key) ?? [];
  for (const signal of ['SIGTERM', 'SIGCONT'] as const) {
    if (wanted.leader !== undefined) send(-wanted.leader, signal);
    for (const pid of pids) send(pid, signal);
  }
};

/** TERM, grace, KILL, until nothing of the run is found. */
export const endTree = async (wanted: Wanted, graceSeconds: number): Promise<void> => {
  terminateTree(wanted);
  for (let waited = 0; waited < graceSeconds * 1_000; waited += 50) {
    if (!isAlive(wanted)) return;
    await pause(50);
  }
  await killTrees([wanted]);
};

const isAlive = (wanted: Wanted): boolean => (findTrees([wanted]).get(wanted.key) ?? []).length > 0;
