import type { SubmitCommand } from '../../shared/contract/schemas.ts';
import { type Program, toArgv } from './executions.ts';
import type { CrashPoint } from './life.ts';
import { TARGET } from './node.ts';
import type { ProfileName } from './profiles.ts';
import { runSeed } from './run-seed.ts';
import type { JobPlan, Scenario, SchedulePlan } from './scenario.ts';

const PROGRAM: Program = {
  job: 'job-1',
  runsMs: 700,
  pieces: 4,
  pieceBytes: 60,
  exitCode: 0,
  failsFirst: 0,
  ignoresTerm: false,
  echoes: false,
};

interface Story {
  readonly program?: Partial<Program>;
  readonly body?: Partial<SubmitCommand>;
  readonly cancelAfterMs?: number;
  /** Submitted by a schedule at each of three instants, not by a caller. */
  readonly isScheduled?: boolean;
}

/** What one command goes through while everything is done to it. */
export const STORIES = {
  'that runs': {},
  'that is canceled while it runs': { program: { runsMs: 60_000 }, cancelAfterMs: 4_000 },
  'that is canceled before it runs': { cancelAfterMs: 0 },
  'that runs into its time-out': { program: { runsMs: 60_000, ignoresTerm: true }, body: { timeoutSeconds: 3 } },
  'that is tried again': {
    program: { failsFirst: 1 },
    body: { retry: { maxAttempts: 3, on: ['nonzero-exit', 'lost'] } },
  },
} as const satisfies Record<string, Story>;

export const SCHEDULED: Story = { isScheduled: true };

export type StoryName = keyof typeof STORIES;

const START_AT = Date.parse('2030-06-01T12:00:00Z');

const planOf = (program: Program): SchedulePlan => ({
  name: program.job,
  createAfterMs: 300,
  body: {
    everySeconds: 10,
    startAt: new Date(START_AT + 1_000).toISOString(),
    endAt: new Date(START_AT + 21_000).toISOString(),
    overlap: 'allow',
    catchUp: 'all',
    command: { argv: toArgv(program), target: TARGET, timeoutSeconds: 60 },
  },
});

const scenarioOf = ({ program, body, cancelAfterMs, isScheduled = false }: Story): Scenario => {
  const full = { ...PROGRAM, ...program };
  const plan: JobPlan = {
    name: full.job,
    program: full,
    body: { argv: toArgv(full), target: TARGET, timeoutSeconds: 60, ...body },
    submitAfterMs: 300,
    cancelAfterMs,
    signals: [],
    input: [],
    submitsTwice: false,
  };
  return {
    startAt: START_AT,
    nodes: 1,
    jobs: isScheduled ? [] : [plan],
    schedules: isScheduled ? [planOf(full)] : [],
    faultsForMs: 10_000,
    limits: isScheduled ? undefined : { unfinishedCommands: 10 },
    seals: true,
  };
};

export interface Placed {
  /** How many places there were. */
  readonly places: number;
  /** A sentence for each promise that was broken, and where. */
  readonly violations: readonly string[];
}

/** Kills the process at each call that it makes, one run each: before it has an effect, and after that without hearing of it. */
export const crashEverywhere = async (profile: ProfileName, story: Story, point: CrashPoint): Promise<Placed> => {
  const scenario = scenarioOf(story);
  const calm = await runSeed(1, profile, { scenario, calm: true });
  const violations = [...calm.violations];
  const places = callsWithin(calm.calls);
  for (let place = 1; place <= places; place++) {
    const crashAt = (call: number) => (call === place ? point : undefined);
    const { violations: found } = await runSeed(1, profile, { scenario, calm: true, crashAt });
    violations.push(...found.map((one) => `${point} ${place}: ${one}`));
  }
  return { places, violations };
};

/** Loses the answer of each write to the store, one run each. */
export const loseEachAnswer = async (profile: ProfileName, story: Story): Promise<Placed> => {
  const scenario = scenarioOf(story);
  const { writes } = await runSeed(1, profile, { scenario, calm: true });
  const violations: string[] = [];
  for (let place = 1; place <= writes; place++) {
    const { violations: found } = await runSeed(1, profile, {
      scenario,
      calm: true,
      losesAnswer: (at) => at === place,
    });
    violations.push(...found.map((one) => `answer of write ${place} lost: ${one}`));
  }
  return { places: writes, violations };
};

/** What comes later are sweeps that find nothing. */
const callsWithin = (calls: number): number => Math.min(calls, MOST_PLACES);
const MOST_PLACES = 150;
