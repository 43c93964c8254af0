import type { SignalName } from '../../domain/command.ts';
import type { StreamName } from '../../domain/output.ts';
import type { TerminalSize } from '../../domain/terminal.ts';
import { feedStdin, type Send, type StdinFeed } from './feed-stdin.ts';
import {
  type FrameKind,
  frame,
  type LaunchEnd,
  type LaunchSpec,
  numberFrame,
  terminalNumber,
  WINDOW_BYTES,
} from './frames.ts';
import { decodeEnd, encodeSpec } from './launch-coding.ts';
import { killTree, makeTree } from './process-tree.ts';
import { removeWorkDirectory } from './work-directory.ts';

/** How a run ended; `lost` when its helper died, after all of it that could be found was killed. */
export type Launched = LaunchEnd | { readonly kind: 'lost' };

export interface LaunchIo {
  /** Called one after the other; the next only after the last has resolved. */
  output(stream: StreamName, bytes: Uint8Array): Promise<void>;
  /** Read only once the command executes. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
}

/** A run that was handed to a helper. Prepared at once, it executes only when it is told to. */
export interface LaunchedRun {
  /** All of the run is gone, and its output was taken. */
  readonly end: Promise<Launched>;
  /** Does nothing after `stop`. */
  execute(): void;
  signal(signal: SignalName): void;
  /** Its terminal has this size now, or once it executes. */
  resize(size: TerminalSize): void;
  /** TERM, grace, KILL, the whole tree. Before `execute`: nothing will be executed. */
  stop(): void;
}

/** The side of a run that hears its helper. */
export interface RunEars {
  hear(kind: FrameKind, payload: Buffer): void;
  /** @param wasReady whether the helper may have executed anything */
  helperDied(wasReady: boolean): void;
}

/** @param onEnd called when the helper has no more to say of the run */
export const launchRun = (
  id: number,
  spec: LaunchSpec,
  io: LaunchIo,
  { send, onEnd }: { send: Send; onEnd: () => void },
): { run: LaunchedRun; ears: RunEars } => {
  const { promise: end, resolve } = Promise.withResolvers<Launched>();
  let state: 'prepared' | 'executing' | 'stopped' = 'prepared';
  let leader: number | undefined;
  let feed: StdinFeed | undefined;
  const output = takeInOrder(io, {
    credit: (bytes) => send(numberFrame('credit', id, bytes)),
    // The command would wait for ever for someone to read.
    failed: () => send(frame('stop', id)),
  });
  const finish = (how: Launched): void => {
    onEnd();
    feed?.stop();
    void output.allTaken().then((failed) => resolve(failed && how.kind === 'ended' ? { ...how, ...UNTAKEN } : how));
  };
  send(frame('prepare', id, encodeSpec(spec)));

  const run: LaunchedRun = {
    end,
    execute() {
      if (state !== 'prepared') return;
      state = 'executing';
      send(frame('execute', id));
      if (io.stdin) feed = feedStdin(id, io.stdin, send);
    },
    signal(signal) {
      if (state === 'executing') send(frame('signal', id, Buffer.from(signal, 'latin1')));
    },
    resize(size) {
      if (state !== 'stopped') send(numberFrame('resize', id, terminalNumber(size)));
    },
    stop() {
      if (state === 'prepared') state = 'stopped';
      send(frame('stop', id));
    },
  };
  const ears: RunEars = {
    hear(kind, payload) {
      if (kind === 'stdout' || kind === 'stderr') output.take(kind, payload);
      else if (kind === 'stdinTaken') feed?.taken(payload.readUInt32BE(0));
      else if (kind === 'started') leader = payload.readUInt32BE(0) || undefined;
      else if (kind === 'end') finish(decodeEnd(payload));
    },
    helperDied(wasReady) {
      const cleanUp = async (): Promise<void> => {
        if (wasReady) await killTree(makeTree(spec.key, leader));
        await removeWorkDirectory(spec.workDirectory);
      };
      const mayHaveExecuted = wasReady && state === 'executing';
      void cleanUp().finally(() => finish(mayHaveExecuted ? { kind: 'lost' } : HELPER_FAULT));
    },
  };
  return { run, ears };
};

const UNTAKEN = { detail: 'It was stopped, as its output could not be taken any more.' } as const;
const HELPER_FAULT = {
  kind: 'rejected',
  detail: 'The process that was to execute the command died before it did.',
  retryable: true,
} as const;

/** Of most commands the helper never hears how much was taken. */
const CREDIT_BYTES = WINDOW_BYTES / 8;

/** Passes output on piece by piece. What comes after its taker has failed is thrown away. */
const takeInOrder = ({ output }: LaunchIo, events: { credit(bytes: number): void; failed(): void }) => {
  let last = Promise.resolve();
  let hasFailed = false;
  let notCredited = 0;
  const takeNext = async (stream: StreamName, bytes: Buffer): Promise<void> => {
    try {
      if (!hasFailed) await output(stream, bytes);
    } catch {
      hasFailed = true;
      events.failed();
    }
    notCredited += bytes.length;
    if (notCredited < CREDIT_BYTES) return;
    events.credit(notCredited);
    notCredited = 0;
  };
  return {
    take(stream: StreamName, bytes: Buffer): void {
      last = last.then(() => takeNext(stream, bytes));
    },
    /** Resolves once all was taken: whether its taker has failed. */
    allTaken: (): Promise<boolean> => last.then(() => hasFailed),
  };
};
