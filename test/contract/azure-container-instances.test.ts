import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { azureContainerInstances } from '../../shared/providers/azure-container-instances/azure-container-instances.ts';
import {
  ContainerInstancesConfig,
  containerInstancesFeatures,
} from '../../shared/providers/azure-container-instances/config.ts';
import { webIdentityToken } from '../../shared/providers/azure-container-instances/credentials.ts';
import type { Run } from '../../shared/providers/provider.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import {
  type ContainerInstancesOptions,
  startContainerInstances,
} from '../support/clouds/azure-container-instances/container-instances-cloud.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { openRemote } from '../support/remote.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { RUNNER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { providerContract } from './provider-contract.ts';

const RUNNER = { '/errand/bin/runner': [process.execPath, RUNNER_MAIN], '/bin/cp': ['/bin/true'] };
const runner = (...argv: string[]) => ({ programs: { '/errand/bin/runner': argv } });
const CONFIG = {
  subscriptionId: '00000000-0000-0000-0000-000000000000',
  resourceGroup: 'errand',
  location: 'westeurope',
  image: 'errand-base',
};

const open = async ({
  config = {},
  clock = systemClock,
  ...options
}: Partial<ContainerInstancesOptions> & { config?: object; clock?: typeof systemClock } = {}) => {
  const cloud = await startContainerInstances({
    folder: tempDirectory(),
    programs: RUNNER,
    graceMs: 5_000,
    ...options,
  });
  const remote = await openRemote();
  const parsed = ContainerInstancesConfig.parse({ ...CONFIG, endpoint: cloud.endpoint, ...config });
  const context = { clock, random: systemRandom, log: silentLog, installation: 'errand-test', runnerUrl: remote.url };
  const own = await azureContainerInstances(parsed, context);
  onTestFinished(async () => {
    await own.close();
    await cloud.close();
    await remote.close();
  });
  return { cloud, own, provider: remote.wrap(own), context, parsed };
};

const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);
const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
};

providerContract(
  'azure-container-instances',
  containerInstancesFeatures(ContainerInstancesConfig.parse(CONFIG)),
  async () => (await open({ config: { runnerImage: 'errand-base' } })).provider,
);

