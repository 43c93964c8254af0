import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '../../shared/isolation/place.ts';

export interface PlainPlaceOptions {
  readonly level: string;
  /** What stands before each command, such as a sandbox's program with its options. @default nothing */
  readonly wall?: readonly string[];
  /** Each command gets a folder of its own in here, which is removed after it. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Descriptors that are passed on, as a server would that forgets to close them. @default none */
  readonly leaked?: readonly number[];
  readonly limits?: Place['limits'];
  readonly ownUsers?: boolean;
}

/** Runs commands as children of this process, behind no wall but the given one: the control of every probe. */
export const plainPlace = (options: PlainPlaceOptions): Place => {
  const { level, wall = [], folder, env, leaked = [], limits = {}, ownUsers = false } = options;
  return {
    level,
    limits,
    ownUsers,
    async run(argv, { stdin, stop, onOutput }) {
      const [file = '', ...args] = [...wall, ...argv];
      const cwd = mkdtempSync(join(folder, 'run-'));
      // A session of its own, so that nothing is typed on the terminal of whoever started this.
      const child = spawn(file, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe', ...leaked], detached: true });
      const pieces = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        child[name]?.setEncoding('utf8').on('data', (text: string) => {
          pieces[name] += text;
          if (name === 'stdout') onOutput?.(text);
        });
      }
      const closed = once(child, 'close');
      const kill = () => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL');
      stop?.addEventListener('abort', kill, { once: true });
      // It may end before it has read all.
      child.stdin?.on('error', () => {});
      child.stdin?.end(stdin);
      try {
        const [exitCode, signal] = (await closed) as [number | null, NodeJS.Signals | null];
        return { exitCode, signal, stdout: pieces.stdout, detail: firstLine(pieces.stderr) };
      } finally {
        stop?.removeEventListener('abort', kill);
        rmSync(cwd, { recursive: true, force: true });
      }
    },
    isHealthy: async () => true,
  };
};

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';
