import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { FAULT_KINDS } from './faults.ts';
import { type Played, play, type Task, tasksOf } from './pool.ts';
import { PROFILE_NAMES } from './profiles.ts';
import { SAVED_SEEDS } from './seeds.ts';

const run = promisify(execFile);
const SIMULATE = join(import.meta.dirname, 'simulate.ts');
const SEEDS = 5_000;
const MINUTES = 60_000;
const jobs = Math.min(4, availableParallelism());

const playAll = async (tasks: Iterable<Task>): Promise<Played[]> => {
  const all: Played[] = [];
  await play(tasks, {
    jobs,
    onPlayed(played) {
      all.push(played);
      return undefined;
    },
  });
  return all;
};

const violationsOf = (all: readonly Played[]) =>
  all.flatMap(({ seed, profile, violations }) =>
    violations.map((one) => `npm run simulate -- --seed ${seed} --provider ${profile}: ${one}`),
  );

test.for(SAVED_SEEDS)(
  '$profile, seed $seed, which found $found, finds nothing',
  { timeout: MINUTES },
  async (saved) => {
    expect(violationsOf(await playAll([saved]))).toEqual([]);
  },
);

test('one seed is one run, event by event', { timeout: 2 * MINUTES }, async () => {
  const tasks = () => [...tasksOf(PROFILE_NAMES, 1, 10)];
  const traces = async () =>
    new Map((await playAll(tasks())).map(({ seed, profile, trace }) => [`${profile} ${seed}`, trace]));
  const once = await traces();
  expect(await traces()).toEqual(once);
  // Of two profiles that are much alike some seeds are the same.
  expect(new Set(once.values()).size).toBeGreaterThan(once.size / 2);
  // Alone in a process, as a person plays it again, it is what it was after others in a thread.
  for (const profile of ['local', 'lambda', 'cloud-run', 'schedules-far']) {
    const { stdout } = await run(process.execPath, [SIMULATE, '--seed', '10', '--provider', profile]);
    expect(stdout).toContain(`trace ${once.get(`${profile} 10`)}, `);
  }
});

test(`${SEEDS} seeds break no promise, and every kind of fault strikes`, { timeout: 10 * MINUTES }, async () => {
  const all = await playAll(tasksOf(PROFILE_NAMES, 1, Math.ceil(SEEDS / PROFILE_NAMES.length)));
  expect(violationsOf(all)).toEqual([]);
  const struck = new Set(all.flatMap((played) => [...played.struck.keys()]));
  expect(FAULT_KINDS.filter((kind) => !struck.has(kind))).toEqual([]);
});
