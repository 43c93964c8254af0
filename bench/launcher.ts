import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Isolation, LAUNCHERS, type LauncherKind } from '../shared/domain/command.ts';
import { attemptKeyOf, toTenantId } from '../shared/domain/ids.ts';
import type { Provider, RunIo } from '../shared/providers/provider.ts';
import { providers } from '../shared/providers/registry.ts';
import { commandId } from '../test/support/commands.ts';
import { makeBaseline } from './c-programs.ts';

/*
 * How fast each launcher starts commands, against R: a C program that does nothing but start /bin/true on all cores, measured
 * right before and after. Rounds are interleaved, since machines differ and are noisy:
 * `npm run bench:launcher [rounds] [levels]`, such as `5 none,sandbox`. What walls cost one client is told by its p50 as a
 * multiple of that without walls in the same round.
 */
const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = 1.5;
const CLIENTS = [1, 16, 100];
const LEVELS = (process.argv[3] ?? 'none,sandbox').split(',') as Isolation[];

const directory = mkdtempSync(join(tmpdir(), 'errand-bench-'));
const measureR = makeBaseline(directory);

let commands = 0;
const io: RunIo = {
  redeem: async () => true,
  redeemedElsewhere: async () => {},
  output: async () => {},
  stdin: undefined,
  stop: new AbortController().signal,
  onSignal: () => {},
};

const runOne = async (provider: Provider, isolation: Isolation): Promise<void> => {
  const id = commandId(++commands);
  const outcome = await provider.start(
    {
      key: attemptKeyOf(id, 1),
      tenant: toTenantId('default'),
      token: '',
      worker: 'bench',
      argv: ['/bin/true'],
      env: {},
      isolation,
      timeoutSeconds: 60,
    },
    io,
  );
  if (outcome.kind !== 'ended' || outcome.exit.exitCode !== 0) throw new Error(JSON.stringify(outcome));
};

const measure = async (provider: Provider, isolation: Isolation, clients: number) => {
  const times: number[] = [];
  const began = performance.now();
  const client = async (): Promise<void> => {
    while (performance.now() - began < SECONDS * 1_000) {
      const from = performance.now();
      await runOne(provider, isolation);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const sorted = times.toSorted((a, b) => a - b);
  return {
    rate: times.length / ((performance.now() - began) / 1_000),
    p50: sorted[sorted.length >> 1] ?? 0,
    p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
  };
};

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
const range = (numbers: readonly number[]): string =>
  `${median(numbers).toFixed(2)} [${Math.min(...numbers).toFixed(2)}–${Math.max(...numbers).toFixed(2)}]`;

const open = async (launcher: LauncherKind) => {
  const options = { workDirectory: join(directory, launcher), isOwnerAlive: async () => true, launcher };
  try {
    const provider = await providers.local(options);
    const levels = LEVELS.filter((level) => provider.features.isolation.includes(level));
    for (let n = 0; n < 50; n++) for (const level of levels) await runOne(provider, level);
    return { launcher, provider, levels };
  } catch (error) {
    process.stdout.write(`${launcher}: not measured, ${(error as Error).message}\n`);
    return undefined;
  }
};

const opened = (await Promise.all(LAUNCHERS.map(open))).filter((one) => one !== undefined);
const rows = opened.flatMap(({ launcher, provider, levels }) =>
  CLIENTS.flatMap((clients) =>
    levels.map((level) => ({
      launcher,
      provider,
      level,
      clients,
      ratios: [] as number[],
      rates: [] as number[],
      p50: [] as number[],
      p99: [] as number[],
      slower: [] as number[],
    })),
  ),
);
try {
  for (let round = 0; round < ROUNDS; round++) {
    for (const row of rows) {
      const before = await measureR();
      const { rate, p50, p99 } = await measure(row.provider, row.level, row.clients);
      row.ratios.push(rate / ((before + (await measureR())) / 2));
      row.rates.push(rate);
      row.p50.push(p50);
      row.p99.push(p99);
      const bare = rows.find(
        (one) => one.level === 'none' && one.launcher === row.launcher && one.clients === row.clients,
      );
      row.slower.push(p50 / (bare?.p50[round] ?? Number.NaN));
    }
  }
  process.stdout.write('launcher  level    clients  of R                a second   p50 ms    p99 ms    p50 to none\n');
  for (const { launcher, level, clients, ratios, rates, p50, p99, slower } of rows) {
    process.stdout.write(
      `${launcher.padEnd(10)}${level.padEnd(9)}${String(clients).padEnd(9)}${range(ratios).padEnd(20)}${median(rates).toFixed(0).padEnd(11)}${median(p50).toFixed(1).padEnd(10)}${median(p99).toFixed(1).padEnd(10)}${range(slower)}\n`,
    );
  }
} finally {
  await Promise.all(opened.map(({ provider }) => provider.close()));
  rmSync(directory, { recursive: true });
}
