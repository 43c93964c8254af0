import { randomBytes } from 'node:crypto';
import { type Container, type ContainerEnd, startContainer } from '../container.ts';

export interface ExecutionOptions {
  /** Containers have their folders in here. */
  readonly folder: string;
  /** What stands for a program in an image. */
  readonly programs?: Readonly<Record<string, readonly string[]>>;
  /** From the start of an execution until its container runs. @default 30 */
  readonly startMs?: number;
  /** Between TERM and KILL. @default 10000, as in the cloud */
  readonly graceMs?: number;
}

/** One execution of a job, with its one task. */
export interface Execution {
  readonly name: string;
  /** How often its container was started. */
  tries(): number;
  view(): Record<string, unknown>;
  task(): Record<string, unknown>;
  isOver(): boolean;
  cancel(): void;
  /** Ends the container as a machine that fails does. */
  crash(): void;
  kill(): Promise<void>;
}

interface EnvVar {
  readonly name: string;
  readonly value: string;
}
interface Template {
  readonly containers: readonly { image: string; command?: string[]; args?: string[]; env?: EnvVar[] }[];
  readonly maxRetries?: number;
  readonly timeout?: string;
}

export const startExecution = (
  job: Record<string, unknown> & { name: string },
  overrides: { containerOverrides?: { args?: string[]; env?: EnvVar[] }[]; timeout?: string },
  { folder, programs = {}, startMs = 30, graceMs = 10_000 }: ExecutionOptions,
): Execution => {
  const jobId = job.name.split('/').at(-1) ?? '';
  const name = `${job.name}/executions/${jobId}-${randomBytes(3).toString('hex')}`;
  const { template } = job['template'] as { template: Template };
  const own = overrides.containerOverrides?.[0];
  const [container] = template.containers;
  // Overrides replace the arguments and are merged into the environment.
  const env = new Map([...(container?.env ?? []), ...(own?.env ?? [])].map((one) => [one.name, one.value]));
  const command = [...(container?.command ?? []), ...(own?.args ?? container?.args ?? [])];
  const merged = {
    ...container,
    args: own?.args ?? container?.args ?? [],
    env: [...env].map(([n, value]) => ({ name: n, value })),
  };
  const timeout = overrides.timeout ?? template.timeout ?? '600s';
  // Not set is three, which runs a command that fails four times.
  const maxRetries = template.maxRetries ?? 3;
  const createdAt = new Date().toISOString();
  let running: Container | undefined;
  let end: ContainerEnd | undefined;
  let tries = 0;
  let canceled = false;
  let timedOut = false;
  let completedAt: string | undefined;
  const { promise: over, resolve } = Promise.withResolvers<void>();

  const finish = (): void => {
    clearTimeout(timer);
    running = undefined;
    completedAt = new Date().toISOString();
    resolve();
  };

  const start = (): void => {
    tries++;
    running = startContainer({ command, env: Object.fromEntries(env), folder, programs });
    void running.ended.then((ended) => {
      end = ended;
      const failed = ended.exitCode !== 0 || ended.signal !== 0;
      if (failed && !canceled && !timedOut && tries <= maxRetries) return start();
      finish();
    });
  };
  const starting = setTimeout(() => (canceled ? finish() : start()), startMs);
  const timer = setTimeout(
    () => {
      timedOut = true;
      running?.stop(graceMs);
    },
    Math.min(2 ** 31 - 1, Number.parseFloat(timeout) * 1_000),
  );

  const succeeded = (): boolean =>
    end !== undefined && end.exitCode === 0 && end.signal === 0 && !canceled && !timedOut;

  const condition = (): object => {
    if (completedAt === undefined)
      return { type: 'Completed', state: tries > 0 ? 'CONDITION_RECONCILING' : 'CONDITION_PENDING' };
    if (succeeded()) return { type: 'Completed', state: 'CONDITION_SUCCEEDED' };
    const message = canceled ? 'Execution was canceled.' : `Task ${jobId}-task0 failed with message: ${words()}`;
    return {
      type: 'Completed',
      state: 'CONDITION_FAILED',
      executionReason: canceled ? 'CANCELLED' : 'NON_ZERO_EXIT_CODE',
      message,
    };
  };

  const words = (): string => {
    if (timedOut) return 'The configured timeout was reached.';
    if (end?.signal) return `The container exited with signal ${end.signal}.`;
    return `The container exited with an error code ${end?.exitCode ?? 0}.`;
  };

  return {
    name,
    tries: () => tries,
    isOver: () => completedAt !== undefined,
    view: () => ({
      name,
      job: jobId,
      createTime: createdAt,
      ...(completedAt ? { completionTime: completedAt } : {}),
      taskCount: 1,
      // What is 0 is not there, as in the cloud.
      ...(completedAt === undefined && tries > 0 ? { runningCount: 1 } : {}),
      ...(completedAt !== undefined && succeeded() ? { succeededCount: 1 } : {}),
      ...(completedAt !== undefined && !succeeded() ? { [canceled ? 'cancelledCount' : 'failedCount']: 1 } : {}),
      ...(tries > 1 ? { retriedCount: tries - 1 } : {}),
      conditions: [condition()],
      template: { ...template, containers: [merged], timeout },
    }),
    task: () => ({
      name: `${name}/tasks/${jobId}-task0`,
      execution: name.split('/').at(-1),
      ...(completedAt === undefined || succeeded()
        ? {}
        : {
            lastAttemptResult: {
              status: { code: 10, message: words() },
              ...(end?.exitCode ? { exitCode: end.exitCode } : {}),
              ...(end?.signal ? { termSignal: end.signal } : {}),
            },
          }),
    }),
    cancel() {
      canceled = true;
      running?.stop(graceMs);
    },
    crash: () => running?.kill(),
    async kill() {
      canceled = true;
      clearTimeout(starting);
      clearTimeout(timer);
      if (!running) return;
      running.kill();
      await over;
    },
  };
};
