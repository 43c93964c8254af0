import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import {
  type FrameKind,
  frame,
  type HelperReady,
  type LaunchEnd,
  type LaunchSpec,
  makeFrameReader,
  numberFrame,
  readReady,
} from '../../shared/providers/local/frames.ts';
import { decodeEnd, encodeSpec } from '../../shared/providers/local/launch-coding.ts';
import { MARKER } from '../../shared/providers/local/process-table.ts';

export interface RawRun {
  readonly id: number;
  readonly key: string;
  readonly end: Promise<LaunchEnd>;
  readonly started: Promise<number>;
  readonly out: () => Buffer;
  /** Bytes of output so far. */
  readonly length: () => number;
}

interface RawOptions extends Partial<LaunchSpec> {
  /** Whether what it writes counts as taken at once. @default true */
  readonly takes?: boolean;
  /** @default true */
  readonly keeps?: boolean;
}

let runs = 0;

interface RawHelperOptions {
  readonly args?: readonly string[];
  /** Whom it runs as, where we are root. @default as we do */
  readonly user?: number | undefined;
}

/** A helper spoken to frame by frame. */
export const rawHelper = (file: string, workDirectory: string, { args = [], user }: RawHelperOptions = {}) => {
  const as = user === undefined ? {} : { uid: user, gid: user };
  const child: ChildProcess = spawn(file, args, {
    env: {},
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    cwd: '/',
    ...as,
  });
  const stdin = child.stdin as Writable;
  const listeners = new Map<number, (kind: FrameKind, payload: Buffer) => void>();
  const errors: Buffer[] = [];
  const ready = Promise.withResolvers<HelperReady>();
  child.stderr?.on('data', (bytes: Buffer) => errors.push(bytes));
  stdin.on('error', () => {});
  const read = makeFrameReader((kind, run, payload) => {
    if (kind === 'ready') ready.resolve(readReady(payload));
    else listeners.get(run)?.(kind, payload);
  });
  (child.stdout as Readable).on('data', read);
  const closed = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  const send = (pieces: readonly Uint8Array[]): void => void stdin.write(Buffer.concat(pieces));
  const pid = child.pid as number;

  return {
    pid,
    ready: ready.promise,
    closed,
    send,
    write: (bytes: Uint8Array): void => void stdin.write(bytes),
    closeInput: () => stdin.end(),
    kill: () => child.kill('SIGKILL'),
    errors: () => Buffer.concat(errors).toString(),
    descriptors: () => readdirSync(`/proc/${pid}/fd`).length,
    residentKiB: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]),
    run(argv: LaunchSpec['argv'], { takes = true, keeps = true, ...over }: RawOptions = {}): RawRun {
      const id = ++runs;
      const key = `raw-${process.pid}-${id}`;
      const started = Promise.withResolvers<number>();
      const end = Promise.withResolvers<LaunchEnd>();
      const pieces: Buffer[] = [];
      let length = 0;
      listeners.set(id, (kind, payload) => {
        if (kind === 'started') started.resolve(payload.readUInt32BE(0));
        if (kind === 'stdout') {
          length += payload.length;
          if (keeps) pieces.push(Buffer.from(payload));
          if (takes) send(numberFrame('credit', id, payload.length));
        }
        if (kind === 'end') {
          listeners.delete(id);
          end.resolve(decodeEnd(payload));
        }
      });
      const spec: LaunchSpec = {
        key,
        argv,
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', [MARKER]: key },
        workDirectory: join(workDirectory, key),
        stdin: false,
        graceSeconds: 0.2,
        isolation: 'none',
        ...over,
      };
      send(frame('prepare', id, encodeSpec(spec)));
      send(frame('execute', id));
      return {
        id,
        key,
        end: end.promise,
        started: started.promise,
        out: () => Buffer.concat(pieces),
        length: () => length,
      };
    },
  };
};
