import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { IMAGE, importImages } from './image.ts';

export type Kind = 'podman' | 'dockerd';

export interface RunningDaemon {
  readonly socketPath: string;
  /** What a target on it is configured with at least. */
  readonly config: { readonly image: string; readonly pull: 'never'; readonly ulimits: Record<string, number> };
  readonly process: ChildProcess;
  /** One call of its API, and what it answers. */
  text(method: string, path: string): Promise<string>;
  /** The names of all containers there are, running or not. */
  containers(): Promise<readonly string[]>;
  /** Ends it and starts it anew on the same data. */
  restart(signal: NodeJS.Signals): Promise<void>;
  /** With all that it made. */
  close(): Promise<void>;
}

/** Whether there is a program of this name. */
export const isThere = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', program]);
    return true;
  } catch {
    return false;
  }
};

const NEEDED: Readonly<Record<Kind, readonly string[]>> = {
  podman: ['podman', 'runc', 'conmon', 'catatonit'],
  dockerd: ['dockerd', 'containerd', 'runc', 'docker-init'],
};

/** What is missing for a daemon to run here; empty when nothing is. */
export const missingFor = (kind: Kind): readonly string[] =>
  [
    process.platform === 'linux' && process.getuid?.() === 0 ? '' : 'root on Linux',
    existsSync('/bin/busybox') ? '' : 'busybox-static',
    ...NEEDED[kind].map((program) => (isThere(program) ? '' : program)),
  ].filter(Boolean);

/** As much as any machine gives: a hard limit of its own below Podman's defaults would keep each container from its start. */
const ULIMITS = { nofile: 4_096, nproc: 4_096 };

/** No bridge, no rules for the packet filter: nothing outside of its folder is touched. */
const COMMANDS: Readonly<Record<Kind, (folder: string, socketPath: string) => readonly [string, ...string[]]>> = {
  podman: (folder, socketPath) => [
    'podman',
    ...['--root', join(folder, 'data'), '--runroot', join(folder, 'run'), '--tmpdir', join(folder, 'tmp')],
    ...['--network-config-dir', join(folder, 'networks'), '--storage-driver', 'overlay'],
    ...['system', 'service', '--time=0', `unix://${socketPath}`],
  ],
  dockerd: (folder, socketPath) => [
    'dockerd',
    ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'pid')],
    ...['-H', `unix://${socketPath}`, '--storage-driver', 'overlay2'],
    ...['--iptables=false', '--ip6tables=false', '--bridge=none'],
  ],
};

const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=${ULIMITS.nofile}:${ULIMITS.nofile}", "nproc=${ULIMITS.nproc}:${ULIMITS.nproc}"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
`;

interface StartOptions {
  /** Arguments for the program beside its own. */
  readonly args?: readonly string[];
}

/** Starts a daemon on a folder and a socket of its own, with the images in it. */
export const startDaemon = async (kind: Kind, { args: more = [] }: StartOptions = {}): Promise<RunningDaemon> => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  const socketPath = join(folder, 'docker.sock');
  const settings = join(folder, 'containers.conf');
  writeFileSync(settings, CONTAINERS_CONF);
  const start = (): ChildProcess => {
    const [program, ...args] = COMMANDS[kind](folder, socketPath);
    const { PATH } = process.env;
    return spawn(program, [...args, ...more], {
      // Podman's monitor leaves a file where it works.
      cwd: folder,
      stdio: 'ignore',
      env: { PATH, HOME: folder, CONTAINERS_CONF: settings },
    });
  };
  let daemon = start();
  await untilItAnswers(socketPath, daemon);
  await importImages(socketPath, folder);
  const ask = (method: string, path: string) => askDaemon(socketPath, method, path);
  const containers = async (): Promise<readonly string[]> => {
    const found = JSON.parse(await ask('GET', '/containers/json?all=true')) as readonly { Names: readonly string[] }[];
    return found.flatMap(({ Names }) => Names);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill(signal);
    await once(daemon, 'close');
  };
  return {
    socketPath,
    config: { image: IMAGE, pull: 'never', ulimits: ULIMITS },
    get process() {
      return daemon;
    },
    text: ask,
    containers,
    async restart(signal) {
      await end(signal);
      // Of a containerd that dies with its dockerd, and that a machine which reaps nobody shows as alive.
      rmSync(join(folder, 'exec/containerd/containerd.pid'), { force: true });
      daemon = start();
      await untilItAnswers(socketPath, daemon);
    },
    async close() {
      for (const name of await containers().catch(() => [])) {
        await ask('DELETE', `/containers/${name.replace('/', '')}?force=true`).catch(() => {});
      }
      await end('SIGTERM');
      for (const path of mountsIn(folder)) execFileSync('umount', ['-l', path]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

/** The innermost first. */
const mountsIn = (folder: string): readonly string[] =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
    .toReversed();

const untilItAnswers = async (socketPath: string, daemon: ChildProcess): Promise<void> => {
  for (;;) {
    if (daemon.exitCode !== null) throw new Error(`The daemon ended with ${daemon.exitCode}`);
    try {
      await askDaemon(socketPath, 'GET', '/version');
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
};

const askDaemon = (socketPath: string, method: string, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path }, async (answer) => {
      const said = await text(answer);
      if ((answer.statusCode ?? 500) >= 300) reject(new Error(`${answer.statusCode}: ${said}`));
      else resolve(said);
    });
    asked.on('error', reject).end();
  });
