import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import {
  type FrameKind,
  frame,
  type LaunchEnd,
  type LaunchSpec,
  makeFrameReader,
  numberFrame,
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

/** A helper spoken to frame by frame. */
export const rawHelper = (file: string, workDirectory: string) => {
  const child: ChildProcess = spawn(file, [], { env: {}, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const stdin = child.stdin as Writable;
  const listeners = new Map<number, (kind: FrameKind, payload: Buffer) => void>();
  const errors: Buffer[] = [];
  child.stderr?.on('data', (bytes: Buffer) => errors.push(bytes));
  stdin.on('error', () => {});
  const read = makeFrameReader((kind, run, payload) => listeners.get(run)?.(kind, payload));
  (child.stdout as Readable).on('data', read);
  const closed = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  const send = (pieces: readonly Uint8Array[]): void => void stdin.write(Buffer.concat(pieces));
  const pid = child.pid as number;

  return {
    pid,
    closed,
    send,
    write: (bytes: Uint8Array): void => void stdin.write(bytes),
    closeInput: () => stdin.end(),
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
