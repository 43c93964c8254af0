import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

export interface ServerOptions {
  /** The project, or a copy of it. */
  readonly root: string;
  readonly dataDirectory: string;
  readonly port: number;
  /** Beside what it needs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How long a start took, until it served: on the clock, and of the processor, which others have no part in. */
export interface Start {
  readonly ms: number;
  readonly cpuMs: number;
}

/** A process of `errand serve`, the real program. */
export interface ServerProcess {
  readonly process: ChildProcess;
  /** Resolves once it serves; undefined when it ended before. */
  readonly serves: Promise<Start | undefined>;
  /** Resolves once it is gone, with what it wrote on stderr. */
  readonly gone: Promise<string>;
}

/** Fewer than the callers of the load, so that some commands always wait. */
const CONCURRENCY = 12;

export const spawnServer = ({ root, dataDirectory, port, env = {} }: ServerOptions): ServerProcess => {
  const { PATH = '' } = process.env;
  const startedAt = performance.now();
  const options = ['--port', String(port), '--data', dataDirectory, '--concurrency', String(CONCURRENCY)];
  const child = spawn(process.execPath, [join(root, 'clients/cli/errand.js'), 'serve', ...options], {
    env: { PATH, HOME: root, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/errand-test'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (piece) => (stderr += piece));
  const gone = once(child, 'close').then(() => stderr);
  let stdout = '';
  const serves = new Promise<Start | undefined>((resolve) => {
    child.stdout.on('data', (piece) => {
      stdout += piece;
      if (stdout.includes('Errand serves at')) {
        resolve({ ms: performance.now() - startedAt, cpuMs: processorTimeOf(child.pid ?? 0) });
      }
    });
    void gone.then(() => resolve(undefined));
  });
  return { process: child, serves, gone };
};

/** In ticks of 10 ms, as Linux counts them (proc(5)). */
const TICK_MS = 10;

const processorTimeOf = (pid: number): number => {
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'latin1') : '';
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) * TICK_MS;
};
