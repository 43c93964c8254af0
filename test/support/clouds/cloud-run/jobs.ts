import { randomBytes, randomUUID } from 'node:crypto';
import { type Execution, type ExecutionOptions, startExecution } from './execution.ts';
import {
  ApiError,
  type Condition,
  checkEnv,
  checkTask,
  checkTimeout,
  invalid,
  type JobBody,
  notFound,
  overridden,
  type RunOverrides,
} from './resources.ts';

export interface JobsOptions extends ExecutionOptions {
  /** Images that cannot be pulled. */
  readonly brokenImages?: readonly string[];
  /** From the making of a job until it can be run. @default 20 */
  readonly createDelayMs?: number;
  /** Executions of the project that may run at once. @default 1000 */
  readonly mostRunning?: number;
  /** Ended executions that are kept for each job. @default 1000 */
  readonly keptExecutions?: number;
}

/** What an operation is about: it is done when this is. */
export interface Subject {
  readonly type: 'Job' | 'Execution';
  resource(): object;
  isDone(): boolean;
  error(): { readonly code: number; readonly message: string } | undefined;
}

interface Job extends Subject {
  readonly name: string;
  readonly body: JobBody;
  readonly executions: Map<string, Execution>;
}

/** The jobs of a project and region. */
export interface Jobs {
  create(parent: string, jobId: string, body: JobBody): Subject;
  find(name: string): Subject;
  list(parent: string): readonly Subject[];
  delete(name: string): Subject;
  run(name: string, overrides: RunOverrides | undefined): Subject;
  findExecution(name: string): Execution;
  /** Newest first; of all jobs when the job is `-`. */
  executionsOf(parent: string): readonly Execution[];
  /** All there ever were. */
  readonly started: readonly Execution[];
  deleteExecution(name: string): Execution;
  close(): Promise<void>;
}

const JOB_ID = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const ABORTED = 10;

export const makeJobs = (options: JobsOptions): Jobs => {
  const jobs = new Map<string, Job>();
  const started: Execution[] = [];

  const find = (name: string): Job => {
    const job = jobs.get(name);
    if (!job) throw notFound(name);
    return job;
  };
  const jobOf = (name: string): string => name.slice(0, name.indexOf('/executions/'));
  const all = (): Execution[] => [...jobs.values()].flatMap(({ executions }) => [...executions.values()]);

  /** Ended ones are dropped, the oldest first. */
  const trim = ({ executions }: Job): void => {
    const ended = [...executions.values()].filter((execution) => execution.isOver());
    for (const { name } of ended.slice(0, Math.max(0, ended.length - (options.keptExecutions ?? 1_000)))) {
      executions.delete(name);
    }
  };

  return {
    started,
    find,
    create(parent, jobId, body) {
      if (!JOB_ID.test(jobId)) throw invalid(`Invalid job id "${jobId}".`);
      const name = `${parent}/jobs/${jobId}`;
      if (jobs.has(name)) throw new ApiError(409, 'ALREADY_EXISTS', `Resource '${jobId}' already exists.`);
      checkTask(body.template?.template ?? {});
      const job = makeJob(name, body, options);
      jobs.set(name, job);
      return job;
    },
    list: (parent) => [...jobs.values()].filter(({ name }) => name.startsWith(`${parent}/jobs/`)),
    delete(name) {
      const job = find(name);
      jobs.delete(name);
      for (const execution of job.executions.values()) execution.cancel();
      return job;
    },
    run(name, overrides) {
      const job = find(name);
      if (!job.isDone() || job.error()) {
        throw new ApiError(400, 'FAILED_PRECONDITION', `Job '${name.split('/').at(-1)}' is not ready to be run.`);
      }
      if (all().filter((execution) => !execution.isOver()).length >= (options.mostRunning ?? 1_000)) {
        throw new ApiError(429, 'RESOURCE_EXHAUSTED', 'Quota exceeded for total running executions per region.');
      }
      checkTimeout(overrides?.timeout);
      checkEnv(overrides?.containerOverrides?.[0]?.env);
      const execution = startExecution(
        {
          name: `${name}/executions/${name.split('/').at(-1)}-${randomBytes(3).toString('hex').slice(0, 5)}`,
          uid: randomUUID(),
          job: name,
          labels: job.body.template?.labels ?? {},
          template: overridden(job.body.template?.template ?? {}, overrides),
          onEnd: () => trim(job),
        },
        options,
      );
      job.executions.set(execution.name, execution);
      started.push(execution);
      return executionSubject(execution);
    },
    findExecution(name) {
      const execution = jobs.get(jobOf(name))?.executions.get(name);
      if (!execution) throw notFound(name);
      return execution;
    },
    executionsOf(parent) {
      const executions = parent.endsWith('/jobs/-') ? all() : [...find(parent).executions.values()];
      return executions.toSorted((a, b) => b.createdAt - a.createdAt);
    },
    deleteExecution(name) {
      const execution = this.findExecution(name);
      execution.cancel();
      jobs.get(jobOf(name))?.executions.delete(name);
      return execution;
    },
    async close() {
      for (const execution of started) execution.cancel();
      await Promise.all(started.map(({ ended }) => ended));
    },
  };
};

const makeJob = (name: string, body: JobBody, { brokenImages, createDelayMs = 20 }: JobsOptions): Job => {
  const createdAt = Date.now();
  const uid = randomUUID();
  const image = body.template?.template?.containers?.[0]?.image ?? '';
  const isBroken = brokenImages?.includes(image) ?? false;
  const isDone = () => Date.now() >= createdAt + createDelayMs;
  const message = `Image '${image}' not found.`;
  const terminal = (): Condition => {
    if (!isDone()) return { type: 'Ready', state: 'CONDITION_RECONCILING' };
    if (isBroken) return { type: 'Ready', state: 'CONDITION_FAILED', reason: 'CONTAINER_MISSING', message };
    return { type: 'Ready', state: 'CONDITION_SUCCEEDED' };
  };
  const executions = new Map<string, Execution>();
  return {
    type: 'Job',
    name,
    body,
    executions,
    isDone,
    error: () => (isDone() && isBroken ? { code: 5, message } : undefined),
    resource: () => ({
      ...body,
      name,
      uid,
      generation: '1',
      createTime: new Date(createdAt).toISOString(),
      launchStage: 'GA',
      ...(executions.size > 0 ? { executionCount: executions.size } : {}),
      ...(isDone() ? { observedGeneration: '1' } : { reconciling: true }),
      terminalCondition: terminal(),
    }),
  };
};

export const executionSubject = (execution: Execution): Subject => ({
  type: 'Execution',
  resource: () => execution.resource(),
  isDone: () => execution.isOver(),
  error() {
    const { conditions } = execution.resource() as { conditions: readonly Condition[] };
    const [completed] = conditions;
    return completed?.state === 'CONDITION_FAILED' ? { code: ABORTED, message: completed.message ?? '' } : undefined;
  },
});
