import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

export interface ContainerSpec {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Each container works in a folder of its own in here. */
  readonly folder: string;
  /** What stands for a program in the image, by its path there. */
  readonly programs: Readonly<Record<string, readonly string[]>>;
}

/** How a container ended. A program that is not in the image has neither code nor signal. */
export interface ContainerEnd {
  readonly exitCode?: number;
  readonly signal?: number;
}

/** A command of an image, as a process of this machine. */
export interface Container {
  readonly ended: Promise<ContainerEnd>;
  /** What it wrote, both streams as they came. */
  log(): string;
  /** TERM to its first process, and after so many milliseconds KILL to all of it. */
  stop(graceMs: number): void;
  /** To all of it that has not left its process group. */
  signal(signal: NodeJS.Signals): void;
  kill(): void;
}

/** Its environment is what was asked for, a PATH, and where its own file system begins. */
export const startContainer = ({ command, env, folder, programs }: ContainerSpec): Container => {
  const own = mkdtempSync(join(folder, 'container-'));
  const [first = '', ...args] = command;
  const [program = first, ...before] = programs[first] ?? [first];
  const child = spawn(program, [...before, ...args], {
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', TMPDIR: own, ...env },
    cwd: own,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const signalAll = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // Gone.
    }
  };
  const killAll = () => signalAll('SIGKILL');
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece: Buffer) => (log += piece.toString()));
  let timer: NodeJS.Timeout | undefined;
  const { promise: ended, resolve } = Promise.withResolvers<ContainerEnd>();
  child.once('error', () => resolve({}));
  // A container ends with its first process.
  child.once('exit', killAll);
  // By then its last words are here too.
  child.once('close', (code, signal) => {
    clearTimeout(timer);
    resolve({
      ...(code === null ? {} : { exitCode: code }),
      ...(signal === null ? {} : { signal: constants.signals[signal] }),
    });
  });
  return {
    ended,
    log: () => log,
    stop(graceMs) {
      child.kill('SIGTERM');
      timer ??= setTimeout(killAll, graceMs);
    },
    signal: signalAll,
    kill: killAll,
  };
};
