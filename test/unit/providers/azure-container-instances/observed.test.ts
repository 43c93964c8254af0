import type { ContainerGroup, ContainerState, Event } from '@azure/arm-containerinstance';
import { describe, expect, test } from 'vitest';
import { isRunning, toObserved } from '../../../../shared/providers/azure-container-instances/observed.ts';
import { example } from '../../../support/clouds/azure-container-instances/examples.ts';

interface Seen {
  readonly current?: ContainerState;
  readonly previous?: ContainerState;
  readonly restartCount?: number;
  readonly events?: readonly Event[];
  readonly init?: { readonly current?: ContainerState; readonly events?: readonly Event[] };
  readonly state?: string;
  readonly groupEvents?: readonly Event[];
  readonly provisioningState?: string;
}

/** A group as the client gives it: only what Azure said is there. */
const aGroup = ({ current, previous, restartCount, events, init, state, groupEvents, provisioningState }: Seen) =>
  ({
    location: 'westeurope',
    osType: 'Linux',
    provisioningState,
    instanceView: { state, events: groupEvents },
    containers: [
      { name: 'runner', instanceView: { currentState: current, previousState: previous, restartCount, events } },
    ],
    initContainers: init
      ? [{ name: 'bring-runner', instanceView: { currentState: init.current, events: init.events } }]
      : [],
  }) as unknown as ContainerGroup;

const WAITING = { state: 'Waiting', detailStatus: '' };
const RUNNING = { state: 'Running' };
const ended = (exitCode?: number, detailStatus = ''): ContainerState => ({
  state: 'Terminated',
  detailStatus,
  ...(exitCode === undefined ? {} : { exitCode }),
});
const failedPull = { name: 'Failed', message: 'Failed to pull image "x": unauthorized' };
const backOff = { name: 'BackOff', message: 'Back-off pulling image "x"' };
const pulled = { name: 'Pulled', message: 'Successfully pulled image "x"' };
const crashLoop = { name: 'BackOff', message: 'Back-off restarting failed container' };

describe('what a group says of its run', () => {
  test.for<[string, Seen, object]>([
    ['nothing yet', {}, { kind: 'alive' }],
    ['waiting', { current: WAITING, state: 'Pending' }, { kind: 'alive' }],
    ['running', { current: RUNNING, state: 'Running' }, { kind: 'alive' }],
    // The group's state is told later than the container's.
    ['ended, while the group still runs', { current: ended(0), state: 'Running' }, { kind: 'gone' }],
    ['ended without a status', { current: ended() }, { kind: 'gone', detail: /status unknown/ }],
    ['provisioning failed', { current: WAITING, provisioningState: 'Failed', state: 'Pending' }, { kind: 'alive' }],
    ['stopped', { current: WAITING, state: 'Stopped' }, { kind: 'gone', detail: /is stopped\.$/ }],
    [
      'failed, and why',
      { state: 'Failed', groupEvents: [{ message: 'Node\nwas lost' }] },
      { kind: 'gone', detail: /is failed: Node was lost/ },
    ],
    [
      'no image',
      { current: WAITING, events: [failedPull, backOff] },
      { kind: 'failed', detail: /: Failed to pull.+unauthorized/ },
    ],
    [
      'no image, from its back-off',
      { current: WAITING, events: [backOff] },
      { kind: 'failed', detail: /Back-off pulling/ },
    ],
    ['no image of the runner', { current: WAITING, init: { events: [failedPull] } }, { kind: 'failed' }],
    ['pulled in the end', { current: WAITING, events: [failedPull, pulled] }, { kind: 'alive' }],
    [
      'started again',
      { current: WAITING, previous: ended(1), restartCount: 1, events: [pulled, crashLoop] },
      { kind: 'alive' },
    ],
    [
      'the runner was not copied',
      { current: WAITING, init: { current: ended(1) } },
      { kind: 'failed', detail: /status 1/ },
    ],
    ['the runner was copied', { current: WAITING, init: { current: ended(0) } }, { kind: 'alive' }],
    ['no runner in it', { current: ended(127) }, { kind: 'failed', detail: /runnerImage/ }],
    // It was there once, so that it was something else.
    ['no runner in it, at last', { current: ended(127), restartCount: 1, previous: ended(1) }, { kind: 'gone' }],
    [
      'out of memory',
      { current: ended(137, 'OOMKilled') },
      { kind: 'gone', exit: { outOfMemory: true, signal: 'SIGKILL' } },
    ],
    [
      'out of memory, before it was started again',
      { current: ended(0), previous: ended(137, 'OOMKilled'), restartCount: 1 },
      { kind: 'gone', exit: { outOfMemory: true } },
    ],
    ['killed', { current: ended(137, 'Error') }, { kind: 'gone', detail: /status 137/ }],
  ])('%s', async ([, seen, expected]) => {
    const { detail, ...rest } = expected as { detail?: RegExp };
    const observed = await toObserved(aGroup(seen), async () => '');
    expect(observed).toMatchObject(rest);
    if (detail) expect(observed).toMatchObject({ detail: expect.stringMatching(detail) });
    expect('exit' in observed).toBe('exit' in rest);
  });

  test('the log is read only when there is nobody else to ask, and cut', async () => {
    let reads = 0;
    const readLog = async () => {
      reads++;
      return `${'x'.repeat(10_000)}\u0000\u001b[31m the end`;
    };
    await toObserved(aGroup({ current: RUNNING }), readLog);
    await toObserved(aGroup({ current: ended(137, 'OOMKilled') }), readLog);
    expect(reads).toBe(0);
    const observed = await toObserved(aGroup({ current: ended(1) }), readLog);
    const detail = 'detail' in observed ? (observed.detail ?? '') : '';
    expect(detail).toMatch(/the end$/);
    expect(detail.length).toBeLessThan(450);
    expect(detail).not.toMatch(/\p{C}/u);
  });

  test('Microsoft’s example of a provisioning that failed is alive', async () => {
    const body = example('ContainerGroupsGet_Failed').responses['200']?.body as unknown;
    const { properties } = body as {
      properties: { provisioningState: string; instanceView: object; containers: { properties: object }[] };
    };
    const containers = properties.containers.map((one) => one.properties);
    const group = { ...properties, containers } as unknown as ContainerGroup;
    expect(group.provisioningState).toBe('Failed');
    expect(await toObserved(group, async () => '')).toEqual({ kind: 'alive' });
    expect(isRunning(group)).toBe(false);
  });
});
