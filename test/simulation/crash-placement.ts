import type { SubmitCommand } from '../../shared/contract/schemas.ts';
import { SubmitWorkflow } from '../../shared/contract/workflow-schemas.ts';
import { type Program, toArgv } from './executions.ts';
import type { CrashPoint } from './life.ts';
import { TARGET } from './node.ts';
import type { ProfileName } from './profiles.ts';
import { runSeed } from './run-seed.ts';
import type { JobPlan, Scenario, SchedulePlan } from './scenario.ts';
import { jobOf, type WorkflowPlan } from './workflow-scenario.ts';

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

export interface Story {
  readonly program?: Partial<Program>;
  readonly body?: Partial<SubmitCommand>;
  readonly cancelAfterMs?: number;
  /** In place of a caller: a schedule at each of three instants, or a workflow that needs it before others. */
  readonly by?: 'schedule' | 'workflow';
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

export const SCHEDULED: Story = { by: 'schedule' };
export const OF_A_WORKFLOW: Story = { by: 'workflow' };
/** It fails once, and is resumed. */
export const OF_A_RESUMED_WORKFLOW: Story = { by: 'workflow', program: { failsFirst: 1 } };

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

const workflowOf = (program: Program): WorkflowPlan => {
  const command = (job: string, over: Partial<Program> = {}) => ({
    argv: toArgv({ ...program, job: jobOf('workflow-1', job), failsFirst: 0, ...over }),
    target: TARGET,
    timeoutSeconds: 60,
  });
  const ofEach = command('each');
  return {
    name: 'workflow-1',
    body: SubmitWorkflow.parse({
      name: 'workflow-1',
      concurrency: 2,
      nodes: {
        first: { command: command('first', { failsFirst: program.failsFirst }) },
        each: {
          needs: ['first'],
          forEach: { items: ['x', 'y'] },
          command: { ...ofEach, argv: [...ofEach.argv, { fromItem: '' }, { fromOutput: 'first' }] },
        },
        last: { needs: ['each'], command: command('last') },
      },
    }),
    submitAfterMs: 300,
    cancelAfterMs: undefined,
    resumes: 2,
    submitsTwice: false,
  };
};

const scenarioOf = ({ program, body, cancelAfterMs, by }: Story): Scenario => {
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
    jobs: by ? [] : [plan],
    schedules: by === 'schedule' ? [planOf(full)] : [],
    workflows: by === 'workflow' ? [workflowOf(full)] : [],
    faultsForMs: 10_000,
    limits: by ? undefined : { unfinishedCommands: 10 },
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
