import { systemClock } from '../../../../machine/system-clock.ts';
import { type Container, type ContainerEnd, startContainer } from '../container.ts';
import { type Condition, secondsOf, type TaskTemplate } from './resources.ts';

export interface ExecutionOptions {
  readonly folder: string;
  /** What stands for a program in an image, by its path there. */
  readonly programs: Readonly<Record<string, readonly string[]>>;
  /** Images that were there when their job was made, and are not any more. */
  readonly vanishedImages?: readonly string[];
  /** Images whose container is killed for want of memory, once it has run for so many milliseconds. */
  readonly outOfMemoryAfterMs?: Readonly<Record<string, number>>;
  /** From an execution to its container. @default 20 */
  readonly startDelayMs?: number;
  /** Between TERM and KILL. @default 10 000, as the cloud has it */
  readonly graceMs?: number;
}

interface Identity {
  readonly name: string;
  readonly uid: string;
  readonly job: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly template: TaskTemplate;
  /** Called when it ends. */
  readonly onEnd: () => void;
}

/** A run of a job, with its one task. */
export interface Execution {
  readonly name: string;
  readonly createdAt: number;
  isOver(): boolean;
  /** False when it has ended already. */
  cancel(): boolean;
  resource(): object;
  task(): object;
  /** What its containers wrote. */
  logs(): readonly string[];
  /** How many containers it had. */
  tries(): number;
  readonly ended: Promise<void>;
}

const DEFAULT_RETRIES = 3;
const DEFAULT_TIMEOUT = '600s';
const ERROR_CODE = 10;

interface AttemptResult {
  readonly status: { readonly code?: number; readonly message?: string };
  readonly exitCode?: number;
  readonly termSignal?: number;
}

