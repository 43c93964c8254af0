import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { StreamName } from '../../domain/output.ts';
import { type LaunchEnd, type LaunchSpec, WINDOW_BYTES } from './frames.ts';
import { killLeftovers } from './leftovers.ts';
import { endTree, killTrees, send } from './process-tree.ts';
import { removeWorkDirectory } from './work-directory.ts';

/** What the helper does for a run. */
export interface HelperRun {
  stdin(bytes: Buffer): void;
  stdinEnd(): void;
  /** So many bytes of output were taken. */
  credit(bytes: number): void;
  signal(signal: NodeJS.Signals): void;
  stop(): void;
  /** The server is gone: kills all of it and cleans up. */
  abandon(): Promise<void>;
}

export interface HelperRunEvents {
  output(stream: StreamName, bytes: Buffer): void;
  stdinTaken(bytes: number): void;
  /** All of the run is gone, its work folder too. */
  ended(end: LaunchEnd): void;
}

/** Someone outside of the tree may have been handed the command's pipes: its end does not wait for them for long. */
const PIPES_CLOSE_MS = 2_000;

/** Executes a command. Faults are told by `ended`, never thrown. */
export const startRun = (spec: LaunchSpec, events: HelperRunEvents): HelperRun => {
  const finish = async (end: LaunchEnd): Promise<void> => {
    await removeWorkDirectory(spec.workDirectory);
    events.ended(end);
  };
  const fault = prepare(spec);
  if (fault) {
    void finish(fault);
    return NOTHING;
  }
  const child = spawn(spec.argv[0], spec.argv.slice(1), {
    cwd: spec.cwd ?? spec.workDirectory,
    env: spec.env,
    stdio: [spec.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    // A session and process group of its own, and no controlling terminal.
    detached: true,
  });
  const leader = child.pid;
  if (leader === undefined) {
    child.once('error', (error) => void finish(spawnFault(spec, error)));
    return NOTHING;
  }
  const wanted = { key: spec.key, leader };
  const pipes = watchOutput(child, events.output);
  const exit = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  const gone = exit.then(async (how) => {
    await killLeftovers(wanted);
    return how;
  });
  void gone.then(async (how) => {
    await pipes.closed(PIPES_CLOSE_MS);
    await finish({ kind: 'ended', ...how });
  });
  child.stdin?.on('error', () => {}); // The command closed its input, which is its right.
  let stopping = false;

  return {
    stdin(bytes) {
      const taken = () => events.stdinTaken(bytes.length);
      if (child.stdin?.writable) child.stdin.write(bytes, taken);
      else taken();
    },
    stdinEnd: () => void child.stdin?.end(),
    credit: pipes.credit,
    signal: (signal) => void send(-leader, signal),
    stop() {
      if (stopping) return;
      stopping = true;
      void endTree(wanted, spec.graceSeconds);
    },
    async abandon() {
      await killTrees([wanted]);
      await gone;
      await removeWorkDirectory(spec.workDirectory);
    },
  };
};

const NOTHING: HelperRun = {
  stdin: () => {},
  stdinEnd: () => {},
  credit: () => {},
  signal: () => {},
  stop: () => {},
  abandon: async () => {},
};

const prepare = ({ workDirectory, cwd }: LaunchSpec): LaunchEnd | undefined => {
  try {
    mkdirSync(workDirectory, { recursive: true, mode: 0o700 });
  } catch (error) {
    return { kind: 'rejected', detail: `The work folder could not be made: ${messageOf(error)}`, retryable: true };
  }
  if (cwd === undefined) return undefined;
  const problem = folderProblem(cwd);
  if (problem === undefined) return undefined;
  return { kind: 'ended', exitCode: 126, signal: null, detail: `The folder ${cwd} cannot be worked in: ${problem}.` };
};

const folderProblem = (path: string): string | undefined => {
  try {
    return statSync(path).isDirectory() ? undefined : 'it is not a folder';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist' : messageOf(error);
  }
};

/** What a machine has too little of right now; the same start may succeed later. */
const SHORTAGES: readonly (string | undefined)[] = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE'];

/** As shells do: 127 for a program that is not there, 126 for one that cannot be executed. */
const spawnFault = ({ argv: [program], env }: LaunchSpec, error: NodeJS.ErrnoException): LaunchEnd => {
  if (SHORTAGES.includes(error.code)) {
    return { kind: 'rejected', detail: `No process could be made: ${error.message}`, retryable: true };
  }
  if (error.code === 'ENOENT') {
    const where = program.includes('/') ? '' : ` on the PATH ${env['PATH'] ?? ''}`;
    const detail = `The program ${program} was not found${where}. Give its full path, or set PATH in env.`;
    return { kind: 'ended', exitCode: 127, signal: null, detail };
  }
  return {
    kind: 'ended',
    exitCode: 126,
    signal: null,
    detail: `The program ${program} could not be executed: ${error.message}.`,
  };
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Passes output on within the window; a full window pauses the command's pipes, and so in time the command. */
const watchOutput = (child: ChildProcess, output: HelperRunEvents['output']) => {
  let window = WINDOW_BYTES;
  const streams = { stdout: child.stdout as Readable, stderr: child.stderr as Readable };
  for (const name of ['stdout', 'stderr'] as const) {
    streams[name].on('data', (bytes: Buffer) => {
      window -= bytes.length;
      if (window <= 0) for (const stream of Object.values(streams)) stream.pause();
      output(name, bytes);
    });
    // A read error leaves nothing to be read; `close` follows.
    streams[name].on('error', () => {});
  }
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    credit(bytes: number) {
      const wasFull = window <= 0;
      window += bytes;
      if (wasFull && window > 0) for (const stream of Object.values(streams)) stream.resume();
    },
    /** Resolves when all that was written has been read. */
    async closed(patienceMs: number) {
      // Bytes wait in the pipe while the window is full: patience is for pipes that nothing comes from.
      let timer: NodeJS.Timeout | undefined;
      const waitForSilence = (resolve: () => void): void => {
        timer = setTimeout(() => (window <= 0 ? waitForSilence(resolve) : resolve()), patienceMs);
      };
      const silence = new Promise<void>(waitForSilence);
      await Promise.race([closed, silence]);
      clearTimeout(timer);
      for (const stream of Object.values(streams)) stream.destroy();
    },
  };
};
