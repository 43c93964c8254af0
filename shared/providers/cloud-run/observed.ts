import type { protos } from '@google-cloud/run';
import type { Observed } from '../provider.ts';
import { plainMessage } from './faults.ts';
import type { Execution } from './jobs.ts';

type Task = protos.google.cloud.run.v2.ITask;

/** Ended by the kernel for want of memory (128 + SIGKILL), as containers tell it. */
const KILLED = 137;

/**
 * What an execution says of its run. The runner itself ends with 0 whatever its command did, so that anything else is about
 * the container.
 */
export const toObserved = async (
  execution: Execution,
  readTask: () => Promise<Task | undefined>,
): Promise<Observed> => {
  const completed = execution.conditions?.find(({ type }) => type === 'Completed');
  const state = String(completed?.state ?? '');
  const isOver = state === 'CONDITION_SUCCEEDED' || state === 'CONDITION_FAILED' || Boolean(execution.completionTime);
  if (!isOver) return { kind: 'alive' };
  if (state === 'CONDITION_SUCCEEDED') {
    return { kind: 'gone', detail: 'The container ended, and its runner did not say how the command did.' };
  }
  const reason = String(completed?.reason ?? '');
  if (reason === 'CONTAINER_MISSING' || reason === 'CONTAINER_PERMISSION_DENIED') {
    return { kind: 'failed', detail: `Cloud Run cannot get the image: ${plainMessage(completed?.message ?? reason)}` };
  }
  const result = (await readTask())?.lastAttemptResult;
  // What is not set reads as 0 here, so that only what is more than 0 says anything.
  const [signal, exitCode] = [Number(result?.termSignal ?? 0), Number(result?.exitCode ?? 0)];
  const words = plainMessage(result?.status?.message || completed?.message || 'no reason was given');
  if (/memory/i.test(words) || exitCode === KILLED) {
    const detail = 'The container was ended for want of memory. Ask for more with memoryMiB.';
    return { kind: 'gone', detail, exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true, detail } };
  }
  const how = signal > 0 ? `by signal ${signal}` : exitCode > 0 ? `with status ${exitCode}` : 'for an unknown reason';
  return { kind: 'gone', detail: `The container ended ${how} before its runner could report: ${words}` };
};
