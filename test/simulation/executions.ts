import type { SignalName } from '../../shared/domain/command.ts';
import { splitAttemptKey } from '../../shared/domain/ids.ts';
import type { Run } from '../../shared/providers/provider.ts';
import type { Execution, Stream } from './history.ts';
import type { World } from './world.ts';

/** What a job's command does, told in its argv, so that it comes all the way through the product. */
export interface Program {
  readonly job: string;
  readonly runsMs: number;
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly exitCode: number;
  /** So many executions of it end with 1 before one ends with `exitCode`. */
  readonly failsFirst: number;
  readonly ignoresTerm: boolean;
  /** Writes its input to stdout, and ends with it. */
  readonly echoes: boolean;
}

export const toArgv = (program: Program): [string, ...string[]] => ['job', JSON.stringify(program)];
const parseArgv = (argv: readonly string[]): Program => JSON.parse(argv[1] ?? '{}') as Program;

/** A command that is executing. */
export interface Running {
  readonly execution: Execution;
  /** TERM, and after a grace KILL. */
  terminate(): void;
  /** At once, as with the machine below it. */
  kill(): void;
  signal(name: SignalName): void;
  input(bytes: Uint8Array | 'end'): void;
}

interface Listeners {
  readonly wrote: (stream: Stream, bytes: Uint8Array) => void;
  readonly ended: (exit: { readonly exitCode: number | null; readonly signal: string | null }) => void;
}

const GRACE_MS = 5_000;

/** The truth about what is executed, whoever hears of it. */
export interface Executions {
  readonly all: readonly Execution[];
  begin(run: Pick<Run, 'key' | 'argv'>, place: string, listeners: Listeners): Running;
}

export const makeExecutions = (world: World): Executions => {
  const all: Execution[] = [];
  return {
    all,
    begin({ key, argv }, place, { wrote, ended }) {
      const program = parseArgv(argv);
      const { id, attempt } = splitAttemptKey(key);
      const before = all.filter(({ job }) => job === program.job).length;
      const execution: Execution = {
        job: program.job,
        command: id,
        attempt,
        place,
        beganAt: world.now(),
        given: argv.slice(2),
        wrote: [],
        read: [],
        signals: [],
      };
      all.push(execution);
      world.note(place, `executes ${program.job}, attempt ${attempt}`);

      const end = (exitCode: number | null, signal: string | null): void => {
        if (execution.endedAt !== undefined) return;
        execution.endedAt = world.now();
        execution.exitCode = exitCode;
        world.note(place, `${program.job}, attempt ${attempt}, ends with ${exitCode ?? signal}`);
        ended({ exitCode, signal });
      };
      const write = (stream: Stream, bytes: Uint8Array): void => {
        if (execution.endedAt !== undefined) return;
        execution.wrote.push({ stream, bytes });
        wrote(stream, bytes);
      };
      for (let piece = 0; piece < program.pieces; piece++) {
        const stream = piece % 3 === 2 ? 'stderr' : 'stdout';
        const bytes = pieceOf(`${program.job}/${before}/${stream}/${piece} `, program.pieceBytes);
        world.after((program.runsMs * (piece + 1)) / (program.pieces + 1), () => write(stream, bytes));
      }
      const exitCode = before < program.failsFirst ? 1 : program.exitCode;
      if (!program.echoes) world.after(program.runsMs, () => end(exitCode, null));
      return {
        execution,
        terminate() {
          if (!program.ignoresTerm) return end(null, 'SIGTERM');
          world.after(GRACE_MS, () => end(null, 'SIGKILL'));
        },
        kill: () => end(null, 'SIGKILL'),
        signal: (name) => void execution.signals.push(name),
        input(bytes) {
          if (execution.endedAt !== undefined || !program.echoes) return;
          if (bytes === 'end') return end(exitCode, null);
          execution.read.push(bytes);
          write('stdout', bytes);
        },
      };
    },
  };
};

/** Text that tells where it belongs, so that what is lost, doubled or in another's place shows. */
const pieceOf = (name: string, bytes: number): Uint8Array =>
  Buffer.from(name.repeat(Math.ceil(bytes / name.length)).slice(0, Math.max(bytes, name.length)));
