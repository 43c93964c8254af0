import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import type { Clock } from '../../shared/domain/clock.ts';
import { azureContainerInstances } from '../../shared/providers/azure-container-instances/azure-container-instances.ts';
import {
  ContainerInstancesConfig,
  containerInstancesFeatures,
} from '../../shared/providers/azure-container-instances/config.ts';
import { groupNameOf } from '../../shared/providers/azure-container-instances/group.ts';
import type { HeldRun, Provider, Run } from '../../shared/providers/provider.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { type ContainerInstancesOptions, SUBSCRIPTION } from '../support/clouds/azure-container-instances/api.ts';
import { startContainerInstances } from '../support/clouds/azure-container-instances/container-instances-cloud.ts';
import type { CloudFault } from '../support/clouds/azure-container-instances/faults.ts';
import { openRemote } from '../support/remote.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { RUNNER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { providerContract } from './provider-contract.ts';

const RUNNER = { '/errand/bin/runner': [process.execPath, RUNNER_MAIN] };
const RESOURCE_GROUP = 'errand';
const CONFIG = {
  subscriptionId: SUBSCRIPTION,
  resourceGroup: RESOURCE_GROUP,
  location: 'westeurope',
  image: 'errand-base',
};
const INSTALLATION = 'errand-test';

interface Opened extends Partial<ContainerInstancesOptions> {
  readonly config?: object;
  readonly clock?: Clock;
}

const open = async ({ config = {}, clock = systemClock, ...options }: Opened = {}) => {
  const cloud = await startContainerInstances({
    folder: tempDirectory(),
    resourceGroup: RESOURCE_GROUP,
    programs: RUNNER,
    graceMs: 8_000,
    ...options,
  });
  const remote = await openRemote();
  const parsed = ContainerInstancesConfig.parse({ ...CONFIG, endpoint: cloud.endpoint, ...config });
  const context = { clock, random: systemRandom, log: silentLog, installation: INSTALLATION, runnerUrl: remote.url };
  const own = await azureContainerInstances(parsed, context);
  onTestFinished(async () => {
    await own.close();
    await cloud.close();
    await remote.close();
  });
  const groupOf = (run: Run) => {
    const group = cloud.groups.get(groupNameOf(INSTALLATION, run));
    if (!group) throw new Error('There is no such group');
    return group;
  };
  return { cloud, own, provider: remote.wrap(own), context, parsed, groupOf };
};

/** A container that is there and does nothing, until it is told to end. */
const WAITS = { '/errand/bin/runner': ['/bin/sleep', '1000'] };
const runs = (script: string) => ({ '/errand/bin/runner': ['/bin/sh', '-c', script] });
const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);
const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
};
const heldBy = async (provider: Provider): Promise<HeldRun[]> => {
  const held: HeldRun[] = [];
  for await (const run of provider.held?.() ?? []) held.push(run);
  return held;
};
/** The system's clock, whose waits are over at once. */
const hurried: Clock = { now: systemClock.now, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) };
/** Twenty times as fast. */
const fast: Clock = { now: () => Date.now() * 20, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) };

const features = containerInstancesFeatures(ContainerInstancesConfig.parse(CONFIG));
providerContract('azure-container-instances', features, async () => (await open()).provider);

