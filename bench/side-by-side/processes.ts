import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** A program that was started and said that it is ready. */
export interface Launched {
  readonly pid: number;
  /** What it said when it was ready. */
  readonly said: readonly string[];
}

export interface LaunchOptions {
  /** What it writes once it is ready, on standard output or error; or the port on which it then listens. */
  readonly ready: RegExp | number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The user to run it as. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

/** Where a system lives: a folder of its own, and the processes that were launched for it. */
export interface Site {
  readonly directory: string;
  /** @throws Error with what it wrote when it ends, or does not get ready */
  launch(program: string, args: readonly string[], options: LaunchOptions): Promise<Launched>;
  pids(): readonly number[];
  /** Ends all that was launched, the last first, with what they started. */
  close(): Promise<void>;
}

const READY_PATIENCE_MS = 30_000;
const STOP_PATIENCE_MS = 10_000;

/** @param over ends the wait for a program that is not ready yet; `close` is still up to the caller */
export const openSite = (directory: string, over: AbortSignal): Site => {
  const children: ChildProcess[] = [];
  return {
    directory,
    async launch(program, args, { ready, user, ...where }) {
      // A session of its own: a terminal's Ctrl-C is ours to pass on, in order, and what is left of it can be killed as one.
      const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...where, ...user });
      if (child.pid !== undefined) children.push(child);
      const said = await untilReady(child, ready, over).catch((error: Error) => {
        throw new Error(`${[program, ...args].join(' ')} ${error.message}`);
      });
      return { pid: child.pid as number, said };
    },
    pids: () => children.flatMap(({ pid }) => pid ?? []),
    async close() {
      for (const child of children.splice(0).toReversed()) await end(child);
    },
  };
};

const untilReady = async (
  child: ChildProcess,
  ready: RegExp | number,
  over: AbortSignal,
): Promise<readonly string[]> => {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const settled = new AbortController();
  let text = '';
  const hear = (bytes: Buffer): void => {
    // What comes later is read, so that it does not block, and forgotten.
    if (settled.signal.aborted) return;
    text += bytes.toString('utf8');
    const said = typeof ready === 'number' ? undefined : ready.exec(text);
    if (said) resolve(said);
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  const giveUp = (why: string) => () => reject(new Error(`${why}: ${text.trim().slice(-2_000)}`));
  child.once('error', ({ message }) => giveUp(`could not be started (${message})`)());
  child.once('exit', giveUp('ended'));
  const patience = AbortSignal.any([over, AbortSignal.timeout(READY_PATIENCE_MS)]);
  patience.addEventListener('abort', giveUp('did not get ready'), { once: true });
  if (typeof ready === 'number') void untilListening(ready, settled.signal).then(() => resolve([]));
  return promise.finally(() => settled.abort());
};

const untilListening = async (port: number, over: AbortSignal): Promise<void> => {
  while (!over.aborted && !(await connects(port))) await wait(20);
};

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

/** TERM, and KILL for what does not heed it or was left behind. */
const end = async (child: ChildProcess): Promise<void> => {
  const exited = child.exitCode !== null || child.signalCode !== null;
  const exit = exited ? undefined : new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = setTimeout(() => killGroup(child), STOP_PATIENCE_MS);
  await exit;
  clearTimeout(late);
  killGroup(child);
};

const killGroup = ({ pid = 0 }: ChildProcess): void => {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
};

/** Where a program is, in the PATH or in folders that only root has there. */
export const findProgram = (name: string, besides: readonly string[] = []): string | undefined =>
  [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', ...besides]
    .map((folder) => join(folder, name))
    .find(isExecutable);

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** A port that was free a moment ago, for programs that cannot choose one and say so. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

/** The user of this name, for programs that refuse to run as root; undefined when we are not root. */
export const userUnlessRoot = (name: string): LaunchOptions['user'] => {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync('id', [flag, name]).toString());
  return { uid: id('-u'), gid: id('-g') };
};
