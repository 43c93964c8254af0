import { parseArgs } from 'node:util';
import { FAULT_KINDS } from './faults.ts';
import { MUTANTS } from './mutants.ts';
import { plant } from './plant.ts';
import { type Played, play, tasksOf } from './pool.ts';
import type { ProfileName } from './profiles.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    provider: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    mutant: { type: 'string' },
    help: { type: 'boolean' },
  },
});
const { provider, mutant } = values;
// One run is played here, many by threads that plant for themselves. Before anything of the product is loaded.
const isPlantable = mutant === undefined || MUTANTS.some(({ name }) => name === mutant);
const planted = values.seed !== undefined && mutant !== undefined && isPlantable ? plant(mutant) : undefined;
const { PROFILE_NAMES } = await import('./profiles.ts');
const { runSeed } = await import('./run-seed.ts');
planted?.assertPlanted();

const USAGE = `npm run simulate -- --seed N [--provider PROFILE]            one run, told line by line
npm run simulate -- --seeds N [--from S] [--provider PROFILE] [--jobs 2]   many, summed up

  --provider  one of ${PROFILE_NAMES.join(', ')}; without it all of them, for one run the first
  --mutant    plants a known bug first, by its name in test/simulation/mutants.ts
`;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const replay = ({ seed, profile }: Pick<Played, 'seed' | 'profile'>, mutant: string | undefined): string =>
  `npm run simulate -- --seed ${seed} --provider ${profile}${mutant === undefined ? '' : ` --mutant ${mutant}`}`;

const tell = async (seed: number, profile: ProfileName): Promise<boolean> => {
  const { scenario, lines, violations, trace, events, struck } = await runSeed(seed, profile, { keepsLines: true });
  for (const plan of scenario.jobs)
    say(
      `${plan.name}: ${JSON.stringify({ ...plan.program, ...plan.body, argv: undefined, cancelAfterMs: plan.cancelAfterMs })}`,
    );
  for (const { at, who, what } of lines) {
    say(`${((at - scenario.startAt) / 1_000).toFixed(3).padStart(10)}  ${who.padEnd(10)}  ${what}`);
  }
  say(`faults: ${[...struck].map(([kind, times]) => `${kind} ${times}`).join(', ') || 'none'}`);
  for (const violation of violations) say(`VIOLATION: ${violation}`);
  say(`seed ${seed}, ${profile}: ${events} events, trace ${trace}, ${violations.length} violations`);
  return violations.length === 0;
};

const sumUp = async (
  profiles: readonly ProfileName[],
  { from, seeds, jobs, mutant }: { from: number; seeds: number; jobs: number; mutant: string | undefined },
): Promise<boolean> => {
  const began = process.hrtime.bigint();
  const struck = new Map<string, number>();
  const statuses = new Map<string, number>();
  let played = 0;
  let violated = 0;
  await play(tasksOf(profiles, from, seeds), {
    jobs,
    ...(mutant === undefined ? {} : { mutant }),
    onPlayed(one) {
      played++;
      for (const [kind, times] of one.struck) struck.set(kind, (struck.get(kind) ?? 0) + times);
      for (const [status, times] of one.statuses) statuses.set(status, (statuses.get(status) ?? 0) + times);
      if (one.violations.length === 0) return undefined;
      violated++;
      say(`${replay(one, mutant)}\n  ${one.violations.join('\n  ')}`);
      return undefined;
    },
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  say(`ends: ${[...statuses].map(([status, times]) => `${status} ${times}`).join(', ')}`);
  say(`faults: ${[...struck].map(([kind, times]) => `${kind} ${times}`).join(', ')}`);
  say(
    `${profiles.join(', ')}: ${played} runs, seeds ${from} to ${from + seeds - 1}, ${(played / seconds).toFixed(1)} a second, ` +
      `${struck.size} of ${FAULT_KINDS.length} kinds of fault, ${violated} with violations`,
  );
  return violated === 0;
};

const isKnown = provider === undefined || (PROFILE_NAMES as readonly string[]).includes(provider);
if (values.help || !isKnown || !isPlantable || (values.seed === undefined && values.seeds === undefined)) {
  say(USAGE);
  process.exitCode = 2;
} else {
  const profiles = provider === undefined ? PROFILE_NAMES : [provider as ProfileName];
  const isFine =
    values.seed === undefined
      ? await sumUp(profiles, {
          from: Number(values.from),
          seeds: Number(values.seeds),
          jobs: Number(values.jobs),
          mutant,
        })
      : await tell(Number(values.seed), profiles[0] ?? 'local');
  if (!isFine) process.exitCode = 1;
}