describe('the azure-container-instances provider', () => {
  test('says nothing of the command to the cloud, and its token only as a secure value', async () => {
    const { cloud, provider } = await open();
    const secret = 'canary-of-the-command';
    await provider.start(sh(`echo ${secret}`, { env: { SECRET: secret } }), recordedIo());
    expect(cloud.bodies.join('\n')).not.toContain(secret);
    const [put] = cloud.bodies.filter((body) => body.includes('secureValue'));
    const token = JSON.parse(put ?? '').properties.containers[0].properties.environmentVariables[1].secureValue;
    expect(token).toMatch(/^default\.cmd_/);
    expect(JSON.stringify(cloud.made.map((group) => group.view()))).not.toContain(token);
  });

  test('a second start finds the first one’s group and puts none: that would run it again', async () => {
    const { cloud, own } = await open(runner('/bin/sleep', '1000'));
    const run = sh('true');
    expect(await own.start(run, recordedIo())).toEqual({ kind: 'accepted' });
    await until(() => cloud.made[0]?.isRunning() === true);
    expect(await own.start(run, recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.requests.get('put')).toBe(1);
    expect(cloud.made[0]?.starts()).toBe(1);
  });

  test('a cloud that starts a failed container again, against its policy, does not run the command twice', async () => {
    const { cloud, provider } = await open({ restartsFailed: true });
    const io = recordedIo();
    // The runner ends with 0 whatever its command does.
    expect(await provider.start(sh('echo ran; exit 7'), io)).toMatchObject({ kind: 'ended', exit: { exitCode: 7 } });
    await until(() => cloud.made[0]?.isRunning() === false);
    expect(cloud.made[0]?.starts()).toBe(1);
    expect(io.text('stdout')).toBe('ran\n');
  });

  test.for<[string, readonly string[], object]>([
    [
      'ends with a status',
      ['/bin/sh', '-c', 'echo oh no; exit 3'],
      { kind: 'gone', detail: expect.stringMatching(/status 3.*oh no/) },
    ],
    ['ends without a word', ['/bin/true'], { kind: 'gone', detail: expect.stringContaining('did not say') }],
    ['runs out of memory', ['/bin/sh', '-c', 'exit 137'], { kind: 'gone', exit: { outOfMemory: true } }],
  ])('a runner that %s is told from one that succeeded', async ([, program, expected]) => {
    const { cloud, own } = await open(runner(...program));
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => cloud.made[0]?.starts() === 1 && !cloud.made[0].isRunning());
    expect(await own.observe(run)).toMatchObject(expected);
  });

  test('says that a container was started again', async () => {
    const { cloud, own } = await open({ ...runner('/bin/sh', '-c', 'exit 3'), restartsFailed: true });
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => cloud.made[0]?.starts() === 3 && !cloud.made[0].isRunning());
    expect(await own.observe(run)).toMatchObject({ detail: expect.stringContaining('started it again') });
  });

  test('an image that cannot be pulled is told at once: the cloud would go on trying, and billing', async () => {
    const { own, cloud } = await open({ brokenImages: ['no-such-image'] });
    const run = sh('true', { image: 'no-such-image' });
    await own.start(run, recordedIo());
    expect(await own.observe(run)).toMatchObject({ kind: 'failed', detail: expect.stringContaining('no-such-image') });
    await own.cancel(run);
    expect(cloud.groups.size).toBe(0);
    expect(await own.observe(run)).toEqual({ kind: 'gone' });
  });

  test('a cancel asks what runs to stop, and deletes what has ended', async () => {
    const { own, cloud } = await open(runner('/bin/sleep', '1000'));
    const run = sh('true');
    await own.start(run, recordedIo());
    await until(() => cloud.made[0]?.isRunning() === true);
    await own.cancel(run);
    await until(() => cloud.made[0]?.isRunning() === false);
    expect(cloud.groups.size).toBe(1);
    await own.cancel(run);
    expect(cloud.groups.size).toBe(0);
    await own.cancel(run);
  });

  test.for<[Partial<Run>, string]>([
    [{ cpu: 64 }, '0.1 to 32'],
    [{ memoryMiB: 100 }, '512 MiB to 256 GiB'],
  ])('a machine that there is not is refused: %o', async ([over, words]) => {
    const { own, cloud } = await open();
    const outcome = await own.start(sh('true', over), recordedIo());
    expect(outcome).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining(words) },
    });
    expect(cloud.requests.size).toBe(0);
  });

  test.for<[number, string, boolean, number | undefined]>([
    [429, 'TooManyRequests', true, 77],
    [409, 'ContainerGroupTransitioning', true, undefined],
    [403, 'AuthorizationFailed', false, undefined],
    [403, 'QuotaExceeded', true, undefined],
    [401, 'InvalidAuthenticationToken', false, undefined],
    [400, 'InaccessibleImage', false, undefined],
  ])(
    'a start that is answered with %i %s was surely not made',
    async ([status, code, retryable, retryAfterSeconds]) => {
      const { own, cloud } = await open();
      const fault = { kind: 'error', status, code, ...(retryAfterSeconds ? { retryAfterSeconds } : {}) } as const;
      cloud.faults.next('put', fault);
      const expected = { retryable, ...(retryAfterSeconds ? { retryAfterSeconds } : {}) };
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: expected });
      expect(cloud.made).toHaveLength(0);
      // Not tried again by the client itself, and not slept for.
      expect(cloud.requests.get('put')).toBe(1);
    },
  );

  test('an answer that was lost after the group was made leaves one group, and the start accepted', async () => {
    const { own, cloud } = await open(runner('/bin/sleep', '1000'));
    cloud.faults.next('put', { kind: 'answer-lost' });
    expect(await own.start(sh('true'), recordedIo())).toEqual({ kind: 'accepted' });
    expect(cloud.made).toHaveLength(1);
  });

  test.for([{ kind: 'reset' }, { kind: 'error', status: 500, code: 'InternalServerError' }] as const)(
    'a start that made nothing is tried again later: %o',
    async (fault) => {
      const { own, cloud } = await open();
      cloud.faults.next('put', fault);
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
      expect(cloud.made).toHaveLength(0);
    },
  );

  test('reads are tried again', async () => {
    const { own, cloud } = await open(runner('/bin/sleep', '1000'));
    const run = sh('true');
    await own.start(run, recordedIo());
    cloud.faults.next('get', { kind: 'error', status: 503, code: 'ServiceUnavailable' });
    cloud.faults.next('get', { kind: 'reset' });
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
  });

  test('makes no more than Azure lets it, says when there is room, and does not ask before', async () => {
    const clock = fakeClock();
    const { own, cloud } = await open({
      ...runner('/bin/true'),
      clock,
      config: { createsPer5Minutes: 3, createsPerHour: 4 },
    });
    const start = () => own.start(sh('true'), recordedIo());
    for (let n = 0; n < 3; n++) expect(await start()).toEqual({ kind: 'accepted' });
    expect(await start()).toMatchObject({ kind: 'rejected', fault: { retryable: true, retryAfterSeconds: 300 } });
    await clock.advance(300_000);
    expect(await start()).toEqual({ kind: 'accepted' });
    expect(await start()).toMatchObject({ fault: { retryAfterSeconds: 3_300 } });
    expect(cloud.requests.get('put')).toBe(4);
  });

  test('finds what it holds of its own installation, and nothing else', async () => {
    const { own, cloud, context, parsed } = await open(runner('/bin/sleep', '1000'));
    const stranger = await azureContainerInstances(parsed, { ...context, installation: 'another' });
    const runs = [sh('true'), sh('true')];
    for (const run of runs) await own.start(run, recordedIo());
    await stranger.start(sh('true'), recordedIo());
    // Of somebody else altogether, by a name as ours are.
    await fetch(
      `${cloud.endpoint}/subscriptions/s/resourceGroups/errand/providers/Microsoft.ContainerInstance/containerGroups/cmd-1?api-version=1`,
      {
        method: 'PUT',
        headers: { authorization: 'Bearer x' },
        body: JSON.stringify({
          location: 'westeurope',
          properties: {
            osType: 'Linux',
            containers: [{ name: 'c', properties: { image: 'i', resources: { requests: { cpu: 1, memoryInGB: 1 } } } }],
          },
        }),
      },
    );
    const held = [];
    for await (const run of own.held?.() ?? []) held.push(run);
    expect(held.map(({ key }) => key).toSorted()).toEqual(runs.map(({ key }) => key).toSorted());
    expect(held[0]?.createdAt).toBeGreaterThan(Date.now() - 60_000);
    expect(cloud.groups.size).toBe(4);
  });

  test('is healthy when it may ask, and says why when not', async () => {
    const { own, cloud } = await open();
    expect(await own.health()).toEqual({ healthy: true });
    cloud.faults.next('get', { kind: 'error', status: 403, code: 'AuthorizationFailed' });
    expect(await own.health()).toMatchObject({ healthy: false, detail: expect.stringContaining('role') });
  });
});

