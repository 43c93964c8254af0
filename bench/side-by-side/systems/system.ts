import type { Site } from '../processes.ts';

/** What every system is asked to run. */
export const PROGRAMS = {
  true: { argv: ['/bin/true'], exitCode: 0, stdout: '' },
  hello: { script: 'echo hello', exitCode: 0, stdout: 'hello\n' },
  seven: { script: 'exit 7', exitCode: 7, stdout: '' },
} as const;

export type ProgramName = keyof typeof PROGRAMS;
export type Isolation = 'none' | 'sandbox';

export interface SystemRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Part of each right answer's body; of a wrong one's, it is not. */
  readonly expected: string;
}

/** How a command ended, as its system tells a caller. */
export interface Outcome {
  /** `not 0` where the system does not say more. */
  readonly exitCode: number | 'not 0';
  readonly stdout: string;
}

export interface RunningSystem {
  /** Of all its parts, for the report. */
  readonly version: string;
  /** Where it listens on 127.0.0.1. */
  readonly port: number;
  /** A POST that answers once the command has ended; undefined when the system has no such thing. */
  requestFor(program: ProgramName, isolation: Isolation): SystemRequest | undefined;
  readAnswer(status: number, body: string): Outcome;
}

export interface System {
  readonly name: string;
  /** What is on disk, synced, of a command by the time of its answer. */
  readonly durability: string;
  /** Whether its commands survive a crash, so that it is compared with the others that do. */
  readonly isDurable: boolean;
  /** The command that installs what is missing on this machine; undefined when nothing is. */
  missing(): string | undefined;
  /** @param site with an empty folder; the caller ends what is launched there, whether this succeeds or not */
  start(site: Site): Promise<RunningSystem>;
}
