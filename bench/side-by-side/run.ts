import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { judge, type Results } from './bars.ts';
import { checkAnswers } from './check-answers.ts';
import { measureGrowth, measureOutput } from './long-rows.ts';
import { type CpuUser, describeMachine, foreignCpuUsers, memoryMB } from './machine.ts';
import { type Meter, makeMeter, measureRow, type Row, type Sample, WORKS } from './measure.ts';
import type { BenchOptions } from './options.ts';
import { openSite, type Site } from './processes.ts';
import type { LeftOut, Run } from './report.ts';
import { shuffle } from './statistics.ts';
import type { RunningSystem, System } from './systems/system.ts';

const CLIENTS = [1, 16, 100];
const QUICK_CLIENTS = [1, 100];
const WARM_UP_SECONDS = 1;
/** At rest is what has been left alone for so long. */
const REST_MS = 2_000;

interface Up {
  readonly system: System;
  readonly site: Site;
  readonly running: RunningSystem;
}

interface Context {
  readonly options: BenchOptions;
  /** Empty, on the disk that is measured, removed at the end. */
  readonly directory: string;
  /** Told what goes on. */
  readonly say: (line: string) => void;
  /** Interrupts. */
  readonly over: AbortSignal;
  /** What did not work out, and how. */
  readonly leftOut: LeftOut[];
}

/**
 * Starts all systems, checks their answers, measures them in shuffled rounds. Ends them and removes their data in any case.
 * @throws Error in words for a person when there is nothing to measure with, and when it is interrupted
 */
export const runSideBySide = async (
  systems: readonly System[],
  options: BenchOptions,
  { say, over }: Pick<Context, 'say' | 'over'>,
): Promise<Run> => {
  const directory = mkdtempSync(
    join(resolve(options.data ?? (existsSync('/var/tmp') ? '/var/tmp' : tmpdir())), 'errand-bench-'),
  );
  // Some of the systems run as another user.
  chmodSync(directory, 0o755);
  const sites: Site[] = [];
  const endAll = () => Promise.all(sites.splice(0).map((site) => site.close()));
  const context: Context = { options, directory, say, over, leftOut: [] };
  try {
    const meter = makeMeter(directory, over);
    const before = await sayForeign('before', say);
    const up = await startAll(systems, sites, context);
    await wait(REST_MS, undefined, { signal: over });
    const restMB = Object.fromEntries(up.map(({ system, site }) => [system.name, memoryMB(site.pids())]));
    const output = await runOutput(up, context);
    const samples = await runRounds(meter, planOf(up, context), context);
    const results = { samples, restMB, output, growth: await runGrowth(meter, up, context) };
    const durable = systems.filter(({ name, isDurable }) => isDurable && name !== 'errand').map(({ name }) => name);
    const machine = describeMachine(directory);
    await endAll();
    return {
      date: new Date().toISOString().slice(0, 10),
      options,
      machine,
      systems: up.map(({ system, running }) => ({ ...system, version: running.version })),
      leftOut: context.leftOut,
      results,
      bars: judge(results, durable),
      foreign: { before, after: await sayForeign('after', say) },
    };
  } finally {
    if (over.aborted) say('Interrupted: ending what was started');
    await endAll();
    rmSync(directory, { recursive: true, force: true });
  }
};

const sayForeign = async (when: string, say: Context['say']): Promise<readonly CpuUser[]> => {
  const users = await foreignCpuUsers();
  const list = users.map(({ pid, name, percent }) => `${name} (${pid}) ${percent} %`).join(', ');
  say(`Other users of the processor ${when}: ${list || 'none'}`);
  return users;
};

/** What this gives, or undefined for what failed, which is noted. */
const attempt = async <T>(name: string, context: Context, work: () => Promise<T>): Promise<T | undefined> => {
  context.over.throwIfAborted();
  try {
    return await work();
  } catch (error) {
    context.over.throwIfAborted();
    leaveOut(name, (error as Error).message, context);
    return undefined;
  }
};

const leaveOut = (name: string, why: string, { leftOut, say }: Context): void => {
  say(`Left out: ${name}: ${why}`);
  if (!leftOut.some((one) => one.name === name && one.why === why)) leftOut.push({ name, why });
};

/** Those that are installed, start, and answer right. */
const startAll = async (systems: readonly System[], sites: Site[], context: Context): Promise<readonly Up[]> => {
  const { options, directory, say, over } = context;
  const up: Up[] = [];
  for (const system of systems) {
    const { name } = system;
    if (options.only && !options.only.includes(name)) continue;
    const install = system.missing();
    if (install !== undefined) {
      leaveOut(name, `not installed; \`${install}\` does it`, context);
      continue;
    }
    say(`Starting ${name}`);
    const own = join(directory, name);
    mkdirSync(own);
    const site = openSite(own, over);
    sites.push(site);
    const running = await attempt(name, context, async () => {
      const started = await system.start(site);
      await checkAnswers(started);
      return started;
    });
    if (running) up.push({ system, site, running });
    else await site.close();
  }
  return up;
};

const planOf = (up: readonly Up[], context: Context): readonly Row[] => {
  const { quick } = context.options;
  const rows = up.flatMap(({ system, running }) =>
    WORKS.filter(({ program, isolation }) => running.requestFor(program, isolation)).flatMap((work) =>
      (quick ? QUICK_CLIENTS : CLIENTS).map((clients) => ({ system: system.name, running, work, clients })),
    ),
  );
  for (const { name, title } of WORKS) {
    if (!rows.some(({ work }) => work.name === name)) leaveOut(title, 'no system offers it', context);
  }
  return rows;
};

const runRounds = async (meter: Meter, rows: readonly Row[], context: Context): Promise<readonly Sample[]> => {
  const { rounds, seconds } = context.options;
  const samples: Sample[] = [];
  context.say('Warming up');
  // Code is compiled and pools are filled before anything counts.
  for (const { system, running, work, clients } of rows) {
    const request = running.requestFor(work.program, work.isolation);
    if (clients < Math.max(...CLIENTS) || !request) continue;
    const load = { port: running.port, clients, seconds: WARM_UP_SECONDS };
    await attempt(system, context, () => meter.load(request, load));
  }
  for (let round = 1; round <= rounds; round++) {
    context.say(`Round ${round} of ${rounds}: ${rows.length} rows`);
    for (const row of shuffle(rows, Math.random)) {
      const sample = await attempt(row.system, context, () => measureRow(meter, row, { round, seconds }));
      if (sample) samples.push(sample);
    }
  }
  return samples;
};

const errandOf = (up: readonly Up[]): Up | undefined => up.find(({ system }) => system.name === 'errand');

/** First, so that what it takes in memory can be seen. */
const runOutput = async (up: readonly Up[], context: Context): Promise<Results['output']> => {
  const errand = errandOf(up);
  if (!errand || context.options.quick) return undefined;
  context.say('One command that writes 1 GB');
  const { running, site } = errand;
  return attempt('1 GB of output', context, () => measureOutput(running, site.pids(), context.over));
};

const runGrowth = async (meter: Meter, up: readonly Up[], context: Context): Promise<Results['growth']> => {
  const errand = errandOf(up);
  if (!errand || !context.options.long) return undefined;
  context.say('100,000 commands, for the memory');
  const { running, site } = errand;
  return attempt('100,000 commands', context, () => measureGrowth(meter, running, site.pids()));
};
