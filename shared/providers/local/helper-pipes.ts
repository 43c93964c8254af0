import { type ChildProcess, type StdioOptions, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** Our ends of a command's standard streams. */
export interface CommandStreams {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** The standard streams of a command that is about to be executed. */
export interface CommandPipes {
  /** The command's ends, as spawn takes them. */
  readonly stdio: StdioOptions;
  /** To be called once it was spawned: the command's ends are its alone. */
  take(child: ChildProcess): CommandStreams;
  /** To be called when nothing was spawned. */
  close(): void;
}

export interface Pipes {
  /** Makes pipes ready before they are needed; `folder` is where they have names for a moment. */
  stock(folder: string): void;
  /** @param withStdin whether there is input; otherwise the command reads the end of it at once */
  open(withStdin: boolean): CommandPipes;
}

/** Opens without the right to read or write, so that it holds the pipe and neither of its ends (open(2)). */
const O_PATH = 0o10_000_000;
const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants;
const MOST_FOR_ONE = 3;
const MADE_AT_ONCE = 48;

/**
 * Pipes for commands. Node itself gives a child sockets, and a socket cannot be opened by its name: `echo >/dev/stderr`
 * and `cat /dev/stdin` would fail. It has no call for pipe(2) either; but a named pipe that has lost its name is one.
 * Where these cannot be made, sockets it is.
 */
export const makePipes = (): Pipes => {
  let canBeMade = process.platform === 'linux';
  /** Each holds a pipe that nobody has open. */
  const free: number[] = [];

  const make = (folder: string): void => {
    const place = mkdtempSync(join(folder, '.pipes-'));
    try {
      const names = Array.from({ length: MADE_AT_ONCE }, (_, n) => join(place, String(n)));
      // One process for all of them, as it takes as long as a command does.
      const made = spawnSync('mkfifo', names, { env: { PATH: '/usr/local/bin:/usr/bin:/bin' }, stdio: 'ignore' });
      canBeMade = made.status === 0;
      if (canBeMade) for (const name of names) free.push(openSync(name, O_PATH));
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  };

  return {
    stock(folder) {
      if (canBeMade && free.length < MOST_FOR_ONE) make(folder);
    },
    open: (withStdin) => (free.length < MOST_FOR_ONE ? openSockets(withStdin) : openPipes(free, withStdin)),
  };
};

const openSockets = (withStdin: boolean): CommandPipes => ({
  stdio: [withStdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  take: ({ stdin, stdout, stderr }) => ({
    stdin: stdin ?? undefined,
    stdout: stdout as Readable,
    stderr: stderr as Readable,
  }),
  close: () => {},
});

const openPipes = (free: number[], withStdin: boolean): CommandPipes => {
  const holds = free.splice(withStdin ? -3 : -2);
  const opened: number[] = [];
  const open = (hold: number, flags: number): number => {
    const file = openSync(`/proc/self/fd/${hold}`, flags);
    opened.push(file);
    return file;
  };
  const close = (): void => {
    for (const file of opened) closeSync(file);
    free.push(...holds);
  };
  try {
    const [stdout, stderr, stdin] = holds as [number, number, number?];
    // The reader first: opening to write waits for one.
    const readers = [open(stdout, O_RDONLY | O_NONBLOCK), open(stderr, O_RDONLY | O_NONBLOCK)] as const;
    const theirs = [open(stdout, O_WRONLY), open(stderr, O_WRONLY)];
    let writer: number | undefined;
    let input: number | 'ignore' = 'ignore';
    if (stdin !== undefined) {
      // Reader and writer would each wait for the other, but for one that is both.
      const both = open(stdin, O_RDWR | O_NONBLOCK);
      input = open(stdin, O_RDONLY);
      writer = open(stdin, O_WRONLY | O_NONBLOCK);
      theirs.push(both, input);
    }
    return {
      stdio: [input, ...theirs.slice(0, 2)],
      take() {
        for (const file of theirs) closeSync(file);
        // Who inherited the input may still read it: that pipe is not used again.
        if (stdin !== undefined) closeSync(stdin);
        return {
          stdin: writer === undefined ? undefined : new Socket({ fd: writer, readable: false, writable: true }),
          stdout: readFrom(readers[0], stdout, free),
          stderr: readFrom(readers[1], stderr, free),
        };
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
};

const readFrom = (file: number, hold: number, free: number[]): Readable => {
  const socket = new Socket({ fd: file, readable: true, writable: false });
  let isAtEnd = false;
  socket.once('end', () => {
    isAtEnd = true;
  });
  // At its end nobody has it open to write, so the next command may have it.
  socket.once('close', () => (isAtEnd ? free.push(hold) : closeSync(hold)));
  return socket;
};
