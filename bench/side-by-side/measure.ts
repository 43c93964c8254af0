import { setTimeout as wait } from 'node:timers/promises';
import { compileC, makeBaseline, outputOf } from '../c-programs.ts';
import { drift } from './statistics.ts';
import type { Isolation, ProgramName, RunningSystem, SystemRequest } from './systems/system.ts';

/** What is measured of every system that has it. */
export interface Work {
  readonly name: 'argv' | 'script' | 'sandbox';
  readonly title: string;
  readonly program: ProgramName;
  readonly isolation: Isolation;
}

export const WORKS: readonly Work[] = [
  { name: 'argv', title: 'A program: `/bin/true`', program: 'true', isolation: 'none' },
  { name: 'script', title: 'A script: `sh -c "echo hello"`', program: 'hello', isolation: 'none' },
  { name: 'sandbox', title: 'A program in a sandbox', program: 'true', isolation: 'sandbox' },
];

/** One system at one work for so many clients. */
export interface Row {
  readonly system: string;
  readonly running: RunningSystem;
  readonly work: Work;
  readonly clients: number;
}

/** A row in one round. */
export interface Sample {
  readonly system: string;
  readonly work: Work['name'];
  readonly clients: number;
  readonly round: number;
  /** Commands a second. */
  readonly rate: number;
  /** R just before and just after. */
  readonly baselines: readonly [number, number];
  /** The rate as a share of R, the mean of both. */
  readonly ratio: number;
  /** False when R moved too far each time it was tried: the machine was doing something else. */
  readonly steady: boolean;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers without the exit code or output that was asked for, and connections that broke. */
  readonly errors: number;
}

/** What a closed loop of clients saw. */
interface Load {
  /** Answers within the time, right or wrong. */
  readonly answers: number;
  readonly seconds: number;
  readonly wrong: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface LoadOptions {
  readonly port: number;
  readonly clients: number;
  /** It ends after so many seconds, or so many requests. */
  readonly seconds?: number;
  readonly requests?: number;
}

export interface Meter {
  /** R, in starts a second. */
  baseline(): Promise<number>;
  load(request: SystemRequest, options: LoadOptions): Promise<Load>;
}

/** @param over ends what is under way, which then throws */
export const makeMeter = (directory: string, over: AbortSignal): Meter => {
  const program = compileC('load.c', directory);
  return {
    baseline: makeBaseline(directory, over),
    async load(request, { port, clients, seconds = 0, requests = 0 }) {
      const args = [port, clients, seconds, requests, request.expected];
      return JSON.parse(await outputOf(program, args, { input: toHttp(request, port), signal: over }));
    },
  };
};

const toHttp = ({ path, headers, body }: SystemRequest, port: number): string =>
  [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');

/** For what a system does after its answers, such as moving its log, so that it does not slow R down. */
const SETTLE_MS = 200;
const MOST_DRIFT = 0.2;
const MOST_TRIES = 3;

/**
 * R, the row, R; again while R moved too far across it, of which the steadiest try counts.
 * @throws Error when the system has broken down
 */
export const measureRow = async (
  meter: Meter,
  { system, running, work, clients }: Row,
  { round, seconds }: { readonly round: number; readonly seconds: number },
): Promise<Sample> => {
  const request = running.requestFor(work.program, work.isolation);
  if (!request) throw new Error(`${system} has no ${work.name}`);
  let best: Sample | undefined;
  let before = await meter.baseline();
  for (let tries = 1; ; tries++) {
    const load = await meter.load(request, { port: running.port, clients, seconds });
    await wait(SETTLE_MS);
    const after = await meter.baseline();
    const rate = load.answers / load.seconds;
    const sample: Sample = {
      ...{ system, work: work.name, clients, round, rate },
      baselines: [before, after],
      ratio: rate / ((before + after) / 2),
      steady: drift(before, after) <= MOST_DRIFT,
      ...{ p50Ms: load.p50Ms, p99Ms: load.p99Ms },
      errors: load.wrong + load.failed,
    };
    if (!best || drift(before, after) < drift(...best.baselines)) best = sample;
    // Errors count, whatever the machine was doing.
    if (sample.errors > 0) return sample;
    if (best.steady || tries === MOST_TRIES) return best;
    before = after;
  }
};