describe('a start at azure-container-instances', () => {
  test('makes one group, named after the attempt and marked as ours, without anything of the command', async () => {
    const { cloud, provider, groupOf } = await open();
    const secret = 'canary-of-the-command';
    const run = sh(`echo ${secret}`, { env: { SECRET: secret }, cwd: '/tmp' });
    await provider.start(run, recordedIo());
    expect(cloud.bodies.join('\n')).not.toContain(secret);
    expect(cloud.requests.get('createOrUpdate')).toBe(1);
    expect(groupOf(run).request).toMatchObject({
      location: 'westeurope',
      tags: { 'errand-installation': INSTALLATION, 'errand-attempt': `default/${run.key}` },
      properties: { osType: 'Linux', restartPolicy: 'Never', sku: 'Standard' },
    });
    expect(groupOf(run).name).toBe(`${INSTALLATION}-${run.key.replaceAll('_', '-')}`);
    // The token can be used by the runner, and not be read by who may read the group.
    const [first, second] = groupOf(run).main.request.properties.environmentVariables ?? [];
    expect(first).toMatchObject({ name: 'ERRAND_RUNNER_URL', value: expect.stringContaining('http') });
    expect(second).toEqual({ name: 'ERRAND_RUNNER_TOKEN', secureValue: expect.any(String) });
    expect(JSON.stringify(groupOf(run).view(true))).not.toContain(second?.secureValue);
  });

  test('pitfall 13: has its output from the runner, not from Azure’s logs, of which little is kept and nothing after a delete', async () => {
    const { cloud, own, provider } = await open();
    const io = recordedIo();
    const run = sh('seq 100000');
    cloud.faults.next('logs', { kind: 'hang' });
    await provider.start(run, io);
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
    // What there was of them was never answered.
    expect(io.text('stdout').split('\n')).toHaveLength(100_001);
  });

  test('is accepted before the group is provisioned, after one look', async () => {
    const { own, cloud } = await open({ programs: WAITS, startMs: 60_000 });
    expect(await own.start(sh('true'), recordedIo())).toEqual({ kind: 'accepted' });
    expect(Object.fromEntries(cloud.requests)).toEqual({ get: 1, createOrUpdate: 1, operation: 1 });
  });

  test('pitfall 4: a second start of one attempt finds the first: a group that is there is never put again', async () => {
    const { own, cloud, groupOf } = await open({ programs: runs('exit 0') });
    const run = sh('true');
    await own.start(run, recordedIo());
    expect(await own.start(run, recordedIo())).toEqual({ kind: 'accepted' });
    await until(() => groupOf(run).isOver());
    // Azure would deploy one that has ended anew.
    expect(await own.start(run, recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.requests.get('createOrUpdate')).toBe(1);
    expect(groupOf(run).main.runs()).toBe(1);
  });

  test('of a name that is taken by another, nothing is touched', async () => {
    const { own, cloud, context, parsed } = await open({ programs: WAITS });
    const run = sh('true');
    const name = groupNameOf(INSTALLATION, run);
    const stranger = { location: 'westeurope', tags: { owner: 'someone' }, properties: properties() };
    await put(cloud.endpoint, name, stranger);
    await until(() => cloud.groups.get(name)?.state() === 'Running');
    expect(await own.start(run, recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable: false } });
    expect(await own.observe(run)).toMatchObject({ kind: 'gone' });
    await own.cancel(run);
    // One of another tenant with the same attempt is another's too.
    const other = await azureContainerInstances(parsed, context);
    await other.cancel({ ...run, tenant: 'other' as never });
    expect(cloud.groups.get(name)?.state()).toBe('Running');
    expect([cloud.requests.get('stop'), cloud.requests.get('delete')]).toEqual([undefined, undefined]);
  });

  test.for<[number, string, boolean, RegExp]>([
    [400, 'InvalidRequestContent', false, /takes no such/],
    [400, 'InaccessibleImage', false, /cannot get the image/],
    [401, 'AuthenticationFailed', false, /credentials/],
    [403, 'AuthorizationFailed', false, /role/],
    [404, 'ResourceGroupNotFound', false, /resource group/],
    [409, 'ContainerGroupTransitioning', true, /being changed/],
    [409, 'ContainerGroupQuotaReached', true, /quota/],
    [400, 'ContainerGroupQuotaReached', true, /quota/],
    [409, 'ServiceUnavailable', true, /no room/],
    [409, 'SomethingNew', true, /cannot do it now/],
    [429, 'TooManyRequests', true, /rate/],
    [418, 'SomethingNewer', false, /status 418/],
  ])('that is answered with %i %s was surely not made', async ([status, code, retryable, words]) => {
    const { own, cloud } = await open({ programs: WAITS });
    for (const operation of ['get', 'createOrUpdate']) {
      // A group that is not there is no fault of the first look.
      if (operation === 'get' && status === 404) continue;
      cloud.faults.next(operation, { kind: 'error', status, code });
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { retryable, detail: expect.stringMatching(words) },
      });
    }
    expect(cloud.groups.size).toBe(0);
  });

  test('pitfall 15: a throttled start is not tried again by the client, however long it is told to wait', async () => {
    const { own, cloud } = await open({ programs: WAITS });
    for (const [operation, retryAfterSeconds, told] of [
      ['createOrUpdate', 17, 17],
      ['createOrUpdate', 86_400, 3_600],
      ['get', 40, 40],
    ] as const) {
      cloud.faults.next(operation, { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds });
      const before = cloud.requests.get(operation) ?? 0;
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { retryable: true, retryAfterSeconds: told },
      });
      expect((cloud.requests.get(operation) ?? 0) - before).toBe(1);
    }
  });

  test.for<[string, CloudFault, number]>([
    ['createOrUpdate', { kind: 'reset' }, 0],
    ['createOrUpdate', { kind: 'answer-lost' }, 1],
    ['createOrUpdate', { kind: 'hang' }, 0],
    ['createOrUpdate', { kind: 'error', status: 500, code: 'InternalServerError' }, 0],
    ['createOrUpdate', { kind: 'error', status: 503, code: 'ServiceUnavailable', retryAfterSeconds: 3_600 }, 0],
    // The look at the operation comes after the group was made, and what it meets says nothing of that.
    ['operation', { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }, 1],
    ['operation', { kind: 'error', status: 403, code: 'AuthorizationFailed' }, 1],
    ['operation', { kind: 'reset' }, 1],
    ['operation', { kind: 'hang' }, 1],
  ])('whose outcome is not clear is accepted and put once: %s, %o', async ([operation, fault, groups]) => {
    const { own, cloud } = await open({ programs: WAITS, ...(fault.kind === 'hang' ? { clock: hurried } : {}) });
    const run = sh('true');
    cloud.faults.next(operation, fault);
    expect(await own.start(run, recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.requests.get('createOrUpdate')).toBe(1);
    expect(cloud.groups.size).toBe(groups);
    expect(await own.observe(run)).toMatchObject({ kind: groups === 1 ? 'alive' : 'gone' });
  });

  test('whose answer was lost runs, once', async () => {
    const { cloud, provider, groupOf } = await open();
    cloud.faults.next('createOrUpdate', { kind: 'answer-lost' });
    const io = recordedIo();
    const run = sh('echo ran');
    expect(await provider.start(run, io)).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    expect([io.text('stdout'), groupOf(run).main.runs()]).toEqual(['ran\n', 1]);
  });

  test('two starts of one attempt at one time make one group, and both are accepted', async () => {
    const { own, groupOf, cloud } = await open({ programs: WAITS });
    const run = sh('true');
    const outcomes = await Promise.all([own.start(run, recordedIo()), own.start(run, recordedIo())]);
    expect(outcomes).toEqual([{ kind: 'accepted' }, { kind: 'accepted' }]);
    expect(cloud.requests.get('createOrUpdate')).toBe(2);
    await until(() => groupOf(run).main.state() === 'Running');
    expect(groupOf(run).main.runs()).toBe(1);
  });

  test.for<CloudFault>([
    { kind: 'error', status: 503, code: 'ServiceUnavailable' },
    { kind: 'reset' },
    { kind: 'answer-lost' },
  ])('the look before it is made is taken again: %o', async (fault) => {
    const { own, cloud } = await open({ programs: WAITS });
    cloud.faults.next('get', fault);
    expect(await own.start(sh('true'), recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.groups.size).toBe(1);
  });

  test('when it cannot be looked, nothing is made', async () => {
    const { own, cloud } = await open({ programs: WAITS, clock: hurried });
    for (let n = 0; n < 4; n++) cloud.faults.next('get', { kind: 'hang' });
    expect(await own.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    expect(cloud.requests.get('createOrUpdate')).toBeUndefined();
  });

  test('keeps to Azure’s limits by itself, without asking', async () => {
    const { own, cloud } = await open({ programs: WAITS, config: { createsPer5Minutes: 2 } });
    for (let n = 0; n < 2; n++) await own.start(sh('true'), recordedIo());
    const outcome = await own.start(sh('true'), recordedIo());
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    const seconds = outcome.kind === 'rejected' ? outcome.fault.retryAfterSeconds : 0;
    expect(seconds).toBeGreaterThan(290);
    expect(seconds).toBeLessThanOrEqual(300);
    expect(cloud.requests.get('createOrUpdate')).toBe(2);
  });

  test('over the limits that others use up too, is told so by Azure', async () => {
    const { own } = await open({ programs: WAITS, createsPer5Minutes: 1 });
    await own.start(sh('true'), recordedIo());
    const outcome = await own.start(sh('true'), recordedIo());
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    expect(outcome.kind === 'rejected' && outcome.fault.retryAfterSeconds).toBeGreaterThan(290);
  });

  test.for<[Partial<Run>, string]>([
    [{ cpu: 0.5 }, '1 to 4 whole processors'],
    [{ cpu: 8 }, '1 to 4 whole processors'],
    [{ memoryMiB: 512 }, '1024 to 16384 MiB'],
    [{ memoryMiB: 16_385 }, '1024 to 16384 MiB'],
  ])('of a machine that Azure does not have is refused without a call: %o', async ([over, words]) => {
    const { own, cloud } = await open();
    const outcome = await own.start(sh('true', over), recordedIo());
    expect(outcome).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining(words) },
    });
    expect(cloud.requests.size).toBe(0);
  });

  test.for<[Partial<Run>, { cpu: number; memoryInGB: number }]>([
    [{}, { cpu: 1, memoryInGB: 1.5 }],
    [
      { cpu: 2, memoryMiB: 2_048 },
      { cpu: 2, memoryInGB: 2 },
    ],
    // In Azure's steps, and never less than what was asked for.
    [{ memoryMiB: 1_100 }, { cpu: 1, memoryInGB: 1.1 }],
    [{ memoryMiB: 1_537 }, { cpu: 1, memoryInGB: 1.6 }],
  ])('asks for the machine that was asked for: %o', async ([over, requests]) => {
    const { own, groupOf } = await open({ programs: WAITS, config: { memoryGiB: 1.5 } });
    const run = sh('true', over);
    await own.start(run, recordedIo());
    expect(groupOf(run).request.properties.containers[0]?.properties.resources).toEqual({ requests });
  });

  test('in subnets, when the target has them', async () => {
    const id = `/subscriptions/${SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s`;
    const { own, groupOf } = await open({ programs: WAITS, config: { subnetIds: [id] } });
    const run = sh('true');
    await own.start(run, recordedIo());
    expect(groupOf(run).request.properties.subnetIds).toEqual([{ id }]);
  });
});

