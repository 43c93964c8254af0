import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of the folder with everybody's data. */
  readonly fileSystem: string;
  readonly node: string;
}

/** https://man7.org/linux/man-pages/man2/statfs.2.html */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  16914836: 'tmpfs (memory: nothing is durable here)',
  1481003842: 'XFS',
  2435016766: 'Btrfs',
  2035054128: 'overlayfs',
};

export const describeMachine = (dataDirectory: string): Machine => {
  const { type: magic } = statfsSync(dataDirectory);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    fileSystem: FILE_SYSTEMS[magic] ?? `a file system of type 0x${magic.toString(16)}`,
    node: process.versions.node,
  };
};

export interface CpuUser {
  readonly pid: number;
  readonly name: string;
  /** Of one core. */
  readonly percent: number;
}

const WATCH_MS = 1_000;
const LEAST_PERCENT = 2;

/** Who else used the processor for a second, to be asked while nobody of ours runs. */
export const foreignCpuUsers = async (): Promise<readonly CpuUser[]> => {
  const before = new Map(listProcesses().map(({ pid, cpuTicks }) => [pid, cpuTicks]));
  if (before.size === 0) return [];
  const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']).toString());
  await wait(WATCH_MS);
  return listProcesses()
    .filter(({ pid }) => pid !== process.pid)
    .map(({ pid, name, cpuTicks }) => {
      const seconds = (cpuTicks - (before.get(pid) ?? 0)) / ticksPerSecond;
      return { pid, name, percent: Math.round((seconds / (WATCH_MS / 1_000)) * 100) };
    })
    .filter(({ percent }) => percent >= LEAST_PERCENT)
    .toSorted((a, b) => b.percent - a.percent);
};

/**
 * Megabytes of memory of these processes and all below them: the proportional set size, which shares out what several
 * of them map. RSS would count Node's program once for each of them. Undefined where there is no /proc.
 */
export const memoryMB = (roots: readonly number[]): number | undefined => {
  let kiB = 0;
  for (const pid of withDescendants(roots)) {
    try {
      kiB += Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0);
    } catch {
      // Ended since it was listed.
    }
  }
  return kiB === 0 ? undefined : (kiB * 1024) / 1e6;
};

const withDescendants = (roots: readonly number[]): number[] => {
  const childrenByParent = new Map<number, number[]>();
  for (const { pid, parent } of listProcesses()) {
    childrenByParent.set(parent, [...(childrenByParent.get(parent) ?? []), pid]);
  }
  const andBelow = (pid: number): number[] => [pid, ...(childrenByParent.get(pid) ?? []).flatMap(andBelow)];
  return roots.flatMap(andBelow);
};

interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Since it began, by itself, in clock ticks. */
  readonly cpuTicks: number;
}

/** Of all that runs, by /proc; nothing where there is none. */
const listProcesses = (): ProcessFacts[] => {
  let names: string[] = [];
  try {
    names = readdirSync('/proc');
  } catch {
    // Not Linux.
  }
  return names.filter((name) => /^\d+$/.test(name)).flatMap((name) => readFacts(Number(name)) ?? []);
};

const readFacts = (pid: number): ProcessFacts | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      pid,
      parent: Number(fields[1]),
      name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')),
      cpuTicks: Number(fields[11]) + Number(fields[12]),
    };
  } catch {
    // Gone since the listing.
    return undefined;
  }
};
