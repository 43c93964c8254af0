import { readFileSync } from 'node:fs';
import type { ContainerGroup } from '@azure/arm-containerinstance';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { makeClient } from '../../shared/providers/azure-container-instances/client.ts';
import { ContainerInstancesConfig } from '../../shared/providers/azure-container-instances/config.ts';
import { toGroup, toShape } from '../../shared/providers/azure-container-instances/group.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { type ContainerInstancesOptions, SUBSCRIPTION } from '../support/clouds/azure-container-instances/api.ts';
import { startContainerInstances } from '../support/clouds/azure-container-instances/container-instances-cloud.ts';
import { example, strangeIn } from '../support/clouds/azure-container-instances/examples.ts';
import { GroupRequest } from '../support/clouds/azure-container-instances/request-schema.ts';
import { processesWith } from '../support/processes.ts';
import { aRun } from '../support/run-io.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const RESOURCE_GROUP = 'errand';
const CONFIG = {
  subscriptionId: SUBSCRIPTION,
  resourceGroup: RESOURCE_GROUP,
  location: 'westeurope',
  image: 'errand-base',
};
const GROUPS = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${RESOURCE_GROUP}/providers/Microsoft.ContainerInstance/containerGroups`;
const VERSION = 'api-version=2023-05-01';

const shortly = () => new Promise((resolve) => setTimeout(resolve, 10));

/** The cloud, its real client, and requests without it. */
const open = async (options: Partial<ContainerInstancesOptions> = {}) => {
  const cloud = await startContainerInstances({
    folder: tempDirectory(),
    resourceGroup: RESOURCE_GROUP,
    graceMs: 5_000,
    ...options,
  });
  onTestFinished(() => cloud.close());
  const config = ContainerInstancesConfig.parse({ ...CONFIG, endpoint: cloud.endpoint });
  const context = {
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    installation: 'errand-test',
    runnerUrl: 'https://runner.example',
  };
  const client = await makeClient(config, context);
  const { containerGroups, containers } = client;
  const rg = RESOURCE_GROUP;
  const raw = async (method: string, path: string, body?: unknown, headers: object = { authorization: 'Bearer x' }) => {
    const init = { method, headers: { ...headers, 'content-type': 'application/json' } };
    const response = await fetch(
      `${cloud.endpoint}${path}`,
      body === undefined ? init : { ...init, body: JSON.stringify(body) },
    );
    const said = await response.text();
    return { status: response.status, headers: response.headers, body: said === '' ? undefined : JSON.parse(said) };
  };
  return {
    cloud,
    client,
    raw,
    config,
    context,
    /** Resolves once it is no longer pending. */
    make: async (name: string, group: ContainerGroup) => {
      await containerGroups.beginCreateOrUpdate(rg, name, group);
      while (cloud.groups.get(name)?.state() === 'Pending') await shortly();
    },
    get: (name: string) => containerGroups.get(rg, name),
    logs: async (name: string, options = {}) => (await containers.listLogs(rg, name, 'one', options)).content ?? '',
    untilState: async (name: string, state: string): Promise<ContainerGroup> => {
      for (;;) {
        const group = await containerGroups.get(rg, name);
        if (group.instanceView?.state === state) return group;
        await shortly();
      }
    },
  };
};

const aGroup = (script: string, over: Partial<ContainerGroup> = {}): ContainerGroup => ({
  location: 'westeurope',
  osType: 'Linux',
  restartPolicy: 'Never',
  containers: [
    {
      name: 'one',
      image: 'alpine',
      command: ['/bin/sh', '-c', script],
      environmentVariables: [
        { name: 'PLAIN', value: 'plain' },
        { name: 'SECRET', secureValue: 'secret' },
      ],
      resources: { requests: { cpu: 1, memoryInGB: 1.5 } },
    },
  ],
  ...over,
});

const main = ({ containers }: ContainerGroup) => containers[0]?.instanceView;

const EXAMPLES = [
  'ContainerGroupsCreatePriority',
  'ContainerGroupsGet_Succeeded',
  'ContainerGroupsGet_Failed',
  'ContainerGroupsDelete',
].flatMap((name) => Object.values(example(name).responses).flatMap(({ body }) => body ?? []));

describe('the local Container Instances, by its real client', () => {
  test('runs a group to its end, and tells it', async () => {
    const { client, untilState, logs } = await open();
    const group0 = aGroup('echo "$PLAIN $SECRET"; exit 3');
    await client.containerGroups.beginCreateOrUpdateAndWait(RESOURCE_GROUP, 'g', group0);
    const group = await untilState('g', 'Failed');
    expect(main(group)).toMatchObject({
      restartCount: 0,
      currentState: { state: 'Terminated', exitCode: 3, detailStatus: 'Error', startTime: expect.any(Date) },
    });
    expect(main(group)?.events?.map(({ name }) => name)).toEqual(['Pulling', 'Pulled', 'Started']);
    expect(group.provisioningState).toBe('Succeeded');
    expect(await logs('g')).toBe('plain secret\n');
  });

  test('answers as Microsoft’s examples do', async () => {
    const { client, make, raw, untilState } = await open({ restartsFailed: 1 });
    const volumes = [{ name: 'shared', emptyDir: {} }];
    const initContainers = [
      { name: 'first', image: 'alpine', command: ['/bin/true'], volumeMounts: [{ name: 'shared', mountPath: '/s' }] },
    ];
    await make('g', aGroup('exit 1', { tags: { owner: 'me' }, volumes, initContainers, subnetIds: [{ id: '/s' }] }));
    await untilState('g', 'Failed');
    const got = await raw('GET', `${GROUPS}/g?${VERSION}`);
    expect(strangeIn(got.body, EXAMPLES)).toEqual([]);
    const lists = Object.values(example('ContainerGroupsListByResourceGroup').responses).map(({ body }) => body);
    const list = await raw('GET', `${GROUPS}?${VERSION}`);
    expect(strangeIn(list.body, [...lists, ...EXAMPLES])).toEqual([]);
    expect(JSON.stringify(list.body)).not.toContain('instanceView');
    const logs = await raw('GET', `${GROUPS}/g/containers/one/logs?${VERSION}`);
    expect(strangeIn(logs.body, [example('ContainerListLogs').responses['200']?.body])).toEqual([]);
    const put = await raw(
      'PUT',
      `${GROUPS}/new?${VERSION}`,
      (example('ContainerGroupsCreatePriority').parameters as { containerGroup: { properties: object } })
        .containerGroup,
    );
    // Groups that are cheaper and less sure are not among what the local server has.
    expect([put.status, put.body.error.message]).toEqual([400, expect.stringContaining('priority')]);
    await client.containerGroups.beginDeleteAndWait(RESOURCE_GROUP, 'g', { updateIntervalInMs: 10 });
    expect(await raw('GET', `${GROUPS}/g?${VERSION}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'ResourceNotFound' } },
    });
  });

  test.for<[string, string, string, readonly number[]]>([
    ['ContainerGroupsDelete', 'DELETE', '', [200, 202, 204]],
    ['ContainerGroupsStop', 'POST', '/stop', [204]],
    ['ContainerGroupsStart', 'POST', '/start', [202, 204]],
  ])('answers with the statuses and headers of %s', async ([name, method, path, statuses]) => {
    const { raw, make, untilState } = await open();
    await make('ended', aGroup('exit 0'));
    await untilState('ended', 'Succeeded');
    await make('running', aGroup('exec sleep 1000'));
    const answers = [];
    for (const group of ['ended', 'running', ...(method === 'DELETE' ? ['not-there'] : [])]) {
      answers.push(await raw(method, `${GROUPS}/${group}${path}?${VERSION}`));
    }
    const { responses } = example(name);
    expect(Object.keys(responses).map(Number)).toEqual(statuses);
    for (const { status, headers, body } of answers) {
      expect(statuses).toContain(status);
      if (status === 202) expect(headers.get('azure-asyncoperation')).toMatch(/\/operations\/.+\?api-version=/);
      expect(body !== undefined).toBe(responses[status]?.body !== undefined);
    }
  });

  test('takes what the adapter makes, in the shape of the example', async () => {
    const { config, context } = await open();
    const run = aRun(['true'], { image: 'alpine' });
    const withRunner = { ...config, runnerImage: 'errand-runner' };
    const shape = toShape(withRunner, run);
    if ('fault' in shape) throw new Error(shape.fault);
    const { location, tags, containers, initContainers, ...properties } = toGroup(withRunner, context, run, shape);
    const onTheWire = <T extends { name: string }>({ name, ...rest }: T) => ({ name, properties: rest });
    const body = {
      location,
      tags,
      properties: {
        ...properties,
        containers: containers.map(onTheWire),
        initContainers: initContainers?.map(onTheWire),
      },
    };
    expect(GroupRequest.safeParse(JSON.parse(JSON.stringify(body))).error).toBeUndefined();
  });

  test('a value that is secure can be used, and not be read', async () => {
    const { make, get, raw } = await open();
    await make('g', aGroup('exit 0'));
    expect((await get('g')).containers[0]?.environmentVariables).toEqual([
      { name: 'PLAIN', value: 'plain' },
      { name: 'SECRET' },
    ]);
    for (const path of [`${GROUPS}/g`, GROUPS]) {
      expect(JSON.stringify((await raw('GET', `${path}?${VERSION}`)).body)).not.toContain('secret');
    }
  });

  test('init containers run first, and share a volume with what comes after', async () => {
    const { make, untilState, logs } = await open();
    const mount = { name: 'shared', mountPath: '/shared' };
    const init = {
      name: 'first',
      image: 'alpine',
      command: ['/bin/cp', '/etc/hostname', '/shared/copied'],
      volumeMounts: [mount],
    };
    const one = { ...aGroup('').containers[0], command: ['/bin/ls', '/shared/copied'], volumeMounts: [mount] };
    await make(
      'g',
      aGroup('', { containers: [one as never], initContainers: [init], volumes: [{ name: 'shared', emptyDir: {} }] }),
    );
    await untilState('g', 'Succeeded');
    expect(await logs('g')).toContain('copied');
  });

  test('an init container that fails is the end of its group', async () => {
    const { make, untilState, cloud } = await open();
    const initContainers = [{ name: 'first', image: 'alpine', command: ['/bin/false'] }];
    const making = make('g', aGroup('echo ran', { initContainers }));
    const group = await making.then(() => untilState('g', 'Failed'));
    expect(group.initContainers?.[0]?.instanceView?.currentState).toMatchObject({ state: 'Terminated', exitCode: 1 });
    expect(cloud.groups.get('g')?.main.runs()).toBe(0);
  });

  test('a stop tells the container to end, waits, and kills it; what is left says Stopped', async () => {
    const { make, client, untilState, cloud } = await open({ graceMs: 300 });
    await make('polite', aGroup("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"));
    await make('deaf', aGroup("trap '' TERM; echo ready; while :; do sleep 0.02; done"));
    await untilState('deaf', 'Running');
    for (const name of ['polite', 'deaf']) {
      while (!cloud.groups.get(name)?.main.log().includes('ready')) await shortly();
    }
    for (const name of ['polite', 'deaf']) await client.containerGroups.stop(RESOURCE_GROUP, name);
    expect(main(await untilState('polite', 'Stopped'))?.currentState).toMatchObject({
      state: 'Terminated',
      exitCode: 0,
    });
    expect(main(await untilState('deaf', 'Stopped'))?.currentState).toMatchObject({
      exitCode: 137,
      detailStatus: 'Error',
    });
  });

  test('a stop of what has ended changes nothing; a start runs it again', async () => {
    const { make, client, untilState, cloud } = await open();
    await make('g', aGroup('exit 0'));
    await untilState('g', 'Succeeded');
    await client.containerGroups.stop(RESOURCE_GROUP, 'g');
    await untilState('g', 'Succeeded');
    const first = cloud.groups.get('g');
    await client.containerGroups.beginStartAndWait(RESOURCE_GROUP, 'g', { updateIntervalInMs: 10 });
    await untilState('g', 'Succeeded');
    expect(cloud.groups.get('g')).not.toBe(first);
    expect(cloud.groups.get('g')?.main.runs()).toBe(1);
  });

  test('to put one that is there starts it again, also when it had ended', async () => {
    const { make, untilState, cloud, client } = await open();
    const log = `${tempDirectory()}/runs`;
    const group = aGroup(`echo ran >> ${log}; exit 0`);
    await make('g', group);
    await untilState('g', 'Succeeded');
    await make('g', group);
    await untilState('g', 'Succeeded');
    expect(readFileSync(log, 'utf8')).toBe('ran\nran\n');
    const changed = { ...group, restartPolicy: 'Always' };
    await expect(make('g', changed)).rejects.toMatchObject({ code: 'InvalidContainerGroupUpdate' });
    expect(cloud.requests.get('createOrUpdate')).toBe(3);
    await client.containerGroups.beginDeleteAndWait(RESOURCE_GROUP, 'g');
  });

  test('a container that fails is started again despite Never, when the cloud is of that mind', async () => {
    const { make, untilState } = await open({ restartsFailed: 2 });
    await make('g', aGroup('exit 4'));
    const group = await untilState('g', 'Failed');
    expect(main(group)).toMatchObject({
      restartCount: 2,
      currentState: { state: 'Terminated', exitCode: 4 },
      previousState: { state: 'Terminated', exitCode: 4 },
    });
    await make('well', aGroup('exit 0'));
    expect(main(await untilState('well', 'Succeeded'))?.restartCount).toBe(0);
  });

  test('logs are cut to 1,000 lines or 16 KB when the container has ended, and are gone with the group', async () => {
    const { make, untilState, logs, client } = await open();
    await make('lines', aGroup('seq 3000'));
    await make('bytes', aGroup('seq 100000 109999; echo last >&2'));
    await make('running', aGroup('seq 100000 109999; echo ready; sleep 1000'));
    await untilState('lines', 'Succeeded');
    await untilState('bytes', 'Succeeded');
    expect((await logs('lines')).trim().split('\n')).toHaveLength(1_000);
    expect((await logs('bytes')).length).toBeLessThanOrEqual(16 * 1024);
    expect(await logs('bytes')).toMatch(/109999\nlast\n$/);
    expect(await logs('bytes', { tail: 2 })).toBe('109999\nlast\n');
    while (!(await logs('running')).endsWith('ready\n')) await shortly();
    expect((await logs('running')).length).toBe(70_006);
    await client.containerGroups.beginDeleteAndWait(RESOURCE_GROUP, 'lines');
    await expect(logs('lines')).rejects.toMatchObject({ statusCode: 404 });
  });

  test('a delete ends what runs, in peace, before the group is gone', async () => {
    const { make, client, get, untilState, cloud } = await open();
    const said = `${tempDirectory()}/said`;
    await make('g', aGroup(`trap 'echo bye > ${said}; exit 0' TERM; echo ready; while :; do sleep 0.02; done`));
    await untilState('g', 'Running');
    while (!cloud.groups.get('g')?.main.log().includes('ready')) await shortly();
    await client.containerGroups.beginDeleteAndWait(RESOURCE_GROUP, 'g', { updateIntervalInMs: 10 });
    await expect(get('g')).rejects.toMatchObject({ statusCode: 404, code: 'ResourceNotFound' });
    expect(readFileSync(said, 'utf8')).toBe('bye\n');
  });

  test('lists page by page', async () => {
    const { make, client } = await open({ pageSize: 2 });
    for (let n = 0; n < 5; n++) await make(`g${n}`, aGroup('exit 0'));
    const names: (string | undefined)[] = [];
    for await (const { name } of client.containerGroups.listByResourceGroup(RESOURCE_GROUP)) names.push(name);
    expect(names).toEqual(['g0', 'g1', 'g2', 'g3', 'g4']);
  });

  test('closing it ends all that it runs', async () => {
    const { make, cloud, untilState } = await open();
    const mark = `mark-${process.pid}-${Date.now()}`;
    await make('g', aGroup(`: ${mark}; trap '' TERM; sleep 1000 & sleep 1000`));
    await untilState('g', 'Running');
    expect(processesWith(mark).length).toBeGreaterThan(0);
    await cloud.close();
    expect(processesWith(mark)).toEqual([]);
  });
});