/** A folder with what an image has at /errand. */
const runnerImage = (): string => {
  const root = tempDirectory();
  mkdirSync(join(root, 'errand/bin'), { recursive: true });
  const program = join(root, 'errand/bin/runner');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${RUNNER_MAIN}'\n`);
  chmodSync(program, 0o755);
  return root;
};

describe('how the runner comes into an image', () => {
  test('it is copied into an image that a command names, from an image of its own', async () => {
    const { provider, groupOf } = await open({
      config: { runnerImage: 'errand-runner' },
      programs: {},
      images: { 'errand-runner': runnerImage() },
    });
    const io = recordedIo();
    const run = sh('echo ran', { image: 'alpine:3' });
    expect(await provider.start(run, io)).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    expect(io.text('stdout')).toBe('ran\n');
    expect(groupOf(run).request.properties.initContainers?.[0]?.properties.image).toBe('errand-runner');
  });

  test.for<[string, object, Partial<Run>, string | undefined]>([
    ['is in the target’s own image', { runnerImage: 'errand-runner' }, {}, undefined],
    ['is not in it', { runnerImage: 'errand-runner', runner: 'init' }, {}, 'errand-runner'],
    ['has to be in every image', {}, { image: 'alpine:3' }, undefined],
  ])('it %s', async ([, config, over, image]) => {
    const { own, groupOf } = await open({ programs: WAITS, config });
    const run = sh('true', over);
    await own.start(run, recordedIo());
    expect(groupOf(run).request.properties.initContainers?.[0]?.properties.image).toBe(image);
  });

  test('a runnerImage without a runner fails the command in words', async () => {
    const { own, groupOf } = await open({ config: { runnerImage: 'empty' }, images: { empty: tempDirectory() } });
    const run = sh('true', { image: 'alpine:3' });
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject({ kind: 'failed', detail: expect.stringContaining('runnerImage') });
  });

  test('an image without a runner fails the command in words', async () => {
    const { own, groupOf } = await open({ programs: {} });
    const run = sh('true', { image: 'alpine:3' });
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject({ kind: 'failed', detail: expect.stringContaining('runnerImage') });
  });
});

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
    const { own, groupOf } = await open({ programs: runs(script) });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject(expected);
    expect(await own.observe(run)).not.toHaveProperty('exit');
  });

  test('without its log, the rest is told', async () => {
    const { own, cloud, groupOf } = await open({ programs: runs('exit 3') });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    cloud.faults.next('logs', { kind: 'error', status: 429, code: 'TooManyRequests' });
    expect(await own.observe(run)).toMatchObject({ kind: 'gone', detail: expect.stringContaining('status 3') });
  });

  test.for([0, 1])('want of memory is an end that is known, after %i restarts too', async (restartsFailed) => {
    const { own, groupOf } = await open({
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
    const { own, provider, cloud, groupOf } = await open({ restartsFailed: 1 });
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
    const { provider, groupOf } = await open({ restartsFailed: 5 });
    const run = sh('exit 9');
    expect(await provider.start(run, recordedIo())).toMatchObject({ kind: 'ended', exit: { exitCode: 9 } });
    await until(() => groupOf(run).isOver());
    expect([groupOf(run).state(), groupOf(run).main.runs()]).toEqual(['Succeeded', 1]);
  });

  test('an image that cannot be pulled fails the command, while Azure goes on trying', async () => {
    const { own, cloud, groupOf } = await open({ brokenImages: ['no-such-image'] });
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
    const { own } = await open({ inaccessibleImages: ['private'] });
    expect(await own.start(sh('true', { image: 'private' }), recordedIo())).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining('private') },
    });
  });

  test('a provisioning that has failed is not the end of it: Azure goes on, and so may the run', async () => {
    const { own, provider, groupOf } = await open({ startMs: 1_000, provisioningMs: 1 });
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

  test.for<CloudFault>([{ kind: 'error', status: 503, code: 'ServiceUnavailable' }, { kind: 'reset' }])(
    'a look that fails is taken again: %o',
    async (fault) => {
      const { own, cloud } = await open({ programs: WAITS });
      const run = sh('true');
      await own.start(run, recordedIo());
      cloud.faults.next('get', fault);
      cloud.faults.next('get', fault);
      expect(await own.observe(run)).toEqual({ kind: 'alive' });
      cloud.faults.next('get', { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 });
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
    const { own, provider, cloud, groupOf } = await open();
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
    const { own, cloud, groupOf } = await open({
      clock: fast,
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
    const { own, cloud, groupOf } = await open({ programs: runs('exit 0'), startMs: 300 });
    const [waiting, ended] = [sh('true'), sh('true')];
    await own.start(ended, recordedIo());
    await until(() => groupOf(ended).isOver());
    await own.start(waiting, recordedIo());
    for (const run of [waiting, ended]) await own.cancel(run);
    await until(() => cloud.groups.size === 0);
    expect(cloud.requests.get('stop')).toBeUndefined();
  });

  test.for<[string, CloudFault]>([
    ['stop', { kind: 'error', status: 404, code: 'ResourceNotFound' }],
    ['delete', { kind: 'error', status: 404, code: 'ResourceNotFound' }],
  ])('of one that goes away meanwhile is fine: %s, %o', async ([operation, fault]) => {
    const { own, cloud, groupOf } = await open({ programs: WAITS, clock: fast });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.state() === 'Running');
    cloud.faults.next(operation, fault);
    await expect(own.cancel(run)).resolves.toBeUndefined();
  });

  test.for<[string, CloudFault]>([
    ['get', { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }],
    ['stop', { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }],
    ['stop', { kind: 'reset' }],
    ['stop', { kind: 'answer-lost' }],
    ['stop', { kind: 'error', status: 500, code: 'InternalServerError' }],
    ['delete', { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 }],
    ['delete', { kind: 'error', status: 500, code: 'InternalServerError' }],
    ['delete', { kind: 'reset' }],
    ['delete', { kind: 'answer-lost' }],
  ])('that fails says so at once, and the next one does it: %s, %o', async ([operation, fault]) => {
    const { own, cloud, groupOf } = await open({ programs: WAITS });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.state() === 'Running');
    cloud.faults.next(operation, fault);
    await expect(own.cancel(run)).rejects.toThrow();
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
  });

  test.for<CloudFault>([
    { kind: 'error', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 },
    { kind: 'reset' },
  ])('whose deletion was taken is done, whatever the look at it meets: %o', async (fault) => {
    const { own, cloud } = await open({ programs: WAITS, startMs: 60_000 });
    const run = sh('true');
    await own.start(run, recordedIo());
    cloud.faults.next('operation', fault);
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
    expect(cloud.requests.get('operation')).toBe(2);
  });

  test('that is never answered is given up', async () => {
    const { own, cloud, groupOf } = await open({ programs: WAITS, clock: hurried });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => groupOf(run).main.state() === 'Running');
    cloud.faults.next('stop', { kind: 'hang' });
    await expect(own.cancel(run)).rejects.toThrow('aborted');
  });
});

