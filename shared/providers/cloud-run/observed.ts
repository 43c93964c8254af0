import type { protos } from '@google-cloud/run';
import type { Observed } from '../provider.ts';
import type { Execution } from './executions.ts';
import { plainMessage } from './faults.ts';

type Task = protos.google.cloud.run.v2.ITask;

/** Reasons for which a container never comes to life, whenever it is tried. */
const NEVER_STARTED: readonly string[] = [
  'CONTAINER_MISSING',
  'CONTAINER_PERMISSION_DENIED',
  'CONTAINER_IMAGE_UNAUTHORIZED',
  'CONTAINER_IMAGE_AUTHORIZATION_CHECK_FAILED',
  'ENCRYPTION_KEY_PERMISSION_DENIED',
  'ENCRYPTION_KEY_CHECK_FAILED',
  'SECRETS_ACCESS_CHECK_FAILED',
  'VPC_NETWORK_NOT_FOUND',
];

export const isNeverToStart = (reason: unknown): boolean => NEVER_STARTED.includes(String(reason));

const SIGKILL = 9;
const KILLED_STATUS = 128 + SIGKILL;

/**
 * What an execution says of its run. The runner ends with 0 whatever its command did, so that all else is about the
 * container, and none of it is ever the command's own exit code.
 */
export const toObserved = async (
  execution: Execution,
  readTask: () => Promise<Task | undefined>,
): Promise<Observed> => {
  const completed = execution.conditions?.find(({ type }) => type === 'Completed');
  const state = String(completed?.state ?? '');
  const isOver = state === 'CONDITION_SUCCEEDED' || state === 'CONDITION_FAILED' || Boolean(execution.completionTime);
  if (!isOver) return { kind: 'alive' };
  if (state === 'CONDITION_SUCCEEDED') return { kind: 'gone', detail: LEFT };
  if (completed?.executionReason === 'CANCELLED' || Number(execution.cancelledCount) > 0) {
    return { kind: 'gone', detail: 'The execution was canceled at Cloud Run.' };
  }
  const words = plainMessage(completed?.message || 'it gives no reason');
  if (!execution.startTime && isNeverToStart(completed?.reason)) {
    return { kind: 'failed', detail: `Cloud Run cannot start the container: ${words}` };
  }
  return toEnd(await readTask(), words);
};

const LEFT = 'The container ended by itself, and its runner did not say how the command did.';

const toEnd = (task: Task | undefined, words: string): Observed => {
  const result = task?.lastAttemptResult;
  // What is not set reads as 0 in the client: a failed task without either says nothing of how its container ended.
  const signal = Number(result?.termSignal ?? 0);
  const status = Number(result?.exitCode ?? 0);
  const told = plainMessage(result?.status?.message || words);
  if (/time.?out|deadline/i.test(told)) return { kind: 'gone', detail: `The task’s own time-out ended it: ${told}` };
  if (/memory/i.test(told) || signal === SIGKILL || status === KILLED_STATUS) return { kind: 'gone', ...KILLED };
  if (signal > 0) return { kind: 'gone', detail: `The container was ended by signal ${signal}: ${told}` };
  if (status > 0) return { kind: 'gone', detail: `The container ended with status ${status}: ${told}` };
  return { kind: 'gone', detail: `How the container ended Cloud Run does not know: ${told}` };
};

/** Neither a cancel nor the time-out was it, so nobody else sends SIGKILL to the runner. */
const OUT_OF_MEMORY = 'The container was killed, as it is for want of memory. Ask for more with memoryMiB.';
const KILLED = {
  detail: OUT_OF_MEMORY,
  exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true, detail: OUT_OF_MEMORY },
} as const;
