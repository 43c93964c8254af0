import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Whether processes can be given a machine of their own, as far as its process table goes: on Linux, with the right to
 * make one. Without it an environment's processes are told by their group alone.
 */
export const hasOwnMachines =
  process.platform === 'linux' && spawnSync('unshare', [...'--pid --fork --mount-proc true'.split(' ')]).status === 0;

/** The processes of one execution environment: the runtime, and whatever commands left beside it. */
export interface EnvironmentProcess {
  /** How the runtime ended. */
  readonly ended: Promise<{ readonly exitCode: number | null; readonly killed: boolean }>;
  /** What was written to stdout and stderr, in the end what goes to the function's log. */
  log(): string;
  /** All of it stands still, as between two invocations. */
  freeze(): void;
  thaw(): void;
  kill(): void;
  /** As the machine sees it: ids of all that live in it. */
  pids(): number[];
}

export const startEnvironmentProcess = (
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  cwd: string,
): EnvironmentProcess => {
  const [program, ...args] = hasOwnMachines ? onOwnMachine(argv) : argv;
  const child = spawn(program, args, {
    env: hasOwnMachines ? { PATH: process.env['PATH'] } : env,
    cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  child.stdin.on('error', () => {});
  child.stdin.end(hasOwnMachines ? exportsOf(env) : '');
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (log += piece.toString()));
  const { promise: ended, resolve } = Promise.withResolvers<Awaited<EnvironmentProcess['ended']>>();
  child.once('error', () => resolve({ exitCode: null, killed: false }));
  child.once('exit', (exitCode, signal) => resolve({ exitCode, killed: signal === 'SIGKILL' || exitCode === 128 + 9 }));
  const signalAll = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    if (!hasOwnMachines) {
      send(-child.pid, signal);
      return;
    }
    // What forks meanwhile is in a later look.
    const told = new Set<number>();
    for (let found = -1; found !== told.size; ) {
      found = told.size;
      for (const pid of membersOf(child)) {
        if (!told.has(pid)) send(pid, signal);
        told.add(pid);
      }
    }
  };
  return {
    ended,
    log: () => log,
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    // The machine ends with its init, and the init with unshare.
    kill: () => send(child.pid === undefined ? 0 : hasOwnMachines ? child.pid : -child.pid, 'SIGKILL'),
    pids: () => membersOf(child),
  };
};

/**
 * A shell stands in the place of the machine's init: it waits for whoever has lost its parent. It reads the function's
 * environment as its input and hands it on, so that it is in no other process's /proc/<pid>/environ but the runtime's.
 */
const onOwnMachine = (argv: readonly [string, ...string[]]): [string, ...string[]] => [
  'unshare',
  ...['--pid', '--fork', '--kill-child', '--mount-proc'],
  ...['sh', '-c', 'eval "$(cat)"; "$@" </dev/null & wait $!', 'init'],
  ...argv,
];

const exportsOf = (env: Readonly<Record<string, string>>): string =>
  Object.entries(env)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');

const send = (pid: number, signal: NodeJS.Signals): void => {
  try {
    if (pid !== 0) process.kill(pid, signal);
  } catch {
    // Gone.
  }
};

/** All that are in the machine of unshare's child. */
const membersOf = ({ pid }: ChildProcess): number[] => {
  const init = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ')[0] ?? '';
  const machine = init === '' ? '' : link(`/proc/${init}/ns/pid`);
  if (machine === '' || machine === link('/proc/self/ns/pid')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && link(`/proc/${name}/ns/pid`) === machine)
    .map(Number);
};

const read = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
};

const link = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};
