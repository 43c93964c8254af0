import type { ContainerGroup } from '@azure/arm-containerinstance';
import type { Observed } from '../provider.ts';
import { plainMessage } from './faults.ts';

/** Ended by the kernel for want of memory (128 + SIGKILL), as containers tell it. */
const KILLED = 137;
const MOST_LOG_CHARACTERS = 500;

/** The group's own state, before anything else is asked for. */
export const toState = (group: ContainerGroup): 'waiting' | 'running' | 'ended' => {
  const current = group.containers[0]?.instanceView?.currentState?.state;
  const state = group.instanceView?.state;
  if (current === 'Terminated' || state === 'Succeeded' || state === 'Failed' || state === 'Stopped') return 'ended';
  return current === 'Running' || state === 'Running' ? 'running' : 'waiting';
};

/**
 * What a group says of its run. The runner itself ends with 0 whatever its command did, so that anything else is about the
 * container.
 */
export const toObserved = async (group: ContainerGroup, readLog: () => Promise<string>): Promise<Observed> => {
  const state = toState(group);
  if (state === 'running') return { kind: 'alive' };
  const view = group.containers[0]?.instanceView;
  if (state === 'waiting') {
    const refusal = [...(view?.events ?? []), ...(group.instanceView?.events ?? [])].find(
      ({ name, message }) => (name === 'Failed' || name === 'BackOff') && /pull/i.test(message ?? ''),
    );
    if (refusal)
      return { kind: 'failed', detail: `The image cannot be pulled: ${plainMessage(refusal.message ?? '')}` };
    // It goes on trying, and billing, until the group is deleted.
    if (group.provisioningState === 'Failed') {
      return { kind: 'failed', detail: 'Azure could not provision the container group.' };
    }
    return { kind: 'alive' };
  }
  const { exitCode = 0, detailStatus = '' } = view?.currentState ?? {};
  const again = (view?.restartCount ?? 0) > 0 ? ' Azure had started it again, against its policy.' : '';
  if (detailStatus === 'OOMKilled' || exitCode === KILLED) {
    const detail = 'The container was ended for want of memory. Ask for more with memoryMiB.';
    return { kind: 'gone', detail, exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true, detail } };
  }
  if (exitCode === 0) {
    return { kind: 'gone', detail: `The container ended, and its runner did not say how the command did.${again}` };
  }
  const log = plain(await readLog());
  const said = log === '' ? '' : ` It last said: ${log}`;
  return {
    kind: 'gone',
    detail: `The container ended with status ${exitCode} before its runner could report.${again}${said}`,
  };
};

const plain = (text: string): string =>
  text
    .replace(/\p{C}+/gu, ' ')
    .trim()
    .slice(-MOST_LOG_CHARACTERS);
