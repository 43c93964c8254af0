import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { azureContainerInstances } from '../../shared/providers/azure-container-instances/azure-container-instances.ts';
import { groupNameOf } from '../../shared/providers/azure-container-instances/group.ts';
import type { Run } from '../../shared/providers/provider.ts';
import { SUBSCRIPTION } from '../support/clouds/azure-container-instances/api.ts';
import type { Operation } from '../support/clouds/azure-container-instances/arm.ts';
import {
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
import { recordedIo } from '../support/run-io.ts';
import { RUNNER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('a start at azure-container-instances', () => {
  test('makes one group, named after the attempt and marked as ours, without anything of the command', async () => {
    const { cloud, provider, groupOf } = await openContainerInstances();
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
    const { cloud, own, provider } = await openContainerInstances();
    const io = recordedIo();
    const run = sh('seq 100000');
    cloud.faults.next('logs', { kind: 'hang' });
    await provider.start(run, io);
    await own.cancel(run);
    await until(() => cloud.groups.size === 0);
    // What there was of them was never answered.
    expect(io.text('stdout').split('\n')).toHaveLength(100_001);
  });

  test('is accepted before the group is provisioned, by two requests', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS, startMs: 60_000 });
    cloud.faults.next('operation', { kind: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds: 3_600 });
    expect(await own.start(sh('true'), recordedIo())).toEqual({ kind: 'accepted' });
    // The client would look at the operation too, for which a role on the resource group may not be enough.
    expect(Object.fromEntries(cloud.requests)).toEqual({ get: 1, createOrUpdate: 1 });
  });

  test('pitfall 4: a second start of one attempt finds the first: a group that is there is never put again', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({ programs: runs('exit 0') });
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
    const { own, cloud, context, parsed } = await openContainerInstances({ programs: WAITS });
    const run = sh('true');
    const name = groupNameOf(INSTALLATION, run);
    await putAsSomeoneElse(cloud.endpoint, name, { owner: 'someone' });
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
    [403, 'QuotaExceeded', true, /quota/],
    [409, 'ServiceUnavailable', true, /no room/],
    [409, 'SomethingNew', true, /cannot do it now/],
    [429, 'TooManyRequests', true, /rate/],
    [418, 'SomethingNewer', false, /status 418/],
  ])('that is answered with %i %s was surely not made', async ([status, code, retryable, words]) => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS });
    for (const operation of ['get', 'createOrUpdate'] as const) {
      // A group that is not there is no fault of the first look.
      if (operation === 'get' && status === 404) continue;
      cloud.faults.next(operation, { kind: 'status', status, code });
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { retryable, detail: expect.stringMatching(words) },
      });
    }
    expect(cloud.groups.size).toBe(0);
  });

  test('pitfall 15: a throttled start is not tried again by the client, however long it is told to wait', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS });
    for (const [operation, retryAfterSeconds, told] of [
      ['createOrUpdate', 17, 17],
      ['createOrUpdate', 86_400, 3_600],
      ['get', 40, 40],
    ] as const) {
      cloud.faults.next(operation, { kind: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds });
      const before = cloud.requests.get(operation) ?? 0;
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { retryable: true, retryAfterSeconds: told },
      });
      expect((cloud.requests.get(operation) ?? 0) - before).toBe(1);
    }
  });

  test.for<[Operation, HttpFault, number]>([
    ['createOrUpdate', { kind: 'reset' }, 0],
    ['createOrUpdate', { kind: 'answer-lost' }, 1],
    ['createOrUpdate', { kind: 'hang' }, 0],
    ['createOrUpdate', { kind: 'status', status: 500, code: 'InternalServerError' }, 0],
    ['createOrUpdate', { kind: 'status', status: 503, code: 'ServiceUnavailable', retryAfterSeconds: 3_600 }, 0],
  ])('whose outcome is not clear is accepted and put once: %s, %o', async ([operation, fault, groups]) => {
    const { own, cloud } = await openContainerInstances({
      programs: WAITS,
      ...(fault.kind === 'hang' ? { clock: hurried } : {}),
    });
    const run = sh('true');
    cloud.faults.next(operation, fault);
    expect(await own.start(run, recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.requests.get('createOrUpdate')).toBe(1);
    expect(cloud.groups.size).toBe(groups);
    expect(await own.observe(run)).toMatchObject({ kind: groups === 1 ? 'alive' : 'gone' });
  });

  test('whose answer was lost runs, once', async () => {
    const { cloud, provider, groupOf } = await openContainerInstances();
    cloud.faults.next('createOrUpdate', { kind: 'answer-lost' });
    const io = recordedIo();
    const run = sh('echo ran');
    expect(await provider.start(run, io)).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    expect([io.text('stdout'), groupOf(run).main.runs()]).toEqual(['ran\n', 1]);
  });

  test('two starts of one attempt at one time make one group, and both are accepted', async () => {
    const { own, groupOf, cloud } = await openContainerInstances({ programs: WAITS });
    const run = sh('true');
    const outcomes = await Promise.all([own.start(run, recordedIo()), own.start(run, recordedIo())]);
    expect(outcomes).toEqual([{ kind: 'accepted' }, { kind: 'accepted' }]);
    expect(cloud.requests.get('createOrUpdate')).toBe(2);
    await until(() => groupOf(run).main.state() === 'Running');
    expect(groupOf(run).main.runs()).toBe(1);
  });

  test.for<HttpFault>([
    { kind: 'status', status: 503, code: 'ServiceUnavailable' },
    { kind: 'reset' },
    { kind: 'answer-lost' },
  ])('the look before it is made is taken again: %o', async (fault) => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS });
    cloud.faults.next('get', fault);
    expect(await own.start(sh('true'), recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.groups.size).toBe(1);
  });

  test('when it cannot be looked, nothing is made', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS, clock: hurried });
    cloud.faults.next('get', ...Array<HttpFault>(4).fill({ kind: 'hang' }));
    expect(await own.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    expect(cloud.requests.get('createOrUpdate')).toBeUndefined();
  });

  test('keeps to Azure’s limits by itself, without asking', async () => {
    const { own, cloud } = await openContainerInstances({ programs: WAITS, config: { createsPer5Minutes: 2 } });
    for (let n = 0; n < 2; n++) await own.start(sh('true'), recordedIo());
    const outcome = await own.start(sh('true'), recordedIo());
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    const seconds = outcome.kind === 'rejected' ? outcome.fault.retryAfterSeconds : 0;
    expect(seconds).toBeGreaterThan(290);
    expect(seconds).toBeLessThanOrEqual(300);
    expect(cloud.requests.get('createOrUpdate')).toBe(2);
  });

  test('over the limits that others use up too, is told so by Azure', async () => {
    const { own } = await openContainerInstances({ programs: WAITS, createsPer5Minutes: 1 });
    await own.start(sh('true'), recordedIo());
    const outcome = await own.start(sh('true'), recordedIo());
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    expect(outcome.kind === 'rejected' && outcome.fault.retryAfterSeconds).toBeGreaterThan(290);
  });

  test.for<[Partial<Run>, string]>([
    [{ cpu: 0.5 }, '1 to 31 whole processors'],
    [{ cpu: 32 }, '1 to 31 whole processors'],
    [{ memoryMiB: 512 }, '1024 to 245760 MiB'],
    [{ memoryMiB: 245_761 }, '1024 to 245760 MiB'],
  ])('of a machine that Azure has nowhere is refused without a call: %o', async ([over, words]) => {
    const { own, cloud } = await openContainerInstances();
    const outcome = await own.start(sh('true', over), recordedIo());
    expect(outcome).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining(words) },
    });
    expect(cloud.requests.size).toBe(0);
  });

  test('of a machine that the region does not have is refused in Azure’s words', async () => {
    const { own, cloud } = await openContainerInstances();
    expect(await own.start(sh('true', { cpu: 8 }), recordedIo())).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining('more than 4 CPUs') },
    });
    expect(cloud.groups.size).toBe(0);
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
    const { own, groupOf } = await openContainerInstances({ programs: WAITS, config: { memoryGiB: 1.5 } });
    const run = sh('true', over);
    await own.start(run, recordedIo());
    expect(groupOf(run).request.properties.containers[0]?.properties.resources).toEqual({ requests });
  });

  test('in subnets, when the target has them', async () => {
    const id = `/subscriptions/${SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s`;
    const { own, groupOf } = await openContainerInstances({ programs: WAITS, config: { subnetIds: [id] } });
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
    const { provider, groupOf } = await openContainerInstances({
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
    const { own, groupOf } = await openContainerInstances({ programs: WAITS, config });
    const run = sh('true', over);
    await own.start(run, recordedIo());
    expect(groupOf(run).request.properties.initContainers?.[0]?.properties.image).toBe(image);
  });

  test('a runnerImage without a runner fails the command in words', async () => {
    const { own, groupOf } = await openContainerInstances({
      config: { runnerImage: 'empty' },
      images: { empty: tempDirectory() },
    });
    const run = sh('true', { image: 'alpine:3' });
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject({ kind: 'failed', detail: expect.stringContaining('runnerImage') });
  });

  test('an image without a runner fails the command in words', async () => {
    const { own, groupOf } = await openContainerInstances({ programs: {} });
    const run = sh('true', { image: 'alpine:3' });
    await own.start(run, recordedIo());
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject({ kind: 'failed', detail: expect.stringContaining('runnerImage') });
  });
});
