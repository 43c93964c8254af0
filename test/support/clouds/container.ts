import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';

export interface ContainerSpec {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Each container works in a folder of its own in here. */
  readonly folder: string;
  /** What stands for a program in the image, by its path there. */
  readonly programs: Readonly<Record<string, readonly string[]>>;
}

/** How a container ended. `signal` by its number, 0 for none. */
export interface ContainerEnd {
  readonly exitCode: number;
  readonly signal: number;
}

/** A command of an image, as a process of this machine. */
export interface Container {
  readonly ended: Promise<ContainerEnd>;
  /** What it wrote, both streams as they came. */
  log(): string;
  /** TERM, and KILL after so many milliseconds. */
  stop(graceMs: number): void;
  kill(): void;
}

const SIGNALS: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGSEGV: 11, SIGABRT: 6 };

export const startContainer = ({ command, env, folder, programs }: ContainerSpec): Container => {
  const own = mkdtempSync(join(folder, 'container-'));
  const [first = '', ...args] = command;
  const [program = first, ...before] = programs[first] ?? [first];
  const child: ChildProcess = spawn(program, [...before, ...args], {
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', TMPDIR: own, ...env },
    cwd: own,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece: Buffer) => (log += piece.toString()));
  const { promise: ended, resolve } = Promise.withResolvers<ContainerEnd>();
  let timer: NodeJS.Timeout | undefined;
  child.once('error', () => resolve({ exitCode: 127, signal: 0 }));
  child.once('close', (code, signal) => {
    clearTimeout(timer);
    resolve({ exitCode: code ?? 0, signal: signal ? (SIGNALS[signal] ?? 9) : 0 });
  });
  const send = (signal: NodeJS.Signals, pid = child.pid): void => {
    try {
      if (pid !== undefined) process.kill(-pid, signal);
    } catch {
      // Gone.
    }
  };
  return {
    ended,
    log: () => log,
    stop(graceMs) {
      // To the container's first process alone; KILL goes to all of it.
      child.kill('SIGTERM');
      timer ??= setTimeout(() => send('SIGKILL'), graceMs);
    },
    kill: () => send('SIGKILL'),
  };
};
