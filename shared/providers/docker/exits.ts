import { constants } from 'node:os';
import type { Exit } from '../../domain/command.ts';

const signalByNumber = new Map(
  Object.entries(constants.signals)
    .toReversed()
    .map(([name, number]) => [number, name]),
);

/** What docker-init (tini) and Podman's (catatonit) say, and nothing else, when they cannot execute the program. */
const NOT_EXECUTED =
  /^(?:\[FATAL tini \(\d+\)\] exec .*failed|ERROR \(catatonit:\d+\): failed to exec pid1): ([^\n]+)\n$/s;

/** As much of stderr as is kept to recognize that. */
export const KEPT_STDERR_BYTES = 8 * 1_024;

interface Ended {
  readonly statusCode: number;
  readonly program: string;
  /** All of stderr; undefined when it was more than is kept. */
  readonly stderr: string | undefined;
  /** The daemon saw the kernel's killer at work. Podman does not always. */
  readonly isOutOfMemory: boolean;
  /** Whether this process, or the caller, sent KILL. */
  readonly wasKilled: boolean;
  readonly memoryMiB: number;
}

/**
 * How a container's first process ended. Its status is all that there is: 128 and a signal's number stand for that signal,
 * as a shell has it, so that a program that ends with 137 by itself cannot be told from one that was killed.
 */
export const toExit = (ended: Ended): Exit => {
  const { statusCode, program, stderr } = ended;
  const why = NOT_EXECUTED.exec(stderr ?? '')?.[1];
  if (why !== undefined && (statusCode === 126 || statusCode === 127 || statusCode === 1)) {
    return /No such file/.test(why)
      ? { exitCode: 127, signal: null, detail: `${program} was not found in the image: ${why}.` }
      : { exitCode: 126, signal: null, detail: `${program} cannot be executed: ${why}.` };
  }
  const signal = signalByNumber.get(statusCode - 128);
  if (signal === undefined) return { exitCode: statusCode, signal: null };
  if (signal !== 'SIGKILL' || ended.wasKilled) return { exitCode: null, signal };
  if (ended.isOutOfMemory) {
    const detail = `It was ended for want of memory: it had ${ended.memoryMiB} MiB. Ask for more with memoryMiB.`;
    return { exitCode: null, signal, outOfMemory: true, detail };
  }
  const detail = `It was killed, and not by Errand: perhaps for want of memory, of which it had ${ended.memoryMiB} MiB.`;
  return { exitCode: null, signal, detail };
};