describe('what the local Container Instances refuses', () => {
  test.for<[string, string, number, string]>([
    ['no version', `${GROUPS}/g`, 400, 'MissingApiVersionParameter'],
    ['another version', `${GROUPS}/g?api-version=2019-12-01`, 400, 'InvalidResourceType'],
    [
      'another subscription',
      `${GROUPS.replace(SUBSCRIPTION, SUBSCRIPTION.replace(/^0/, '1'))}/g?${VERSION}`,
      404,
      'SubscriptionNotFound',
    ],
    ['another resource group', `${GROUPS.replace(/errand/, 'other')}/g?${VERSION}`, 404, 'ResourceGroupNotFound'],
    ['a group that is not there', `${GROUPS}/g?${VERSION}`, 404, 'ResourceNotFound'],
    ['an address of nothing', `/nothing?${VERSION}`, 404, 'NotFound'],
  ])('%s', async ([, path, status, code]) => {
    const { raw } = await open();
    expect(await raw('GET', path)).toMatchObject({ status, body: { error: { code, message: expect.any(String) } } });
  });

  test('who does not sign in', async () => {
    const { raw } = await open();
    expect(await raw('GET', `${GROUPS}/g?${VERSION}`, undefined, {})).toMatchObject({
      status: 401,
      body: { error: { code: 'AuthenticationFailed' } },
    });
  });

  const one = aGroup('').containers[0];
  test.for<[string, string, Partial<ContainerGroup> | object]>([
    ['a name in capitals', 'Group', {}],
    ['a name that ends with a dash', 'group-', {}],
    ['a name of 64 characters', 'g'.repeat(64), {}],
    ['no containers', 'g', { containers: [] }],
    [
      'a variable that begins with _',
      'g',
      { containers: [{ ...one, environmentVariables: [{ name: '_X', value: '1' }] }] },
    ],
    [
      'a variable that ends with _',
      'g',
      { containers: [{ ...one, environmentVariables: [{ name: 'X_', value: '1' }] }] },
    ],
    [
      'a variable with a long name',
      'g',
      { containers: [{ ...one, environmentVariables: [{ name: 'X'.repeat(64), value: '1' }] }] },
    ],
    [
      'more processors than it has',
      'g',
      { containers: [{ ...one, resources: { requests: { cpu: 5, memoryInGB: 1 } } }] },
    ],
    [
      'memory between its steps',
      'g',
      { containers: [{ ...one, resources: { requests: { cpu: 1, memoryInGB: 1.25 } } }] },
    ],
    ['a volume that is not there', 'g', { containers: [{ ...one, volumeMounts: [{ name: 'v', mountPath: '/v' }] }] }],
    ['another system', 'g', { osType: 'Windows' }],
  ])('%s', async ([, name, over]) => {
    const { make, cloud } = await open();
    await expect(make(name, aGroup('exit 0', over as Partial<ContainerGroup>))).rejects.toMatchObject({
      statusCode: 400,
    });
    expect(cloud.groups.size).toBe(0);
  });

  test.for<[string, unknown]>([
    ['what it does not know', { location: 'x', properties: { nonsense: 1 } }],
    ['a list', []],
    ['nothing', undefined],
  ])('%s as a group', async ([, body]) => {
    const { raw } = await open();
    expect(await raw('PUT', `${GROUPS}/g?${VERSION}`, body)).toMatchObject({
      status: 400,
      body: { error: { code: 'InvalidRequestContent' } },
    });
  });

  test('an image that nobody may have', async () => {
    const { make } = await open({ inaccessibleImages: ['alpine'] });
    await expect(make('g', aGroup('exit 0'))).rejects.toMatchObject({ statusCode: 400, code: 'InaccessibleImage' });
  });

  test('more groups than the quota, and more at a time than the rates', async () => {
    const full = await open({ groupQuota: 1 });
    await full.make('g', aGroup('exit 0'));
    await expect(full.make('h', aGroup('exit 0'))).rejects.toMatchObject({
      statusCode: 409,
      code: 'ContainerGroupQuotaReached',
    });
    for (const options of [{ createsPer5Minutes: 1 }, { createsPerHour: 1 }]) {
      const { raw, make } = await open(options);
      await make('g', aGroup('exit 0'));
      const group = {
        location: 'x',
        properties: {
          osType: 'Linux',
          containers: [{ name: 'c', properties: { image: 'i', resources: { requests: { cpu: 1, memoryInGB: 1 } } } }],
        },
      };
      const { status, headers, body } = await raw('PUT', `${GROUPS}/h?${VERSION}`, group);
      expect([status, body.error.code]).toEqual([429, 'TooManyRequests']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(200);
    }
  });

  test('to change one that is being made', async () => {
    const { client, cloud } = await open({ startMs: 60_000 });
    const make = () => client.containerGroups.beginCreateOrUpdate(RESOURCE_GROUP, 'g', aGroup('exit 0'));
    await make();
    await expect(make()).rejects.toMatchObject({ statusCode: 409, code: 'ContainerGroupTransitioning' });
    await expect(client.containerGroups.stop(RESOURCE_GROUP, 'g')).rejects.toMatchObject({ statusCode: 409 });
    await expect(client.containers.listLogs(RESOURCE_GROUP, 'g', 'one')).rejects.toMatchObject({ statusCode: 409 });
    await expect(client.containers.listLogs(RESOURCE_GROUP, 'g', 'two')).rejects.toMatchObject({ statusCode: 404 });
    expect(cloud.groups.size).toBe(1);
  });
});