describe('the search for what is left at azure-container-instances', () => {
  test('finds what carries its own mark, whole, and nothing else', async () => {
    const { cloud, own, context, parsed } = await open({ programs: WAITS, pageSize: 2 });
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
      await put(cloud.endpoint, name, {
        location: 'westeurope',
        ...(marks ? { tags: marks } : {}),
        properties: properties(),
      });
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

  test('finds a group that came after its start was given up', async () => {
    const { own, cloud } = await open({ programs: WAITS });
    cloud.faults.next('createOrUpdate', { kind: 'answer-lost' });
    const run = sh('true');
    await own.start(run, recordedIo());
    expect(await heldBy(own)).toMatchObject([{ key: run.key, tenant: run.tenant }]);
  });

  test.for<CloudFault>([
    { kind: 'error', status: 500, code: 'InternalServerError' },
    { kind: 'reset' },
    { kind: 'hang' },
  ])('that cannot be made says so: %o', async (fault) => {
    const { own, cloud } = await open({ clock: hurried });
    cloud.faults.next('list', fault);
    await expect(heldBy(own)).rejects.toThrow();
  });
});

describe('the health of azure-container-instances', () => {
  test.for<[CloudFault, RegExp]>([
    [{ kind: 'error', status: 403, code: 'AuthorizationFailed' }, /role/],
    [{ kind: 'error', status: 404, code: 'ResourceGroupNotFound' }, /resource group/],
    [{ kind: 'error', status: 503, code: 'ServiceUnavailable' }, /does not answer/],
    [{ kind: 'hang' }, /does not answer/],
  ])('is bad, and says why: %o', async ([fault, words]) => {
    const { own, cloud } = await open({ clock: hurried });
    expect(await own.health()).toEqual({ healthy: true });
    cloud.faults.next('get', fault);
    expect(await own.health()).toEqual({ healthy: false, detail: expect.stringMatching(words) });
  });

  test('costs one read', async () => {
    const { own, cloud } = await open();
    await own.health();
    expect(Object.fromEntries(cloud.requests)).toEqual({ get: 1 });
  });

  test('is bad where nothing listens', async () => {
    const { parsed, context } = await open();
    const away = await azureContainerInstances({ ...parsed, endpoint: 'http://127.0.0.1:9' }, context);
    expect(await away.health()).toEqual({ healthy: false, detail: expect.stringContaining('cannot be reached') });
    expect(await away.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
  });
});

describe('the config of azure-container-instances', () => {
  test.for<[string, object]>([
    ['an endpoint elsewhere', { endpoint: 'http://management.example' }],
    ['an endpoint over TLS, where a token would be shown', { endpoint: 'https://127.0.0.1:1' }],
    ['a subscription that is none', { subscriptionId: 'mine' }],
    ['a resource group with a slash', { resourceGroup: 'a/b' }],
    ['half a processor', { cpu: 0.5 }],
    ['memory between the steps', { memoryGiB: 1.25 }],
    ['a runner to be copied from nowhere', { runner: 'init' }],
    ['a subnet that is none', { subnetIds: ['my-subnet'] }],
    ['a key', { identity: { tenantId: SUBSCRIPTION, clientId: SUBSCRIPTION, clientSecret: 'no' } }],
    ['what it does not know', { regoin: 'x' }],
  ])('refuses %s', ([, over]) => {
    expect(ContainerInstancesConfig.safeParse({ ...CONFIG, ...over }).success).toBe(false);
  });
});

const properties = () => ({
  osType: 'Linux',
  containers: [
    {
      name: 'one',
      properties: {
        image: 'alpine',
        command: ['/bin/sleep', '1000'],
        resources: { requests: { cpu: 1, memoryInGB: 1 } },
      },
    },
  ],
});

/** As someone else does who may make groups there. */
const put = async (endpoint: string, name: string, body: object): Promise<void> => {
  const path = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${RESOURCE_GROUP}/providers/Microsoft.ContainerInstance/containerGroups/${name}`;
  const headers = { authorization: 'Bearer someone', 'content-type': 'application/json' };
  const url = `${endpoint}${path}?api-version=2023-05-01`;
  const { status } = await fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) });
  expect(status).toBe(201);
};
