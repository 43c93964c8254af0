import type { PlaceLimits } from './place.ts';

/** What was planted on the host for probes to find, as the arguments of probes name it. */
export interface Planted {
  /** In what no command may read. Written backwards, so that it stands in no argument of a command. */
  readonly secret: string;
  /** In what commands leave for each other. */
  readonly mark: string;
  /** Files that are not there; whoever makes them has made them on the host. */
  readonly outsideFile: string;
  readonly settingsFile: string;
  readonly programsFile: string;
  readonly homeFile: string;
  /** Files with the secret in them. */
  readonly dataSecret: string;
  readonly homeSecret: string;
  /** Empty; whoever changes it has changed it on the host. */
  readonly changeableFile: string;
  readonly dataFolder: string;
  readonly workFolder: string;
  /** `DEVICE:INODE` of the dynamic loader's cache. */
  readonly loaderCache: string;
  /** The host's namespace of names, as /proc shows it. */
  readonly namesNamespace: string;
  readonly socketFile: string;
  readonly socketName: string;
  readonly port: number;
  readonly port6: number;
  readonly neighbourPort: number;
  /** A process of the host with the secret in its memory, its descriptors and its arguments. */
  readonly pid: number;
  readonly address: string;
  readonly descriptor: number;
  readonly segment: number;
  readonly terminal: string;
  readonly disk: string;
  readonly handle: string;
}

/** How the host finds out that what a probe says it did really was done to the host. */
export type Confirmation = 'file-made' | 'file-changed' | 'signal-heard' | 'process-left';

/**
 * What to expect of level `process`: that it holds, that it does not and says so, or that it holds where each command has a
 * user of its own (the server was started by root).
 */
export type AtProcess = 'held' | 'open' | 'own-user';

/** How much more than what was given a bomb asks for: a quarter. */
const BEYOND = 1.25;
/** What a bomb asks for where nothing is known of the limits. Bounded, as people run it on their own machine. */
const BLIND = { processes: 4_096, memoryMiB: 512, diskMiB: 256, files: 70_000, descriptors: 16_000 } as const;

const beyond = (limits: PlaceLimits, kind: keyof typeof BLIND): string => {
  const limit = limits[kind];
  return String(limit === undefined ? BLIND[kind] : Math.ceil(limit * BEYOND));
};

export interface ProbePlan {
  /** The arguments for each command it takes; of two, the second finds what the first left, and its word counts. */
  readonly steps: (planted: Planted, limits: PlaceLimits) => readonly (readonly string[])[];
  readonly atProcess: AtProcess;
  readonly confirmedBy?: Confirmation;
  /** The file that tells, for a confirmation by file. */
  readonly file?: keyof Planted;
  /** It hits when the host sees it run as root. */
  readonly isWatched?: true;
  /** Afterwards the place must be well, fast, and empty. */
  readonly isBomb?: true;
  /** It needs a command that runs beside it. */
  readonly hasNeighbour?: true;
}

const plan = (
  atProcess: AtProcess,
  args: (planted: Planted) => readonly string[] = () => [],
  more: Partial<ProbePlan> = {},
): ProbePlan => ({ steps: (planted) => [args(planted)], atProcess, ...more });

const pair = (atProcess: AtProcess, args: (planted: Planted) => readonly string[]): ProbePlan => ({
  steps: (planted) => [
    ['leave', ...args(planted)],
    ['find', ...args(planted)],
  ],
  atProcess,
});

const bomb = (atProcess: AtProcess, kind: keyof typeof BLIND, ...more: readonly string[]): ProbePlan => ({
  steps: (_, limits) => [[beyond(limits, kind), ...more]],
  atProcess,
  isBomb: true,
});

const makesFile = (file: 'outsideFile' | 'settingsFile' | 'programsFile' | 'homeFile', atProcess: AtProcess) =>
  plan(atProcess, (at) => [at[file], at.mark], { confirmedBy: 'file-made', file });

