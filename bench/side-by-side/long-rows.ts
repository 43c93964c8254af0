import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { memoryMB } from './machine.ts';
import type { Meter } from './measure.ts';
import { spreadOf } from './statistics.ts';
import type { RunningSystem } from './systems/system.ts';

export interface Growth {
  readonly beforeMB: number;
  readonly afterMB: number;
}

const PARTS = 10;
const PART_COMMANDS = 10_000;
/** What was used last is let go of. */
const REST_MS = 2_000;

/** The memory of a server over 100,000 commands: medians of the first and of the last three of ten parts. */
export const measureGrowth = async (
  meter: Meter,
  { port, requestFor }: RunningSystem,
  pids: readonly number[],
): Promise<Growth | undefined> => {
  const request = requestFor('true', 'none');
  if (!request) return undefined;
  const seen: number[] = [];
  for (let part = 0; part < PARTS; part++) {
    const { wrong, failed } = await meter.load(request, { port, clients: 100, requests: PART_COMMANDS });
    if (wrong + failed > 0) throw new Error(`${wrong + failed} errors in ${PART_COMMANDS} commands`);
    await wait(REST_MS);
    const memory = memoryMB(pids);
    if (memory === undefined) return undefined;
    seen.push(memory);
  }
  return { beforeMB: spreadOf(seen.slice(0, 3)).median, afterMB: spreadOf(seen.slice(-3)).median };
};

export interface OutputRate {
  /** From the submission until a reader that follows live has been told the end. */
  readonly megabytesPerSecond: number;
  readonly restMB: number | undefined;
  /** The most during the first and during the second half. */
  readonly peakMB: readonly [number, number] | undefined;
}

const OUTPUT_BYTES = 1_000_000_000;
const LOOK_MS = 250;
/** The event of the end has the command's first output in it, in which a zero takes six bytes. */
const LAST_EVENT_BYTES = 1024 * 1024;

/**
 * One command of Errand that writes a gigabyte, read live; and then once more to be compared.
 * @throws Error when a byte is missing or wrong
 */
export const measureOutput = async (
  { port }: RunningSystem,
  pids: readonly number[],
  over: AbortSignal,
): Promise<OutputRate> => {
  const url = `http://127.0.0.1:${port}/v1/commands`;
  const restMB = memoryMB(pids);
  const memory = watchMemory(pids);
  let length = 0;
  try {
    const began = performance.now();
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ argv: ['head', '-c', String(OUTPUT_BYTES), '/dev/zero'] }),
      signal: over,
    });
    const { id } = (await response.json()) as { id: string };
    const tail = makeTail(LAST_EVENT_BYTES);
    await follow(port, `/v1/commands/${id}/output`, over, (bytes) => {
      tail.take(bytes);
      length += bytes.length;
      // In base 64.
      if (length * (3 / 4) > OUTPUT_BYTES / 2) memory.secondHalf();
    });
    const seconds = (performance.now() - began) / 1_000;
    const peakMB = memory.stop();
    const said = tail.text();
    if (!said.includes(`"stdoutBytes":${OUTPUT_BYTES}`))
      throw new Error(`the live reader was not told the end: …${said.slice(-200)}`);
    await checkZeros(`${url}/${id}/output?stream=stdout`, over);
    return { megabytesPerSecond: OUTPUT_BYTES / 1e6 / seconds, restMB, peakMB };
  } finally {
    memory.stop();
  }
};

/** The last of what is taken: at least `most` bytes, if so many came. In memory that is used again, as whoever reads shares the cores. */
const makeTail = (most: number): { take(bytes: Buffer): void; text(): string } => {
  const kept = Buffer.alloc(4 * most);
  let end = 0;
  return {
    take(bytes) {
      if (end + bytes.length > kept.length) {
        kept.copyWithin(0, end - most, end);
        end = most;
      }
      end += bytes.copy(kept, end);
    },
    text: () => kept.subarray(0, end).toString('latin1'),
  };
};

interface MemoryWatch {
  secondHalf(): void;
  stop(): OutputRate['peakMB'];
}

const watchMemory = (pids: readonly number[]): MemoryWatch => {
  const peaks: number[] = [];
  let half = 0;
  const timer = setInterval(() => {
    const nowMB = memoryMB(pids);
    if (nowMB !== undefined) peaks[half] = Math.max(peaks[half] ?? 0, nowMB);
  }, LOOK_MS);
  return {
    secondHalf() {
      half = 1;
    },
    stop() {
      clearInterval(timer);
      const [first, second] = peaks;
      return first === undefined || second === undefined ? undefined : [first, second];
    },
  };
};

const checkZeros = async (url: string, signal: AbortSignal): Promise<void> => {
  let count = 0;
  const zeros = Buffer.alloc(1024 * 1024);
  await read(url, signal, (bytes) => {
    if (!zeros.subarray(0, bytes.length).equals(bytes)) throw new Error(`a byte after ${count} is wrong`);
    count += bytes.length;
  });
  if (count !== OUTPUT_BYTES) throw new Error(`the output has ${count} bytes, not ${OUTPUT_BYTES}`);
};

/** The live events as they come, by a bare socket: a client that takes the answer apart costs the cores that are measured. */
const follow = (port: number, path: string, signal: AbortSignal, take: (bytes: Buffer) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafe(256 * 1024);
    const callback = (length: number): boolean => {
      take(buffer.subarray(0, length));
      return true;
    };
    const socket = connect({ host: '127.0.0.1', port, onread: { buffer, callback } });
    const abort = (): void => void socket.destroy(new Error('interrupted'));
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', reject);
    socket.once('close', () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n`,
    );
  });

const read = (url: string, signal: AbortSignal, take: (bytes: Buffer) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = get(url, { signal }, (response) => {
      response.on('data', (bytes: Buffer) => {
        try {
          take(bytes);
        } catch (error) {
          response.destroy(error as Error);
        }
      });
      response.once('end', resolve);
      response.once('error', reject);
    });
    request.once('error', reject);
  });
