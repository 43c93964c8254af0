import { describe, expect, test } from 'vitest';
import { azureContainerInstances } from '../../shared/providers/azure-container-instances/azure-container-instances.ts';
import { groupNameOf } from '../../shared/providers/azure-container-instances/group.ts';
import type { Run } from '../../shared/providers/provider.ts';
import type { Operation } from '../support/clouds/azure-container-instances/arm.ts';
import {
  heldBy,
  hurried,
  INSTALLATION,
  openContainerInstances,
  putAsSomeoneElse,
  runs,
  sh,
  until,
  WAITS,
} from '../support/clouds/azure-container-instances/open-container-instances.ts';
import type { HttpFault } from '../support/clouds/faults.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { recordedIo } from '../support/run-io.ts';

describe('what azure-container-instances says of a run', () => {
  test.for<[string, string, object]>([
    ['exits', 'exit 3', { kind: 'gone', detail: expect.stringContaining('status 3') }],
    ['is killed', 'kill -SEGV $$', { kind: 'gone', detail: expect.stringContaining('status 139') }],
    ['ends without a word', 'exit 0', { kind: 'gone', detail: expect.stringContaining('did not say') }],
    [
      'says why',
      'for n in $(seq 100); do echo line $n; done; printf "the \\033[1mend\\000\\n" >&2',
      { kind: 'gone', detail: expect.stringMatching(/Its log ends with: [^\p{C}]{1,290}the \[1mend$/u) },
    ],
  ])('a runner that %s is told from one that reported', async ([, script, expected]) => {
    const { own, groupOf } = await openContainerInstances({ programs: runs(script) });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject(expected);
    expect(await own.observe(run)).not.toHaveProperty('exit');
  });

  test('without its log, the rest is told', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: runs('exit 3') });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    cloud.faults.next('logs', { kind: 'status', status: 429, code: 'TooManyRequests' });
    expect(await own.observe(run)).toMatchObject({ kind: 'gone', detail: expect.stringContaining('status 3') });
  });

  test.for([0, 1])('want of memory is an end that is known, after %i restarts too', async (restartsFailed) => {
    const { own, groupOf } = await openContainerInstances({
      programs: runs('[ -e ../ran ] || { touch ../ran; echo ready; sleep 1000; }'),
      restartsFailed,
    });
    const run = sh('true');
    await own.start(run, recordedIo());
    // Not Running alone: its program may not have come that far.
    await until(() => groupOf(run).main.log().includes('ready'));
    groupOf(run).main.crash({ outOfMemory: true });
    await until(() => groupOf(run).isOver());
    expect(groupOf(run).main.runs()).toBe(1 + restartsFailed);
    expect(await own.observe(run)).toMatchObject({
      kind: 'gone',
      exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true },
    });
  });

  test('a container that Azure starts again although it must not is told so, and runs the command once', async () => {
    const { own, provider, cloud, groupOf } = await openContainerInstances({ restartsFailed: 1 });
    const io = recordedIo();
    const run = sh('echo ran; sleep 1000');
    const running = provider.start(run, io);
    await io.seen('stdout', 'ran');
    // The machine takes the runner's container away, and the command with it.
    groupOf(run).main.crash();
    expect(await running).toMatchObject({
      kind: 'lost',
      detail: expect.stringMatching(/again 1 times, after status 137/),
    });
    expect(groupOf(run).main.runs()).toBe(2);
    expect(io.text('stdout')).toBe('ran\n');
    expect(cloud.requests.get('createOrUpdate')).toBe(1);
    expect(await own.observe(run)).toMatchObject({ kind: 'gone' });
  });

  test('pitfall 2: a command that fails does not fail its container, which would be started again', async () => {
    const { provider, groupOf } = await openContainerInstances({ restartsFailed: 5 });
    const run = sh('exit 9');
    expect(await provider.start(run, recordedIo())).toMatchObject({ kind: 'ended', exit: { exitCode: 9 } });
    await until(() => groupOf(run).isOver());
    // 143: its end was reported, and the group was released before the runner had gone by itself.
    expect([0, 143]).toContain(groupOf(run).main.exitCode());
    expect(groupOf(run).main.runs()).toBe(1);
  });

  test('an image that cannot be pulled fails the command, while Azure goes on trying', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({ brokenImages: ['no-such-image'] });
    const run = sh('true', { image: 'no-such-image' });
    await own.start(run, recordedIo());
    await until(async () => (await own.observe(run)).kind !== 'alive');
    expect(await own.observe(run)).toEqual({
      kind: 'failed',
      detail: expect.stringMatching(/cannot get the image: Failed to pull image "no-such-image"/),
    });
    expect(groupOf(run).state()).toBe('Pending');
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
  });

  test('an image that Azure refuses at once fails the start, for good', async () => {
    const { own } = await openContainerInstances({ inaccessibleImages: ['private'] });
    expect(await own.start(sh('true', { image: 'private' }), recordedIo())).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining('private') },
    });
  });

  test('a provisioning that has failed is not the end of it: Azure goes on, and so may the run', async () => {
    const { own, provider, groupOf } = await openContainerInstances({ startMs: 1_000, provisioningMs: 1 });
    const run = sh('echo ran');
    const io = recordedIo();
    const running = provider.start(run, io);
    const seen = new Set<unknown>();
    const isFailed = () =>
      (groupOf(run).view(true)['properties'] as { provisioningState: string }).provisioningState === 'Failed';
    await until(async () => groupsAre(groupOf, run) && isFailed());
    seen.add((await own.observe(run)).kind);
    expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    expect([...seen]).toEqual(['alive']);
  });

  test.for<HttpFault>([{ kind: 'status', status: 503, code: 'ServiceUnavailable' }, { kind: 'reset' }])(
    'a look that fails is taken again: %o',
    async (fault) => {
      const { own, cloud } = await openContainerInstances({ programs: WAITS });
      const run = sh('true');
      await own.start(run, recordedIo());
      cloud.faults.next('get', fault);
      cloud.faults.next('get', fault);
      expect(await own.observe(run)).toEqual({ kind: 'alive' });
      cloud.faults.next('get', { kind: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 });
      await expect(own.observe(run)).rejects.toMatchObject({ statusCode: 429 });
    },
  );
});

