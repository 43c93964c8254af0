import type { Client } from '../../clients/sdk/client.ts';

export interface FloodOptions {
  /** Of zeros, without a line break. */
  readonly bytes: number;
  /** Of short lines on both streams, as fast as they come. */
  readonly lines: number;
  /** Other commands, before and meanwhile. */
  readonly probes: number;
  /** The server's resident memory, as far as it can be seen. */
  readonly memoryMB: () => number;
}

export interface FloodFigures {
  readonly megabytesPerSecond: number;
  readonly linesPerSecond: number;
  readonly memoryGrowthMB: number;
  /** Of other commands, from their submission to the answer with their end. */
  readonly p99AloneMs: number;
  readonly p99MeanwhileMs: number;
  /** What was not as it was written. */
  readonly faults: readonly string[];
}

/** Commands that write as much and as fast as they can, and what that does to the server and to others. */
export const flood = async (client: Client, options: FloodOptions): Promise<FloodFigures> => {
  const { bytes, lines, probes, memoryMB } = options;
  const faults: string[] = [];
  // A server that has served something.
  await writing(client, { argv: ['head', '-c', String(Math.ceil(bytes / 10)), '/dev/zero'] });
  const p99AloneMs = await p99Of(client, probes);
  const before = memoryMB();
  let peak = before;
  const watching = setInterval(() => (peak = Math.max(peak, memoryMB())), 100);
  try {
    let isOver = false;
    const zeros = writing(client, { argv: ['head', '-c', String(bytes), '/dev/zero'] });
    const chatter = writing(client, { script: `seq ${lines}; seq ${lines} >&2` });
    const flooding = Promise.all([zeros, chatter]).finally(() => (isOver = true));
    const meanwhile: number[] = [];
    while (!isOver && meanwhile.length < 100 * probes) meanwhile.push(...(await timesOf(client, 10)));
    const [zero, line] = await flooding;
    if (zero.stdoutBytes !== bytes) faults.push(`${zero.stdoutBytes} zeros, not ${bytes}`);
    const lineBytes = bytesOfLines(lines);
    if (line.stdoutBytes !== lineBytes || line.stderrBytes !== lineBytes)
      faults.push(`${line.stdoutBytes} and ${line.stderrBytes} bytes of lines, not ${lineBytes} each`);
    return {
      megabytesPerSecond: bytes / 1e6 / zero.seconds,
      linesPerSecond: (2 * lines) / line.seconds,
      memoryGrowthMB: peak - before,
      p99AloneMs,
      p99MeanwhileMs: percentile(meanwhile, 0.99),
      faults,
    };
  } finally {
    clearInterval(watching);
  }
};

const writing = async (client: Client, what: Parameters<Client['run']>[0]) => {
  const { id, result } = await client.run(what);
  if (!result) throw new Error(`${id} ended without a result`);
  return { ...result, seconds: (result.durationMs ?? 0) / 1_000 };
};

const AT_ONCE = 2;

const timesOf = async (client: Client, count: number): Promise<number[]> => {
  const times: number[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const began = performance.now();
      await client.run({ argv: ['true'] });
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return times;
};

const p99Of = async (client: Client, count: number): Promise<number> => percentile(await timesOf(client, count), 0.99);

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

/** What `seq` writes. */
export const bytesOfLines = (lines: number): number => {
  let bytes = 0;
  for (let digits = 1, first = 1; first <= lines; digits++, first *= 10)
    bytes += (Math.min(lines, first * 10 - 1) - first + 1) * (digits + 1);
  return bytes;
};