describe('the local Container Instances', () => {
  const example = (name: string) =>
    JSON.parse(
      readFileSync(
        new URL(`../support/clouds/azure-container-instances/fixtures/${name}.json`, import.meta.url),
        'utf8',
      ),
    );
  const headers = { authorization: 'Bearer x' };
  const path = '/subscriptions/s/resourceGroups/demo/providers/Microsoft.ContainerInstance/containerGroups';
  /** The names in an answer, at whatever depth, so far as the example has them. */
  const namesOf = (value: unknown): string[] =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).flatMap(([name, own]) => [name, ...namesOf(own).map((inner) => `${name}.${inner}`)])
      : [];

  test('takes Microsoft’s own example of a request, and answers in the same words', async () => {
    const { cloud } = await open({ programs: { '/bin/sh': ['/bin/true'] } });
    const { parameters, responses } = example('ContainerGroupsCreatePriority');
    const put = await fetch(`${cloud.endpoint}${path}/demo1?api-version=2025-09-01`, {
      method: 'PUT',
      headers,
      body: JSON.stringify(parameters.containerGroup),
    });
    expect(put.status).toBe(201);
    expect(put.headers.get('azure-asyncoperation')).toContain('/operations/');
    const answer = namesOf(await put.json());
    // What a group has that the request did not ask for, such as an address.
    const wanted = namesOf(responses['200'].body).filter(
      (name) => !/ipAddress|zones|ports|sku|isCreatedFromStandbyPool/.test(name),
    );
    expect(answer).toEqual(expect.arrayContaining(wanted));
  });

  test('lists groups without the state of their instances, as the example does', async () => {
    const { cloud, own } = await open(runner('/bin/sleep', '1000'));
    await own.start(sh('true'), recordedIo());
    const list = await (
      await fetch(`${cloud.endpoint}${path.replace('demo', 'errand')}?api-version=1`, { headers })
    ).json();
    expect(JSON.stringify(list)).not.toContain('instanceView');
    expect(Object.keys(list as object)).toEqual(
      Object.keys(example('ContainerGroupsListByResourceGroup').responses['200'].body),
    );
  });

  test.for<[string, RequestInit, number, string]>([
    ['no api-version', { headers }, 400, 'MissingApiVersionParameter'],
    ['no token', {}, 401, 'AuthenticationFailed'],
    ['a group that is not there', { headers }, 404, 'ResourceNotFound'],
    [
      'no containers',
      { headers, method: 'PUT', body: '{"location":"l","properties":{"containers":[]}}' },
      400,
      'InvalidRequestContent',
    ],
  ])('refuses %s as Azure does', async ([what, init, status, code]) => {
    const { cloud } = await open();
    const query = what === 'no api-version' ? '' : '?api-version=2023-05-01';
    const answer = await fetch(`${cloud.endpoint}${path}/demo1${query}`, init);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { code } });
  });

  test('runs what has ended anew when it is put again, and keeps 16 KB of its log', async () => {
    const { cloud, own } = await open(runner('/bin/sh', '-c', 'yes 0123456789 | head -c 100000'));
    const run = sh('true');
    await own.start(run, recordedIo());
    const [group] = cloud.made;
    await until(() => group?.starts() === 1 && !group.isRunning());
    expect(group?.log(undefined).length).toBeLessThanOrEqual(16 * 1024);
    group?.redeploy();
    await until(() => group?.starts() === 2);
  });
});

test('signs in to Azure with a token that AWS makes of the function’s role', async () => {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    asked.push(await text(request));
    response.writeHead(200, { 'content-type': 'text/xml' }).end(
      `<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetWebIdentityTokenResult>
        <WebIdentityToken>the.jwt</WebIdentityToken><Expiration>2030-01-01T00:00:00Z</Expiration>
      </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const context = {
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    installation: 'errand',
    runnerUrl: 'https://runner.example',
    awsRegion: 'eu-central-1',
    awsCredentials: async () => ({ accessKeyId: 'ASIATHEFUNCTION00000', secretAccessKey: 'never-to-be-sent' }),
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await webIdentityToken(context, url)).toBe('the.jwt');
  const form = new URLSearchParams(asked[0]);
  expect(form.get('Action')).toBe('GetWebIdentityToken');
  expect(form.get('Audience.member.1')).toBe('api://AzureADTokenExchange');
  expect(form.get('SigningAlgorithm')).toBe('RS256');
  expect(asked.join()).not.toContain('never-to-be-sent');
  const { awsCredentials: _, ...elsewhere } = context;
  await expect(webIdentityToken(elsewhere)).rejects.toThrow('run in AWS');
});
