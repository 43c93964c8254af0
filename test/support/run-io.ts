import type { SignalName } from '../../shared/domain/command.ts';
import { attemptKeyOf, toTenantId } from '../../shared/domain/ids.ts';
import type { StreamName } from '../../shared/domain/output.ts';
import type { TerminalSize } from '../../shared/domain/terminal.ts';
import type { Run, RunIo } from '../../shared/providers/provider.ts';
import { commandId } from './commands.ts';

let runs = 0;

/** A run with a key of its own. */
export const aRun = (argv: Run['argv'], over: Partial<Run> = {}): Run => ({
  key: attemptKeyOf(commandId(process.pid * 10_000 + ++runs), 1),
  tenant: toTenantId('default'),
  token: 'no-runner-elsewhere',
  worker: 'this-worker',
  argv,
  env: {},
  isolation: 'none',
  timeoutSeconds: 60,
  ...over,
});

export interface RecordedIo extends RunIo {
  readonly text: (stream: StreamName) => string;
  readonly bytes: (stream: StreamName) => Buffer;
  /** Resolves once a stream has this text. */
  readonly seen: (stream: StreamName, text: string) => Promise<void>;
  readonly stopNow: () => void;
  readonly signal: (signal: SignalName) => void;
  readonly resize: (size: TerminalSize) => void;
  readonly redeemed: () => number;
}

interface IoOptions {
  /** Whether the ticket is good. @default always */
  readonly redeem?: () => Promise<boolean>;
  readonly stdin?: RunIo['stdin'];
  /** Called with each piece of output, before it counts as taken. */
  readonly onOutput?: (stream: StreamName, bytes: Uint8Array) => Promise<void>;
}

/** The caller's side of a run, which keeps what came. */
export const recordedIo = ({ redeem = async () => true, stdin, onOutput }: IoOptions = {}): RecordedIo => {
  const pieces: Record<StreamName, Uint8Array[]> = { stdout: [], stderr: [] };
  const waiting = new Set<() => void>();
  const stop = new AbortController();
  let deliver: ((signal: SignalName) => void) | undefined;
  let deliverSize: ((size: TerminalSize) => void) | undefined;
  let redeemed = 0;
  const bytes = (stream: StreamName) => Buffer.concat(pieces[stream]);
  return {
    redeem() {
      redeemed++;
      return redeem();
    },
    async redeemedElsewhere() {
      redeemed++;
    },
    async output(stream, piece) {
      await onOutput?.(stream, piece);
      pieces[stream].push(Uint8Array.from(piece));
      for (const look of waiting) look();
    },
    stdin,
    stop: stop.signal,
    onSignal(callback) {
      deliver = callback;
    },
    onResize(callback) {
      deliverSize = callback;
    },
    bytes,
    text: (stream) => bytes(stream).toString(),
    seen: (stream, text) =>
      new Promise((resolve) => {
        const look = () => {
          if (!bytes(stream).includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    stopNow: () => stop.abort(),
    signal: (signal) => deliver?.(signal),
    resize: (size) => deliverSize?.(size),
    redeemed: () => redeemed,
  };
};

/** Input that a test sends part by part. */
export const openInput = () => {
  const parts: Uint8Array[] = [];
  let ended = false;
  let wake = () => {};
  return {
    write(text: string | Uint8Array): void {
      parts.push(Buffer.from(text as string));
      wake();
    },
    end(): void {
      ended = true;
      wake();
    },
    async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
      for (;;) {
        const part = parts.shift();
        if (part) yield part;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
};
