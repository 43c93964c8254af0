import type { ContainerGroup, ContainerState, Event } from '@azure/arm-containerinstance';
import type { Observed } from '../provider.ts';
import { plainText } from './faults.ts';

/** What a shell says for a program that is not there or cannot be executed, and so do container runtimes. */
const NO_PROGRAM: readonly unknown[] = [126, 127];
const OVER: readonly unknown[] = ['Stopped', 'Succeeded', 'Failed'];
const OUT_OF_MEMORY = 'OOMKilled';
const LOG_CHARACTERS = 300;

const OOM_DETAIL = 'The container was ended for want of memory. Ask for more with memoryMiB.';

const containerOf = (group: ContainerGroup) => group.containers?.[0]?.instanceView;

/** Whether a process of it may be told to end. */
export const isRunning = (group: ContainerGroup): boolean => containerOf(group)?.currentState?.state === 'Running';

/**
 * What a group says of its run. The container's own state first: the group's is told later. That it could not be
 * provisioned is not an end: it may still succeed, until it is deleted.
 */
export const toObserved = async (group: ContainerGroup, readLog: () => Promise<string>): Promise<Observed> => {
  const { currentState: current, previousState: previous, restartCount = 0, events } = containerOf(group) ?? {};
  if (current?.state === 'Terminated') return toEnd(current, previous, restartCount, readLog);
  const isOver = OVER.includes(group.instanceView?.state);
  const failed = group.initContainers?.find(({ instanceView }) => hasFailed(instanceView?.currentState));
  if (failed) return { kind: 'failed', detail: initDetail(failed.instanceView?.currentState) };
  const images = [...(group.initContainers ?? []).map(({ instanceView }) => instanceView?.events), events];
  const fault = images.map(pullFault).find((words) => words !== undefined);
  if (fault !== undefined && current?.state !== 'Running') {
    return { kind: 'failed', detail: `Azure cannot get the image: ${plainText(fault)}` };
  }
  if (!isOver) return { kind: 'alive' };
  const why = group.instanceView?.events?.at(-1)?.message;
  const detail = `The container group is ${String(group.instanceView?.state).toLowerCase()}`;
  return { kind: 'gone', detail: why ? `${detail}: ${plainText(why)}` : `${detail}.` };
};

const toEnd = async (
  { exitCode, detailStatus }: ContainerState,
  previous: ContainerState | undefined,
  restartCount: number,
  readLog: () => Promise<string>,
): Promise<Observed> => {
  const isOutOfMemory =
    detailStatus === OUT_OF_MEMORY || (restartCount > 0 && previous?.detailStatus === OUT_OF_MEMORY);
  if (isOutOfMemory) {
    return {
      kind: 'gone',
      detail: OOM_DETAIL,
      exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true, detail: OOM_DETAIL },
    };
  }
  // The runner itself never ends with these.
  if (NO_PROGRAM.includes(exitCode) && restartCount === 0) {
    const detail = 'The runner is not in the image. Put it there at /errand, or give the target a runnerImage.';
    return { kind: 'failed', detail };
  }
  const restarts =
    restartCount > 0
      ? ` Azure had started it again ${restartCount} times, after status ${previous?.exitCode ?? 'unknown'}.`
      : '';
  // The runner ends with 0 whatever its command did, so that anything else is about the container.
  const how =
    exitCode === 0
      ? 'The container ended, and its runner did not say how the command did.'
      : `The container ended with status ${exitCode ?? 'unknown'} before its runner could report.`;
  const log = plainText(await readLog(), Number.MAX_SAFE_INTEGER).slice(-LOG_CHARACTERS);
  return { kind: 'gone', detail: `${how}${restarts}${log ? ` Its log ends with: ${log}` : ''}` };
};

const hasFailed = (state: ContainerState | undefined): boolean =>
  state?.state === 'Terminated' && state.exitCode !== undefined && state.exitCode !== 0;

const initDetail = (state: ContainerState | undefined): string =>
  `The runner could not be copied from the target’s runnerImage: cp ended with status ${state?.exitCode}. It needs /errand and cp.`;

/** Azure goes on trying, and takes money for it; what was pulled in the end is no fault. */
const pullFault = (events: readonly Event[] = []): string | undefined => {
  const at = events.findLastIndex(
    ({ name, message = '' }) => (name === 'Failed' || name === 'BackOff') && /pull/i.test(message),
  );
  const pulled = events.findLastIndex(({ name }) => name === 'Pulled');
  if (at < 0 || pulled > at) return undefined;
  // The back-off says less than what went before it.
  return events.findLast(({ name, message }) => name === 'Failed' && message)?.message ?? events[at]?.message;
};
