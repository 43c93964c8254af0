import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** The variable that every process of a run carries, unless it cleared its environment. */
export const MARKER = 'ERRAND_ATTEMPT';
const MARKER_BYTES = Buffer.from(`${MARKER}=`);

/** Whether processes other than one's own children can be found: on Linux, by /proc. */
export const hasProcessTable = process.platform === 'linux' && existsSync('/proc/self/environ');

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** In clock ticks since boot. With the pid it names one process for good. */
  readonly startedAt: string;
  /** All of its threads have ended; it waits for its parent to ask how. */
  readonly isDead: boolean;
  readonly isKernel: boolean;
  /** The kernel is just replacing its program: its environment cannot be read now, but soon. */
  readonly isExecuting: boolean;
}

/** Flag of kernel threads (PF_KTHREAD in the kernel's include/linux/sched.h). */
const KERNEL_THREAD = 0x0020_0000;

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; undefined when there is no such process. */
export const readProcess = (pid: number): ProcessEntry | undefined => {
  const bytes = read(`/proc/${pid}/stat`);
  if (!bytes) return undefined;
  const text = bytes.toString('latin1');
  // The name, in parentheses, may itself hold spaces and parentheses. What follows it begins with field 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): string => fields[number - 3] ?? '';
  const isZombie = field(3) === 'Z' || field(3) === 'X';
  return {
    pid,
    parent: Number(field(4)),
    group: Number(field(5)),
    session: Number(field(6)),
    startedAt: field(22),
    // The first thread of a process may end before the others do.
    isDead: isZombie && Number(field(20)) <= 1,
    isKernel: (Number(field(9)) & KERNEL_THREAD) !== 0,
    isExecuting: !isZombie && field(51) === '0',
  };
};

/** Undefined when it is gone or another user's; empty when it was cleared, and while `isExecuting`. */
export const readEnvironment = (pid: number): Buffer | undefined => read(`/proc/${pid}/environ`);

/** The key of the run that an environment belongs to. */
export const markerIn = (environment: Buffer): string | undefined => {
  for (let at = environment.indexOf(MARKER_BYTES); at >= 0; at = environment.indexOf(MARKER_BYTES, at + 1)) {
    if (at > 0 && environment[at - 1] !== 0) continue;
    const end = environment.indexOf(0, at);
    return environment.toString('latin1', at + MARKER_BYTES.length, end < 0 ? environment.length : end);
  }
  return undefined;
};

/** The process id that the kernel gave out last, over the whole machine (the last field of /proc/loadavg). */
export const lastProcessId = (): number => {
  const text = read('/proc/loadavg')?.toString('latin1') ?? '';
  return Number(text.slice(text.lastIndexOf(' ') + 1));
};

/** Looks at those made meanwhile, so often; a machine that never stops making processes must not hold us for ever. */
const MOST_ROUNDS = 8;

/**
 * Visits every process, or those made after the one given; also those made while it looks, since the last trace of a
 * tree may be a process whose parent has ended before its turn came. Some that it visits may be gone already.
 */
export const visitProcesses = (after: number | undefined, visit: (pid: number) => void): void => {
  let last = lastProcessId();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (pid > 0 && (after === undefined || isBetween(pid, after, last))) visit(pid);
  }
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const now = lastProcessId();
    if (now === last) return;
    // Ids begin again at the bottom once they are used up.
    for (let pid = now > last ? last + 1 : 1; pid <= now; pid++) visit(pid);
    last = now;
  }
};

const isBetween = (pid: number, after: number, last: number): boolean =>
  after <= last ? pid > after && pid <= last : pid > after || pid <= last;

/** More processes than any machine makes in a second. */
const MOST_PROCESSES_A_SECOND = 20_000;
let mostIds: number | undefined;

/** Within so many milliseconds the ids that the kernel gives out surely do not come round to where they were. */
export const idsComeRoundMs = (): number => {
  mostIds ??= Number(read('/proc/sys/kernel/pid_max')?.toString('latin1') ?? 0);
  return (mostIds / MOST_PROCESSES_A_SECOND) * 1_000;
};

/** Gone, or another user's. Anything else, such as too many open files, is no answer to whether a process is there. */
const NOT_READABLE: readonly (string | undefined)[] = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'];

const read = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch (error) {
    if (NOT_READABLE.includes((error as NodeJS.ErrnoException).code)) return undefined;
    throw error;
  }
};
