import type * as z from 'zod';
import type { CreateSchedule } from '../../shared/contract/schedule-schemas.ts';
import type { SubmitCommand } from '../../shared/contract/schemas.ts';
import { RETRY_CAUSES, type SignalName } from '../../shared/domain/command.ts';
import type { TenantLimits } from '../../shared/domain/quotas.ts';
import { CATCH_UPS, OVERLAPS } from '../../shared/domain/schedules.ts';
import { type Program, toArgv } from './executions.ts';
import { SECOND_TARGET, TARGET } from './node.ts';
import type { Profile } from './profiles.ts';
import type { Rng } from './rng.ts';
import { makeWorkflow, type WorkflowPlan } from './workflow-scenario.ts';

/** What one caller does with one command. */
export interface JobPlan {
  readonly name: string;
  readonly program: Program;
  readonly body: SubmitCommand;
  readonly submitAfterMs: number;
  /** After its submission was acknowledged. */
  readonly cancelAfterMs: number | undefined;
  readonly signals: readonly { readonly afterMs: number; readonly signal: SignalName }[];
  /** Parts of open input, each after so long since the last. */
  readonly input: readonly { readonly afterMs: number; readonly bytes: Uint8Array }[];
  /** Whether it submits twice at once, with one key. */
  readonly submitsTwice: boolean;
  /** When it has its command moved to the second target, after its submission was acknowledged. */
  readonly moveAfterMs?: number | undefined;
}

/** What one caller has fired by the clock. */
export interface SchedulePlan {
  readonly name: string;
  readonly body: z.output<typeof CreateSchedule>;
  readonly createAfterMs: number;
}

/** What happens in one run, besides what goes wrong. */
export interface Scenario {
  readonly startAt: number;
  readonly nodes: number;
  readonly jobs: readonly JobPlan[];
  readonly schedules: readonly SchedulePlan[];
  readonly workflows: readonly WorkflowPlan[];
  readonly faultsForMs: number;
  readonly limits: TenantLimits | undefined;
  readonly seals: boolean;
}

const DAY_MS = 24 * 3_600_000;
const NEW_YEAR = Date.parse('2030-01-01T00:00:00Z');
const SIGNALS: readonly SignalName[] = ['SIGHUP', 'SIGUSR1', 'SIGCONT'];

export const makeScenario = (rng: Rng, { second, also }: Pick<Profile, 'second' | 'also'>): Scenario => {
  const scenario = makeCommon(rng);
  // Drawn after all that every profile has, which stays what it was.
  if (second) return { ...scenario, jobs: scenario.jobs.map((plan) => withFailover(rng.fork(), plan)) };
  if (also === 'schedules') return withSchedules(rng.fork(), scenario);
  if (also === 'workflows') return withWorkflows(rng.fork(), scenario);
  return scenario;
};

const withFailover = (rng: Rng, plan: JobPlan): JobPlan => {
  const [target, other] = rng.chance(0.5) ? [TARGET, SECOND_TARGET] : [SECOND_TARGET, TARGET];
  if (rng.chance(0.2)) return { ...plan, body: { ...plan.body, target } };
  const moveAfterMs = rng.chance(0.3) ? rng.pick([0, 50, 5_000, 30_000]) : undefined;
  return { ...plan, body: { ...plan.body, target, failover: [other] }, moveAfterMs };
};

const MOST_FIRINGS = 45;

const withSchedules = (rng: Rng, scenario: Scenario): Scenario => ({
  ...scenario,
  // What a schedule submits is counted by what its tenant may, and the tenant here is nobody's.
  limits: undefined,
  jobs: scenario.jobs.slice(0, 2),
  schedules: Array.from({ length: rng.between(1, 2) }, (_, i) => makeSchedule(rng.fork(), i + 1, scenario)),
});

