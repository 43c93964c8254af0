import { readFileSync } from 'node:fs';
import { hasProcessTable, readProcess, visitProcesses } from '../../shared/providers/local/process-table.ts';

/** What was there before the first command, and is none of ours to end. */
export interface Baseline {
  /**
   * Kills whatever came since, until nothing is found. It also finds what the launcher cannot tell from others: processes
   * that cleared their environment, left their session and lost their parents. Without this they would be frozen with
   * their environment, and wake up inside the next invocation.
   * @returns whether all of it is gone
   */
  sweep(): Promise<boolean>;
}

/** One that forks faster than it is killed must not hold us for ever. */
const MOST_ROUNDS = 200;
const LONGEST_PAUSE_MS = 20;

/** To be called before anything of a command may be there, and only on a machine where nothing else ever starts. */
export const takeBaseline = (pause: (milliseconds: number) => Promise<void>): Baseline => {
  const before = new Map<number, string>();
  eachProcess((pid, startedAt) => void before.set(pid, startedAt));
  const killStrangers = (): number => {
    let found = 0;
    eachProcess((pid, startedAt) => {
      if (pid === process.pid || before.get(pid) === startedAt || !isProcess(pid)) return;
      found++;
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone meanwhile, or another user's: the next round tells.
      }
    });
    return found;
  };
  return {
    async sweep() {
      for (let round = 0; round < MOST_ROUNDS; round++) {
        // Twice: what forked while it was looked at is in the second look.
        if (killStrangers() === 0 && killStrangers() === 0) return true;
        await pause(Math.min(round, LONGEST_PAUSE_MS));
      }
      return false;
    },
  };
};

/**
 * Threads have ids like processes, and a signal to one ends its whole process: a new thread of a process that was there
 * before must not be taken for a stranger.
 */
const isProcess = (pid: number): boolean => {
  try {
    return Number(/^Tgid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) === pid;
  } catch {
    return false; // Gone.
  }
};

const eachProcess = (visit: (pid: number, startedAt: string) => void): void => {
  if (!hasProcessTable) return;
  visitProcesses(undefined, (pid) => {
    const entry = readProcess(pid);
    if (entry && !entry.isDead && !entry.isKernel) visit(pid, entry.startedAt);
  });
};