const secretOf = ({ secret }: Planted): string => `secret:${secret.split('').reverse().join('')}`;
const beside: Partial<ProbePlan> = { hasNeighbour: true };

/**
 * How each probe of launcher/probes is run and what is expected of it, in the order in which they run. `sandbox` and stronger
 * levels must hold them all.
 */
export const PROBES: Readonly<Record<string, ProbePlan>> = {
  'write-outside': makesFile('outsideFile', 'own-user'),
  'write-settings': makesFile('settingsFile', 'held'),
  'write-programs': makesFile('programsFile', 'held'),
  'write-home': makesFile('homeFile', 'own-user'),
  'write-through-link': plan('own-user', (at) => [at.changeableFile, at.mark], {
    confirmedBy: 'file-changed',
    file: 'changeableFile',
  }),
  'loader-cache': plan('held', (at) => ['/etc/ld.so.cache', at.loaderCache]),
  'running-programs': plan('own-user'),
  'read-data': plan('own-user', (at) => [at.dataSecret, secretOf(at)]),
  'read-home': plan('own-user', (at) => [at.homeSecret, secretOf(at)]),
  'read-shadow': plan('held'),
  'read-through-link': plan('own-user', (at) => [at.dataSecret, secretOf(at)]),
  'read-through-hard-link': plan('own-user', (at) => [at.dataSecret, secretOf(at)]),
  'read-through-proc': plan('own-user', (at) => [at.dataSecret, secretOf(at)]),
  'leaked-folder': plan('own-user', (at) => [at.dataSecret, secretOf(at)]),
  chroot: plan('held', (at) => [at.dataSecret, secretOf(at)]),
  'file-handle': plan('held', (at) => [at.handle, at.dataFolder, secretOf(at)]),
  'make-device': plan('held', (at) => [at.disk]),
  'raw-disk': plan('own-user'),
  'device-memory': plan('own-user', () => ['/dev/mem', '/dev/kmem', '/dev/port']),
  'device-kvm': plan('own-user', () => ['/dev/kvm']),
  'device-fuse': plan('open', () => ['/dev/fuse']),
  'device-registers': plan('own-user', () => ['/dev/cpu/0/msr']),
  'device-log': plan('open', () => ['/dev/kmsg']),
  'set-user-id': plan('held'),
  'left-in-tmp': pair('open', (at) => ['/tmp', at.mark]),
  'left-in-var-tmp': pair('open', (at) => ['/var/tmp', at.mark]),
  'left-in-shared-memory': pair('open', (at) => ['/dev/shm', at.mark]),
  'neighbour-files': plan('own-user', (at) => [at.mark, at.workFolder], beside),

  'own-environment': plan('held', (at) => [secretOf(at)]),
  environments: plan('own-user', (at) => [secretOf(at)]),
  descriptors: plan('held', (at) => [secretOf(at)]),
  'others-descriptors': plan('own-user', (at) => [secretOf(at)]),
  'command-lines': plan('open', (at) => [secretOf(at)]),
  'signal-host': plan('own-user', (at) => [String(at.pid)], { confirmedBy: 'signal-heard' }),
  trace: plan('own-user', (at) => [String(at.pid), at.address, secretOf(at)]),
  'read-memory': plan('own-user', (at) => [String(at.pid), at.address, secretOf(at)]),
  'memory-file': plan('own-user', (at) => [String(at.pid), at.address, secretOf(at)]),
  'steal-descriptor': plan('own-user', (at) => [String(at.pid), String(at.descriptor), secretOf(at)]),
  'change-limits': plan('own-user', (at) => [String(at.pid), secretOf(at)]),
  'join-namespaces': plan('held', (at) => [String(at.pid)]),
  'become-user': plan('held', () => ['0']),
  'drop-groups': plan('held'),
  capabilities: plan('held'),
  'new-privileges': plan('held'),
  'host-root': plan('held', (at) => [at.mark], { isWatched: true }),
  realtime: plan('held'),
  outlive: plan('held', (at) => [at.mark], { confirmedBy: 'process-left' }),
  'neighbour-processes': plan('own-user', (at) => [at.mark], beside),

  'core-pattern': plan('held', () => ['/proc/sys/kernel/core_pattern']),
  'module-loader': plan('held', () => ['/proc/sys/kernel/modprobe', '/proc/sys/kernel/hotplug']),
  'system-settings': plan('held', () => ['/proc/sys/vm/drop_caches', '/proc/sys/kernel/randomize_va_space']),
  'system-request': plan('held', () => ['/proc/sysrq-trigger']),
  'binary-formats': plan('held', () => ['/proc/sys/fs/binfmt_misc/register']),
  'device-settings': plan('held', () => [
    '/sys/kernel/uevent_helper',
    '/sys/power/state',
    '/sys/kernel/mm/transparent_hugepage/enabled',
  ]),
  tracing: plan('held', () => ['/sys/kernel/tracing/trace_marker', '/sys/kernel/debug/tracing/trace_marker']),
  'control-groups': plan('own-user'),
  'release-agent': plan('held'),
  mount: plan('held'),
  'mount-new-way': plan('held'),
  'remount-root': plan('held'),
  'user-namespace': plan('open'),
  namespaces: plan('held'),
  'io-uring': plan('open'),
  userfaultfd: plan('open'),
  bpf: plan('open'),
  perf: plan('open'),
  personality: plan('open'),
  'change-machine': plan('held'),
  'set-clock': plan('held'),
  'host-name': plan('held', (at) => [at.namesNamespace]),
  'kernel-log': plan('open'),
  'kernel-addresses': plan('open'),
  'kernel-memory': plan('held', () => ['/proc/kcore']),
  keyring: pair('own-user', (at) => [at.mark]),
  'terminal-input': plan('held', (at) => [at.terminal]),
  'terminal-output': plan('own-user', (at) => [at.terminal, at.mark]),
  'console-input': plan('own-user'),
  'calls-x32': plan('open'),
  'calls-i386': plan('open'),
  'io-ports': plan('held'),
  'no-filter': plan('open'),

  loopback: plan('open', (at) => ['127.0.0.1', String(at.port), secretOf(at)]),
  'loopback-6': plan('open', (at) => ['::1', String(at.port6), secretOf(at)]),
  'abstract-socket': plan('open', (at) => ['abstract', at.socketName, secretOf(at)]),
  'host-socket': plan('own-user', (at) => ['path', at.socketFile, secretOf(at)]),
  'control-sockets': plan('open'),
  interfaces: plan('open'),
  internet: plan('open'),
  metadata: plan('open'),
  'raw-packets': plan('held'),
  'rare-sockets': plan('open'),
  'neighbour-socket': plan('open', (at) => [at.mark], beside),
  'neighbour-port': plan('open', (at) => [String(at.neighbourPort), at.mark], beside),

  'shared-segment': pair('open', (at) => [at.mark]),
  'host-segment': plan('own-user', (at) => [String(at.segment), secretOf(at)]),
  'message-queue': pair('open', (at) => [at.mark]),
  'fork-bomb': bomb('open', 'processes'),
  threads: bomb('open', 'processes'),
  'memory-bomb': bomb('held', 'memoryMiB'),
  'memory-in-parts': bomb('held', 'memoryMiB'),
  'memory-in-files': bomb('open', 'memoryMiB', '/dev/shm'),
  'fill-folder': bomb('open', 'diskMiB', '.'),
  'fill-tmp': bomb('open', 'diskMiB', '/tmp'),
  'file-bomb': bomb('open', 'files'),
  'descriptor-bomb': bomb('open', 'descriptors'),
  spin: {
    steps: (_, { cpuPercent = 0 }) => [[String(cpuPercent)]],
    atProcess: 'held',
    isBomb: true,
  },
};