export const startExecution = (identity: Identity, options: ExecutionOptions): Execution => {
  const { name, uid, job, labels, template, onEnd } = identity;
  const [spec = {}] = template.containers ?? [];
  const image = spec.image ?? '';
  const createdAt = Date.now();
  const containers: Container[] = [];
  const canceled = new AbortController();
  let startedAt: number | undefined;
  let completedAt: number | undefined;
  let completed: Condition = { type: 'Completed', state: 'CONDITION_RECONCILING' };
  let last: AttemptResult | undefined;

  const complete = (condition: Omit<Condition, 'type'>): void => {
    completedAt = Date.now();
    completed = { type: 'Completed', lastTransitionTime: at(completedAt), ...condition };
  };

  const runContainer = async (): Promise<AttemptResult> => {
    const env = Object.fromEntries((spec.env ?? []).map(({ name, value = '' }) => [name, value]));
    // Without a command it is the image's own, which stands under the image's name.
    const command = [...(spec.command ?? [image]), ...(spec.args ?? [])];
    const container = startContainer({ command, env, ...options });
    containers.push(container);
    const graceMs = options.graceMs ?? 10_000;
    const onCancel = () => container.stop(graceMs);
    canceled.signal.addEventListener('abort', onCancel, { once: true });
    if (canceled.signal.aborted) onCancel();
    let why: 'timeout' | 'memory' | undefined;
    const timers = [
      setTimeout(
        () => {
          why = 'timeout';
          container.stop(graceMs);
        },
        secondsOf(template.timeout ?? DEFAULT_TIMEOUT) * 1_000,
      ),
    ];
    const memoryMs = options.outOfMemoryAfterMs?.[image];
    if (memoryMs !== undefined) {
      timers.push(
        setTimeout(() => {
          why = 'memory';
          container.stop(0);
        }, memoryMs),
      );
    }
    const end = await container.ended;
    for (const timer of timers) clearTimeout(timer);
    canceled.signal.removeEventListener('abort', onCancel);
    return resultOf(end, why);
  };

  const run = async (): Promise<void> => {
    await systemClock.sleep(options.startDelayMs ?? 20, canceled.signal);
    if (canceled.signal.aborted) return complete(CANCELLED);
    if (options.vanishedImages?.includes(image)) {
      return complete({
        state: 'CONDITION_FAILED',
        reason: 'CONTAINER_MISSING',
        message: `Image '${image}' not found.`,
      });
    }
    startedAt = Date.now();
    const most = 1 + (template.maxRetries ?? DEFAULT_RETRIES);
    do last = await runContainer();
    while (last.status.code !== undefined && containers.length < most && !canceled.signal.aborted);
    if (canceled.signal.aborted) return complete(CANCELLED);
    if (last.status.code === undefined) return complete({ state: 'CONDITION_SUCCEEDED' });
    const message = `Task ${name.split('/').at(-1)}-task0 failed with message: ${last.status.message}`;
    complete({ state: 'CONDITION_FAILED', executionReason: 'NON_ZERO_EXIT_CODE', message });
  };
  const ended = run().then(onEnd);

  const counts = () => {
    if (completedAt === undefined) return startedAt === undefined ? {} : { runningCount: 1 };
    if (completed.executionReason === 'CANCELLED') return { cancelledCount: 1 };
    return completed.state === 'CONDITION_SUCCEEDED' ? { succeededCount: 1 } : { failedCount: 1 };
  };
  const times = () => ({
    createTime: at(createdAt),
    ...(startedAt === undefined ? {} : { startTime: at(startedAt) }),
    ...(completedAt === undefined ? {} : { completionTime: at(completedAt) }),
    updateTime: at(completedAt ?? startedAt ?? createdAt),
  });
  const retried = () => (containers.length > 1 ? containers.length - 1 : 0);
  return {
    name,
    createdAt,
    isOver: () => completedAt !== undefined,
    cancel() {
      if (completedAt !== undefined) return false;
      canceled.abort();
      return true;
    },
    resource: () => ({
      name,
      uid,
      generation: '1',
      observedGeneration: '1',
      job: job.split('/').at(-1),
      labels,
      launchStage: 'GA',
      parallelism: 1,
      taskCount: 1,
      template,
      ...times(),
      ...(completedAt === undefined ? { reconciling: true } : {}),
      conditions: [completed],
      ...counts(),
      ...(retried() > 0 ? { retriedCount: 1 } : {}),
    }),
    task: () => ({
      name: `${name}/tasks/${name.split('/').at(-1)}-task0`,
      execution: name.split('/').at(-1),
      job: job.split('/').at(-1),
      containers: template.containers,
      maxRetries: template.maxRetries ?? DEFAULT_RETRIES,
      ...(retried() > 0 ? { retried: retried() } : {}),
      ...times(),
      ...(last ? { lastAttemptResult: last } : {}),
    }),
    logs: () => containers.map((container) => container.log()),
    tries: () => containers.length,
    ended,
  };
};

const CANCELLED = {
  state: 'CONDITION_FAILED',
  executionReason: 'CANCELLED',
  message: 'Execution was cancelled.',
} as const;

/** As it is written: what is 0 is not there, in status, code and signal alike. */
const resultOf = ({ exitCode, signal }: ContainerEnd, why: 'timeout' | 'memory' | undefined): AttemptResult => {
  if (why === 'timeout') {
    return failed('The configured timeout was reached.', signal === undefined ? {} : { termSignal: signal });
  }
  if (why === 'memory') return failed('Memory limit of 512 MiB exceeded with 530 MiB used.', {});
  if (signal !== undefined) return failed(`Container terminated on signal ${signal}.`, { termSignal: signal });
  if (exitCode === undefined) return failed('The container could not be started.', {});
  return exitCode === 0 ? { status: {} } : failed('The container exited with an error.', { exitCode });
};

const failed = (message: string, how: object): AttemptResult => ({ status: { code: ERROR_CODE, message }, ...how });

const at = (instant: number): string => new Date(instant).toISOString();