/** Whether it is there already. */
const groupsAre = (groupOf: (run: Run) => unknown, run: Run): boolean => {
  try {
    return groupOf(run) !== undefined;
  } catch {
    return false;
  }
};

describe('a cancel at azure-container-instances', () => {
  test('lets the runner end its command and report, and leaves nothing', async () => {
    const { own, provider, cloud, groupOf } = await openContainerInstances();
    const io = recordedIo();
    const run = sh("trap 'echo cleaned up; exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    const running = provider.start(run, io);
    await io.seen('stdout', 'ready');
    const group = groupOf(run);
    await own.cancel(run);
    expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: 5 } });
    expect(io.text('stdout')).toContain('cleaned up');
    expect(group.isOver()).toBe(true);
    expect(cloud.groups.size).toBe(0);
    expect(await own.observe(run)).toMatchObject({ kind: 'gone' });
    expect(await heldBy(own)).toEqual([]);
  });

  test('of one that does not end leaves it alive for the next cancel', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({
      clock: fasterClock(20),
      programs: runs("trap '' TERM; echo ready; sleep 1000"),
      graceMs: 1_500,
    });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.log().includes('ready'));
    await own.cancel(run);
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
    expect(cloud.requests.get('delete')).toBeUndefined();
    await until(() => groupOf(run).isOver());
    await own.cancel(run);
    expect(cloud.groups.size).toBe(0);
  });

  test('of one that has not started, or has ended, deletes it at once', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: runs('exit 0'), startMs: 300 });
    const [waiting, ended] = [sh('true'), sh('true')];
    await own.start(ended, recordedIo());
    await until(() => groupOf(ended).isOver());
    await own.start(waiting, recordedIo());
    for (const run of [waiting, ended]) await own.cancel(run);
    await until(() => cloud.groups.size === 0);
    expect(cloud.requests.get('stop')).toBeUndefined();
  });

  test.for<[Operation, HttpFault]>([
    ['stop', { kind: 'status', status: 404, code: 'ResourceNotFound' }],
    ['delete', { kind: 'status', status: 404, code: 'ResourceNotFound' }],
  ])('of one that goes away meanwhile is fine: %s, %o', async ([operation, fault]) => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: WAITS, clock: fasterClock(20) });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.state() === 'Running');
    cloud.faults.next(operation, fault);
    await expect(own.cancel(run)).resolves.toBeUndefined();
  });

  test.for<[Operation, HttpFault]>([
    ['get', { kind: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }],
    ['stop', { kind: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }],
    ['stop', { kind: 'reset' }],
    ['stop', { kind: 'answer-lost' }],
    ['stop', { kind: 'status', status: 500, code: 'InternalServerError' }],
    ['delete', { kind: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }],
    ['delete', { kind: 'status', status: 500, code: 'InternalServerError' }],
    ['delete', { kind: 'reset' }],
    ['delete', { kind: 'answer-lost' }],
  ])('that fails says so at once, and the next one does it: %s, %o', async ([operation, fault]) => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: WAITS });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.state() === 'Running');
    cloud.faults.next(operation, fault);
    await expect(own.cancel(run)).rejects.toThrow();
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
  });

  test('of one that has ended costs three requests, with the look that it is gone', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: runs('exit 0') });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    await own.cancel(run);
    expect(await own.observe(run)).toMatchObject({ kind: 'gone' });
    // The first two were the start’s.
    expect(Object.fromEntries(cloud.requests)).toEqual({ get: 1 + 2, createOrUpdate: 1, delete: 1 });
  });

  test('is over once the deletion is taken: nothing is asked of its operation', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS, startMs: 60_000 });
    const run = sh('true');
    await own.start(run, recordedIo());
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
    expect(Object.fromEntries(cloud.requests)).toEqual({ get: 2, createOrUpdate: 1, delete: 1 });
  });

  test('of one whose runner has reported and goes by itself deletes it in the same call', async () => {
    // As the engine releases a run: its end is told before its container has ended.
    const { own, cloud, groupOf } = await openContainerInstances({
      programs: runs("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"),
    });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.log().includes('ready'));
    await own.cancel(run);
    expect(await own.observe(run)).toMatchObject({ kind: 'gone' });
    expect(cloud.groups.size).toBe(0);
  });

  test('that is never answered is given up', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: WAITS, clock: hurried });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.state() === 'Running');
    cloud.faults.next('stop', { kind: 'hang' });
    await expect(own.cancel(run)).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('the search for what is left at azure-container-instances', () => {
  test('finds what carries its own mark, whole, and nothing else', async () => {
    const { cloud, own, context, parsed } = await openContainerInstances({ programs: WAITS, pageSize: 2 });
    const stranger = await azureContainerInstances(parsed, { ...context, installation: 'another' });
    const mine = [sh('true'), sh('true'), sh('true')];
    for (const run of mine) await own.start(run, recordedIo());
    await stranger.start(sh('true'), recordedIo());
    const [first] = mine;
    const tags = { 'errand-installation': INSTALLATION, 'errand-created': 'not a time' };
    for (const [name, marks] of Object.entries({
      // By its name it could be ours.
      [`${groupNameOf(INSTALLATION, sh('true'))}`]: undefined,
      'no-attempt': tags,
      'not-an-attempt': { ...tags, 'errand-attempt': 'default/drop-table' },
      'not-a-tenant': { ...tags, 'errand-attempt': `NO TENANT/${first?.key}` },
    })) {
      await putAsSomeoneElse(cloud.endpoint, name, marks);
    }
    const held = await heldBy(own);
    expect(held.map(({ key }) => key).toSorted()).toEqual(mine.map(({ key }) => key).toSorted());
    expect(held[0]?.createdAt).toBeGreaterThan(Date.now() - 60_000);
    expect(held[0]?.createdAt).toBeLessThanOrEqual(Date.now());
    // Of 8 groups two on a page.
    expect(cloud.requests.get('list')).toBe(4);
    await until(() => [...cloud.groups.values()].every((group) => group.state() === 'Running'));
    for (const run of held) await own.cancel(run);
    await until(() => cloud.groups.size === 5);
    await stranger.close();
  });

  test('ends after 50 pages, however many there are', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS, pageSize: 1, startMs: 60_000 });
    for (let n = 0; n < 52; n++) await own.start(sh('true'), recordedIo());
    expect(await heldBy(own)).toHaveLength(50);
    expect(cloud.requests.get('list')).toBe(50);
  });

  test('finds a group that came after its start was given up', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS });
    cloud.faults.next('createOrUpdate', { kind: 'answer-lost' });
    const run = sh('true');
    await own.start(run, recordedIo());
    expect(await heldBy(own)).toMatchObject([{ key: run.key, tenant: run.tenant }]);
  });

  test.for<HttpFault>([
    { kind: 'status', status: 500, code: 'InternalServerError' },
    { kind: 'reset' },
    { kind: 'hang' },
  ])('that cannot be made says so: %o', async (fault) => {
    const { own, cloud } = await openContainerInstances({ clock: hurried });
    cloud.faults.next('list', fault);
    await expect(heldBy(own)).rejects.toThrow();
  });
});
