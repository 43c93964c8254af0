import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { SignalName } from '../../domain/command.ts';
import type { StreamName } from '../../domain/output.ts';
import {
  type FrameKind,
  frame,
  jsonFrame,
  type LaunchEnd,
  type LaunchSpec,
  makeFrameReader,
  numberFrame,
  WINDOW_BYTES,
} from './frames.ts';
import { killTrees } from './process-tree.ts';
import { removeWorkDirectory } from './work-directory.ts';

/** How a launched command ended; `helper-died` after all that could be found of it was killed. */
export type Launched = LaunchEnd | { readonly kind: 'helper-died' };

export interface LaunchIo {
  /** Called one after the other; the next only after the last has resolved. */
  output(stream: StreamName, bytes: Uint8Array): Promise<void>;
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
}

/** A command that was handed to a helper. */
export interface LaunchedRun {
  readonly end: Promise<Launched>;
  signal(signal: SignalName): void;
  /** TERM, grace, KILL, the whole tree. */
  stop(): void;
}

/** Has commands executed by helper processes, so that the server itself never forks. */
export interface Launcher {
  launch(spec: LaunchSpec, io: LaunchIo): LaunchedRun;
  /** Lets the helpers go; what still runs is killed. */
  close(): Promise<void>;
}

/** Helpers are started as they are needed, up to `most`, the first at once. */
export const makeLauncher = (most: number): Launcher => {
  const helpers = new Set<Helper>();
  const add = (): Helper => {
    const helper = startHelper(() => helpers.delete(helper));
    helpers.add(helper);
    return helper;
  };
  const leastBusy = (): Helper => {
    const [first, ...others] = helpers;
    if (!first) return add();
    const best = others.reduce((a, b) => (b.load() < a.load() ? b : a), first);
    return best.load() > 0 && helpers.size < most ? add() : best;
  };
  add();
  return {
    launch: (spec, io) => leastBusy().launch(spec, io),
    async close() {
      await Promise.all([...helpers].map((helper) => helper.close()));
    },
  };
};

interface Helper {
  /** Runs under way. */
  load(): number;
  launch(spec: LaunchSpec, io: LaunchIo): LaunchedRun;
  close(): Promise<void>;
}

interface ActiveRun {
  receive(kind: FrameKind, payload: Buffer): void;
  helperDied(): void;
}

const HELPER = fileURLToPath(new URL('./helper.ts', import.meta.url));

const startHelper = (onExit: () => void): Helper => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', HELPER], {
    // Nothing of the server's environment may reach a command, not even by way of the helper's.
    env: {},
    stdio: ['pipe', 'pipe', 'inherit'],
    // Out of reach of the terminal's Ctrl-C, which is for the server alone.
    detached: true,
  });
  const runs = new Map<number, ActiveRun>();
  let lastId = 0;
  const exited = new Promise<void>((resolve) => {
    const gone = () => {
      onExit();
      for (const run of runs.values()) run.helperDied();
      runs.clear();
      resolve();
    };
    child.once('exit', gone);
    child.once('error', gone);
  });
  child.stdin.on('error', () => {}); // It died; `exit` follows.
  const read = makeFrameReader((kind, id, payload) => runs.get(id)?.receive(kind, payload));
  child.stdout.on('data', read);

  return {
    load: () => runs.size,
    launch(spec, io) {
      const id = ++lastId;
      const send = batched(child);
      const { run, active } = makeRun(id, spec, io, send, () => runs.delete(id));
      runs.set(id, active);
      send(jsonFrame('launch', id, spec));
      return run;
    },
    async close() {
      child.stdin.end();
      await exited;
    },
  };
};

type Send = (pieces: readonly Uint8Array[]) => void;

/** What is said within one turn of the event loop leaves in one write. */
const batched =
  ({ stdin }: ChildProcess & { stdin: Writable }): Send =>
  (pieces) => {
    if (stdin.writableCorked === 0) {
      stdin.cork();
      setImmediate(() => stdin.uncork());
    }
    for (const piece of pieces) stdin.write(piece);
  };

const makeRun = (
  id: number,
  spec: LaunchSpec,
  io: LaunchIo,
  send: Send,
  onEnd: () => void,
): { run: LaunchedRun; active: ActiveRun } => {
  const { promise: end, resolve } = Promise.withResolvers<Launched>();
  /** All output is taken in order, and the end comes after the last of it. */
  let taken = Promise.resolve();
  const finish = (how: Launched): void => {
    onEnd();
    feed.stop();
    void taken.then(() => resolve(how));
  };
  const feed = feedStdin(id, io.stdin, send);
  const active: ActiveRun = {
    receive(kind, payload) {
      if (kind === 'stdout' || kind === 'stderr') {
        taken = taken
          .then(() => io.output(kind, payload))
          .then(() => send(numberFrame('credit', id, payload.length)))
          // Its taker has failed for good: the command would wait for ever for someone to read.
          .catch(() => send(frame('stop', id)));
      } else if (kind === 'stdinTaken') feed.taken(payload.readUInt32BE(0));
      else if (kind === 'end') finish(JSON.parse(payload.toString('utf8')) as LaunchEnd);
    },
    helperDied() {
      const wanted = [{ key: spec.key }];
      void killTrees(wanted)
        .then(() => removeWorkDirectory(spec.workDirectory))
        .finally(() => finish({ kind: 'helper-died' }));
    },
  };
  const run: LaunchedRun = {
    end,
    signal: (signal) => send(frame('signal', id, Buffer.from(signal, 'latin1'))),
    stop: () => send(frame('stop', id)),
  };
  return { run, active };
};

/** Larger pieces would overrun the window. */
const STDIN_PIECE_BYTES = 64 * 1024;

/** Sends input within the window, as fast as the command takes it. */
const feedStdin = (id: number, stdin: AsyncIterable<Uint8Array> | undefined, send: Send) => {
  let window = WINDOW_BYTES;
  let stopped = false;
  let roomAgain: (() => void) | undefined;
  const room = async (): Promise<void> => {
    while (window <= 0 && !stopped) await new Promise<void>((resolve) => (roomAgain = resolve));
  };
  const feed = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const bytes of source) {
      for (let at = 0; at < bytes.length; at += STDIN_PIECE_BYTES) {
        await room();
        if (stopped) return;
        const piece = bytes.subarray(at, at + STDIN_PIECE_BYTES);
        window -= piece.length;
        send(frame('stdin', id, piece));
      }
    }
  };
  // Input that cannot be read any further ends: the command then ends too, or has its time-out.
  if (stdin)
    void feed(stdin)
      .catch(() => {})
      .finally(() => stopped || send(frame('stdinEnd', id)));
  return {
    taken(bytes: number) {
      window += bytes;
      roomAgain?.();
    },
    stop() {
      stopped = true;
      roomAgain?.();
    },
  };
};
