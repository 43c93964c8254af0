import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { leaksInWords, refuseLeaks } from './canaries/leaks.ts';
import { CANARY_ENVIRONMENT } from './canaries/values.ts';
import { tempDirectory } from './temp-directory.ts';

const ERRAND = fileURLToPath(new URL('../../clients/cli/errand.js', import.meta.url));

/** Shared by all tests, and nothing of theirs in it. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/errand-test', import.meta.url));

export interface Cli {
  readonly process: ChildProcess;
  readonly stdout: () => Buffer;
  readonly stderr: () => string;
  /** Resolves once stdout or stderr has this text. */
  readonly says: (text: string) => Promise<void>;
  /** The exit code, or 128 + the signal's number; once all output was read. */
  readonly exit: Promise<number | string>;
}

export interface CliOptions {
  readonly dataDirectory: string;
  readonly env?: Record<string, string>;
  readonly stdin?: 'ignore' | 'pipe';
  readonly cwd?: string;
  /** Gives it a terminal (util-linux's script); all that it writes is then its stdout. With what a shell does there before and after it. */
  readonly terminal?: boolean | { readonly before: string; readonly after: string };
  /** What stands before its command line, such as another user. @default nothing */
  readonly wrapper?: readonly string[];
}

/** Starts the real CLI. It is killed, if it still runs, when the test ends, and what it wrote may have held no secret. */
export const startCli = (
  args: readonly string[],
  { dataDirectory, env = {}, stdin = 'ignore', cwd, terminal, wrapper = [] }: CliOptions,
): Cli => {
  const { PATH = '' } = process.env;
  const options: SpawnOptions = {
    env: {
      PATH,
      HOME: dataDirectory,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      ERRAND_DATA: dataDirectory,
      ...CANARY_ENVIRONMENT,
      ...env,
    },
    stdio: [stdin, 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  };
  const [file = '', ...rest] = [...wrapper, process.execPath, ERRAND, ...args];
  const { before, after } = typeof terminal === 'object' ? terminal : { before: '', after: '' };
  const child = terminal
    ? spawn('script', ['-qefc', [before, process.execPath, ERRAND, ...args, after].join(' '), '/dev/null'], options)
    : spawn(file, rest, options);
  const pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  onTestFinished(() => {
    child.kill('SIGKILL');
    const of = (name: 'stdout' | 'stderr') => [{ where: `${name} of errand ${args[0]}`, bytes: all(name) }];
    const folder = dataDirectory;
    // A new key is shown on stdout.
    refuseLeaks([
      ...leaksInWords(of('stdout'), { folder, mayHoldApiKeys: true }),
      ...leaksInWords(of('stderr'), { folder }),
    ]);
  });
  const waiting = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (piece: Buffer) => {
      pieces[name].push(piece);
      for (const look of waiting) look();
    });
  }
  const all = (name: 'stdout' | 'stderr') => Buffer.concat(pieces[name]);
  return {
    process: child,
    stdout: () => all('stdout'),
    stderr: () => all('stderr').toString(),
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!all('stdout').includes(text) && !all('stderr').includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        child.once('close', () => reject(new Error(`It ended without saying ${text}: ${all('stderr')}`)));
        look();
      }),
    exit: once(child, 'close').then(([code, signal]) => code ?? signal),
  };
};

/** Runs the real CLI to its end. */
export const cli = async (args: readonly string[], options: CliOptions & { input?: Uint8Array | string }) => {
  const started = startCli(args, { ...options, stdin: options.input === undefined ? 'ignore' : 'pipe' });
  started.process.stdin?.on('error', () => {});
  started.process.stdin?.end(options.input);
  const exit = await started.exit;
  return { exit, stdout: started.stdout().toString(), stderr: started.stderr(), bytes: started.stdout() };
};

export interface Server extends Cli {
  readonly url: string;
}

/** Starts `errand serve` on a free port, and resolves once it serves. */
export const startServer = async (
  dataDirectory = tempDirectory(),
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Server> => {
  const started = startCli(['serve', '--port', '0', ...args], { dataDirectory, env });
  await started.says('Errand serves at');
  const [url = ''] = /https?:\/\/[^ ]+/.exec(started.stdout().toString()) ?? [];
  return { ...started, url };
};