const makeSchedule = (rng: Rng, number: number, { startAt, faultsForMs }: Scenario): SchedulePlan => {
  const lastsMs = Math.round(faultsForMs * (0.3 + 0.9 * rng.fraction()));
  const everySeconds = Math.max(rng.pick([10, 15, 20, 60]), Math.ceil(lastsMs / MOST_FIRINGS / 1_000));
  const program = {
    ...makeProgram(rng, `schedule-${number}`),
    runsMs: rng.pick([0, 500, 5_000, 25_000]),
    echoes: false,
  };
  const from = startAt + rng.between(0, 20_000);
  return {
    name: program.job,
    createAfterMs: rng.between(0, 10_000),
    body: {
      everySeconds,
      startAt: new Date(from).toISOString(),
      endAt: new Date(from + lastsMs).toISOString(),
      overlap: rng.pick(OVERLAPS),
      catchUp: rng.pick(CATCH_UPS),
      jitterSeconds: rng.pick([0, 0, 5]),
      command: { argv: toArgv(program), target: TARGET, timeoutSeconds: 60, queueTtlSeconds: 3_600 },
    },
  };
};

const withWorkflows = (rng: Rng, scenario: Scenario): Scenario => ({
  ...scenario,
  jobs: scenario.jobs.slice(0, 1),
  workflows: Array.from({ length: rng.between(1, 2) }, (_, i) =>
    makeWorkflow(rng.fork(), `workflow-${i + 1}`, scenario.faultsForMs),
  ),
  // Those that may have few at once wait for each other.
  limits: rng.pick([undefined, undefined, { unfinishedCommands: 1_000 }, { unfinishedCommands: 2 }]),
});

const makeCommon = (rng: Rng): Scenario => {
  const faultsForMs = rng.pick([20_000, 60_000, 60_000, 180_000, 180_000, 900_000]);
  const jobs = Array.from({ length: rng.between(1, 5) }, (_, i) => makeJob(rng.fork(), `job-${i + 1}`, faultsForMs));
  return {
    // Days change under some of them.
    startAt:
      NEW_YEAR + rng.between(0, 300) * DAY_MS - (rng.chance(0.3) ? rng.between(0, 300_000) : -rng.between(0, DAY_MS)),
    nodes: rng.pick([1, 1, 2, 2, 3]),
    jobs,
    schedules: [],
    workflows: [],
    faultsForMs,
    limits: rng.chance(0.5) ? { unfinishedCommands: 1_000 } : undefined,
    seals: rng.chance(0.3),
  };
};

const makeProgram = (rng: Rng, job: string): Program => {
  const runsMs = rng.pick([0, 50, 500, 3_000, 20_000, 90_000]);
  const echoes = rng.chance(0.15);
  return {
    job,
    runsMs,
    pieces: rng.pick([0, 1, 2, 3, 10]),
    pieceBytes: rng.chance(0.05) ? 70_000 : rng.between(1, 300),
    exitCode: rng.pick([0, 0, 0, 3]),
    failsFirst: rng.pick([0, 0, 1]),
    ignoresTerm: rng.chance(0.2),
    echoes,
  };
};

const makeJob = (rng: Rng, name: string, withinMs: number): JobPlan => {
  const program = makeProgram(rng, name);
  const { echoes } = program;
  const body: SubmitCommand = {
    argv: toArgv(program),
    target: TARGET,
    timeoutSeconds: rng.pick([2, 10, 60, 120]),
    queueTtlSeconds: rng.pick([60, 600, 3_600]),
    ...(echoes ? { stdin: 'open' as const } : {}),
    ...(rng.chance(0.5)
      ? { retry: { maxAttempts: rng.between(2, 4), on: RETRY_CAUSES.filter(() => rng.chance(0.6)) } }
      : {}),
  };
  return {
    name,
    program,
    body,
    submitAfterMs: rng.between(0, Math.min(withinMs / 2, 120_000)),
    cancelAfterMs: rng.chance(0.3) ? rng.pick([0, 5, 50, 500, 5_000, 30_000, 120_000]) : undefined,
    signals: rng.chance(0.2) ? [{ afterMs: rng.between(0, 10_000), signal: rng.pick(SIGNALS) }] : [],
    input: echoes ? inputOf(rng, name) : [],
    submitsTwice: rng.chance(0.2),
  };
};

const inputOf = (rng: Rng, name: string): JobPlan['input'] =>
  Array.from({ length: rng.between(0, 4) }, (_, part) => ({
    afterMs: rng.pick([0, 100, 3_000]),
    bytes: Buffer.from(`${name} input ${part} `.repeat(rng.between(1, 20))),
  }));
