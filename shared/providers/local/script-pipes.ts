import { execFile } from 'node:child_process';
import {
  chmodSync,
  constants,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { StreamName } from '../../domain/output.ts';
import type { ShellScript } from '../provider.ts';

/** What one script is and writes, by names in the folder; and how its output is taken. */
export interface ScriptFiles {
  readonly script: string;
  /** Undefined: there is none. */
  readonly stdin: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** The script is over, and all that it wrote is in its pipes: takes the rest, and lets go. */
  finish(): Promise<void>;
}

/** The pipes of one warm shell. */
export interface ScriptPipes {
  readonly folder: string;
  /** Undefined while background jobs of earlier scripts hold all pipes. @throws Error of the file system */
  open(
    script: ShellScript,
    names: () => string,
    output: (stream: StreamName, bytes: Uint8Array) => Promise<void>,
  ): ScriptFiles | undefined;
  /** Removes the folder, and reads no more. */
  close(): void;
}

/** Each script has two to itself, so that what an earlier one left running never writes into a later one's output. */
const PAIRS = 16;
/** The most that a pipe can hold (fcntl(2), F_SETPIPE_SZ): so much may be there when a script is over. */
const PIPE_BYTES = 1024 * 1024;
/** Taken and not stored yet: then the script waits. */
const MOST_WAITING_BYTES = 1024 * 1024;

interface Pair {
  stdout: string;
  stderr: string;
  open: number;
}

/**
 * A folder of the server's, in which nobody else may write. With `shared`, another user is to open what it is told the name of: it may
 * pass through and not look around, and names cannot be guessed.
 * @throws Error of the file system
 */
export const makeScriptPipes = async (
  folder: string,
  { shared }: { readonly shared: boolean },
): Promise<ScriptPipes> => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const pairs: Pair[] = Array.from({ length: PAIRS }, (_, n) => ({
    stdout: `o${n}`,
    stderr: `e${n}`,
    open: 0,
  }));
  const free = [...pairs];
  const sockets = new Set<Socket>();
  try {
    // Node has no call for mkfifo(3).
    await promisify(execFile)(
      'mkfifo',
      [
        '-m',
        shared ? '0622' : '0600',
        ...pairs.flatMap((pair) => [join(folder, pair.stdout), join(folder, pair.stderr)]),
      ],
      { env: { PATH: '/usr/local/bin:/usr/bin:/bin' } },
    );
    if (shared) chmodSync(folder, 0o711);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }

  const put = (name: string, bytes: Uint8Array | string): string => {
    const path = join(folder, name);
    writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' });
    if (shared) chmodSync(path, 0o644);
    return name;
  };

  const read = (pair: Pair, name: string, take: (bytes: Uint8Array) => Promise<void>) => {
    // Opened before there is a writer, so that whoever opens it to write does not wait.
    const file = openSync(join(folder, name), constants.O_RDONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd: file, readable: true, writable: false });
    sockets.add(socket);
    pair.open++;
    socket.once('close', () => {
      sockets.delete(socket);
      if (--pair.open === 0) free.push(pair);
    });
    socket.on('error', () => {});
    const taking = takeInTurn(socket, take);
    socket.on('data', taking.push);
    return {
      drop: () => void socket.destroy(),
      async finish(): Promise<void> {
        socket.off('data', taking.push);
        socket.pause();
        const isAtEnd = takeRest(socket, file, taking.push);
        // A background job may have it open: it is never to be held up, nor to be heard.
        if (isAtEnd) socket.destroy();
        else socket.resume();
        await taking.done();
      },
    };
  };

  return {
    folder,
    open({ text, stdin }, names, output) {
      const pair = free.shift();
      if (!pair) return undefined;
      const files: string[] = [];
      const readers: ReturnType<typeof read>[] = [];
      const remove = (): void => {
        for (const name of files) unlinkSync(join(folder, name));
      };
      try {
        for (const stream of ['stdout', 'stderr'] as const) {
          const name = names();
          renameSync(join(folder, pair[stream]), join(folder, name));
          pair[stream] = name;
          readers.push(read(pair, name, (bytes) => output(stream, bytes)));
        }
        files.push(put(names(), text));
        if (stdin.length > 0) files.push(put(names(), stdin));
      } catch (error) {
        if (readers.length === 0) free.push(pair);
        for (const reader of readers) reader.drop();
        remove();
        throw error;
      }
      const [script = '', input] = files;
      return {
        ...{ script, stdin: input, stdout: pair.stdout, stderr: pair.stderr },
        async finish() {
          remove();
          await Promise.all(readers.map((reader) => reader.finish()));
        },
      };
    },
    close() {
      for (const socket of sockets) socket.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

/** Hands bytes on one after the other, and has the pipe wait for whoever takes them. */
const takeInTurn = (socket: Socket, take: (bytes: Uint8Array) => Promise<void>) => {
  let last = Promise.resolve();
  let waiting = 0;
  return {
    push(bytes: Buffer): void {
      waiting += bytes.length;
      if (waiting > MOST_WAITING_BYTES) socket.pause();
      last = last
        .then(() => take(bytes))
        // Whoever takes it has its own way to end the script.
        .catch(() => {})
        .then(() => {
          waiting -= bytes.length;
          if (waiting <= MOST_WAITING_BYTES / 2 && socket.isPaused()) socket.resume();
        });
    },
    done: (): Promise<void> => last,
  };
};

/** What is in the pipe by now. Whether nobody has it open to write any more. */
const takeRest = (socket: Socket, file: number, push: (bytes: Buffer) => void): boolean => {
  for (let bytes = socket.read() as Buffer | null; bytes !== null; bytes = socket.read() as Buffer | null) push(bytes);
  // At its end it was closed, and the number may be another file's.
  for (let total = 0; total < PIPE_BYTES; ) {
    if (socket.destroyed || socket.readableEnded) return true;
    const buffer = Buffer.allocUnsafe(64 * 1024);
    try {
      const length = readSync(file, buffer);
      if (length === 0) return true;
      total += length;
      push(buffer.subarray(0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      throw error;
    }
  }
  return false;
};
