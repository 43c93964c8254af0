import { JobsClient, TasksClient } from '@google-cloud/run';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { cloudRun } from '../../shared/providers/cloud-run/cloud-run.ts';
import { CloudRunConfig, cloudRunFeatures } from '../../shared/providers/cloud-run/config.ts';
import { makeAuth } from '../../shared/providers/cloud-run/credentials.ts';
import type { Run } from '../../shared/providers/provider.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { type CloudRunOptions, startCloudRun } from '../support/clouds/cloud-run/cloud-run-cloud.ts';
import { faultIn } from '../support/clouds/cloud-run/schema.ts';
import { openRemote } from '../support/remote.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { RUNNER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { providerContract } from './provider-contract.ts';

const RUNNER = { '/errand/bin/runner': [process.execPath, RUNNER_MAIN] };
const CONFIG = { project: 'a-project', region: 'europe-west1', image: 'errand-base' };

const open = async ({ config = {}, ...options }: Partial<CloudRunOptions> & { config?: object } = {}) => {
  const cloud = await startCloudRun({ folder: tempDirectory(), programs: RUNNER, graceMs: 5_000, ...options });
  const remote = await openRemote();
  const parsed = CloudRunConfig.parse({ ...CONFIG, endpoint: cloud.endpoint, ...config });
  const context = {
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    installation: 'errand-test',
    runnerUrl: remote.url,
  };
  const own = await cloudRun(parsed, context);
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

providerContract('cloud-run', cloudRunFeatures(CloudRunConfig.parse(CONFIG)), async () => (await open()).provider);

describe('the cloud-run provider', () => {
  test('makes one job for a shape, and one execution for each attempt', async () => {
    const { cloud, provider } = await open();
    for (let n = 0; n < 3; n++) await provider.start(sh('true'), recordedIo());
    await provider.start(sh('true', { cpu: 2, memoryMiB: 1_024 }), recordedIo());
    expect(cloud.requests.get('createJob')).toBe(2);
    expect(cloud.executions).toHaveLength(4);
  });

  test('says nothing of the command to the cloud but where its runner reports', async () => {
    const { cloud, provider } = await open();
    const secret = 'canary-of-the-command';
    await provider.start(sh(`echo ${secret}`, { env: { SECRET: secret }, cwd: '/tmp' }), recordedIo());
    expect(cloud.bodies.join('\n')).not.toContain(secret);
    expect(JSON.stringify(cloud.executions.map((one) => one.view()))).not.toContain(secret);
  });

  test('does not wait for the command to end before its start is accepted', async () => {
    const { own } = await open({ programs: { '/errand/bin/runner': ['/bin/sleep', '1000'] } });
    const run = sh('true');
    const outcome = await own.start(run, recordedIo());
    expect(outcome).toMatchObject({ kind: 'accepted', ref: expect.stringContaining('/executions/') });
  });

  test('a command that fails is not run again by the cloud', async () => {
    const { cloud, own } = await open({ programs: { '/errand/bin/runner': ['/bin/sh', '-c', 'exit 3'] } });
    await own.start(sh('true'), recordedIo());
    await until(() => cloud.executions[0]?.isOver() === true);
    expect(cloud.executions[0]?.tries()).toBe(1);
  });

  test.for<[string, readonly string[], object]>([
    ['exits', ['/bin/sh', '-c', 'exit 3'], { kind: 'gone', detail: expect.stringContaining('status 3') }],
    ['is killed', ['/bin/sh', '-c', 'kill -SEGV $$'], { kind: 'gone', detail: expect.stringContaining('signal 11') }],
    ['ends without a word', ['/bin/true'], { kind: 'gone', detail: expect.stringContaining('did not say') }],
    ['runs out of memory', ['/bin/sh', '-c', 'exit 137'], { kind: 'gone', exit: { outOfMemory: true } }],
  ])('a runner that %s is told from one that succeeded', async ([, program, expected]) => {
    const { cloud, own } = await open({ programs: { '/errand/bin/runner': program } });
    const run = sh('true');
    const outcome = await own.start(run, recordedIo());
    await until(() => cloud.executions[0]?.isOver() === true);
    const ref = outcome.kind === 'accepted' ? outcome.ref : undefined;
    expect(await own.observe({ ...run, ...(ref ? { ref } : {}) })).toMatchObject(expected);
    // Found by its mark as well, when the answer with its name was lost.
    expect(await own.observe(run)).toMatchObject(expected);
  });

  test('an image that is not there is refused for good, in words, and looked for again the next time', async () => {
    const { own, cloud } = await open({ brokenImages: ['no-such-image'] });
    for (let n = 0; n < 2; n++) {
      expect(await own.start(sh('true', { image: 'no-such-image' }), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { retryable: false, detail: expect.stringContaining('no-such-image') },
      });
    }
    expect(cloud.requests.get('createJob')).toBe(2);
    expect(cloud.executions).toHaveLength(0);
  });

  test.for<[Partial<Run>, string]>([
    [{ cpu: 3 }, '1, 2, 4, 8'],
    [{ cpu: 4, memoryMiB: 512 }, '2048 to 16384 MiB'],
    [{ memoryMiB: 8_192 }, '512 to 4096 MiB'],
  ])('a machine that Cloud Run does not have is refused: %o', async ([over, words]) => {
    const { own, cloud } = await open();
    const outcome = await own.start(sh('true', over), recordedIo());
    expect(outcome).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringContaining(words) },
    });
    expect(cloud.requests.size).toBe(0);
  });

  test.for<[number, string, boolean]>([
    [429, 'RESOURCE_EXHAUSTED', true],
    [403, 'PERMISSION_DENIED', false],
    [401, 'UNAUTHENTICATED', false],
    [400, 'INVALID_ARGUMENT', false],
  ])('a start that is answered with %i %s was surely not made', async ([status, code, retryable]) => {
    const { own, cloud } = await open();
    for (const operation of ['createJob', 'runJob']) {
      if (operation === 'runJob') await own.start(sh('true'), recordedIo());
      const before = cloud.executions.length;
      if (operation === 'createJob') cloud.faults.next('runJob', { kind: 'error', status: 404, code: 'NOT_FOUND' });
      cloud.faults.next(operation, { kind: 'error', status, code });
      expect(await own.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable } });
      expect(cloud.executions).toHaveLength(before);
    }
  });

  test.for([
    { kind: 'reset' },
    { kind: 'answer-lost' },
    { kind: 'error', status: 500, code: 'INTERNAL' },
    { kind: 'error', status: 503, code: 'UNAVAILABLE' },
  ] as const)('a start whose outcome is not clear runs at most once: %o', async (fault) => {
    const { own, cloud, provider } = await open();
    await provider.start(sh('true'), recordedIo());
    cloud.faults.next('runJob', fault);
    const run = sh('echo ran');
    expect(await own.start(run, recordedIo())).toMatchObject(
      fault.kind === 'answer-lost' ? { kind: 'accepted', ref: expect.any(String) } : { kind: 'accepted' },
    );
    expect(cloud.executions.length).toBeLessThanOrEqual(2);
  });

  test('an answer that was lost when the job was made does no harm', async () => {
    const { cloud, provider } = await open();
    cloud.faults.next('createJob', { kind: 'answer-lost' });
    const io = recordedIo();
    expect(await provider.start(sh('echo ran'), io)).toMatchObject({ kind: 'ended' });
    expect(io.text('stdout')).toBe('ran\n');
  });

  test('reads are tried again', async () => {
    const { cloud, own } = await open({ programs: { '/errand/bin/runner': ['/bin/sleep', '1000'] } });
    const run = sh('sleep 1000');
    const outcome = await own.start(run, recordedIo());
    const ref = outcome.kind === 'accepted' && outcome.ref ? { ref: outcome.ref } : {};
    cloud.faults.next('getExecution', { kind: 'error', status: 503, code: 'UNAVAILABLE' });
    cloud.faults.next('getExecution', { kind: 'reset' });
    expect(await own.observe({ ...run, ...ref })).toEqual({ kind: 'alive' });
  });

  test('finds what it holds of its own installation, and nothing else', async () => {
    const { cloud, own, context, parsed } = await open({ programs: { '/errand/bin/runner': ['/bin/sleep', '1000'] } });
    const stranger = await cloudRun(parsed, { ...context, installation: 'another' });
    const runs = [sh('true'), sh('true')];
    for (const run of runs) await own.start(run, recordedIo());
    await stranger.start(sh('true'), recordedIo());
    const held = [];
    for await (const run of own.held?.() ?? []) held.push(run);
    expect(held.map(({ key }) => key).toSorted()).toEqual(runs.map(({ key }) => key).toSorted());
    expect(held[0]?.createdAt).toBeGreaterThan(Date.now() - 60_000);
    for (const run of held) await own.cancel(run);
    await until(() => cloud.executions.filter((one) => one.isOver()).length === 2);
    await stranger.close();
  });

  test('pages are asked for one by one, and not without end', async () => {
    const { cloud, own } = await open({ programs: { '/errand/bin/runner': ['/bin/true'] }, startMs: 60_000 });
    for (let n = 0; n < 120; n++) await own.start(sh('true'), recordedIo());
    const before = cloud.requests.get('listExecutions') ?? 0;
    const held = [];
    for await (const run of own.held?.() ?? []) held.push(run);
    expect(held).toHaveLength(120);
    expect((cloud.requests.get('listExecutions') ?? 0) - before).toBe(2);
  });

  test('is healthy when it may ask, and says why when not', async () => {
    const { cloud, own } = await open();
    expect(await own.health()).toEqual({ healthy: true });
    cloud.faults.next('getJob', { kind: 'error', status: 403, code: 'PERMISSION_DENIED' });
    expect(await own.health()).toMatchObject({ healthy: false, detail: expect.stringContaining('roles') });
  });
});

describe('the local Cloud Run', () => {
  test('answers as Google’s description of the API says', async () => {
    const { cloud, own } = await open({ programs: { '/errand/bin/runner': ['/bin/sh', '-c', 'exit 3'] } });
    await own.start(sh('true'), recordedIo());
    await until(() => cloud.executions[0]?.isOver() === true);
    const read = async (path: string) => {
      const headers = { authorization: 'Bearer x', 'x-goog-request-params': 'name=x' };
      return (await fetch(`${cloud.endpoint}/v2/${path}`, { headers })).json();
    };
    const [execution] = cloud.executions;
    const job = execution?.name.replace(/\/executions.*/, '') ?? '';
    expect(faultIn(await read(job), 'GoogleCloudRunV2Job')).toBeUndefined();
    expect(faultIn(await read(execution?.name ?? ''), 'GoogleCloudRunV2Execution')).toBeUndefined();
    expect(faultIn(await read(`${execution?.name}/tasks`), 'GoogleCloudRunV2ListTasksResponse')).toBeUndefined();
    expect(faultIn(await read(`${job}/executions`), 'GoogleCloudRunV2ListExecutionsResponse')).toBeUndefined();
  });

  test('refuses what the description does not have, and who does not sign in', async () => {
    const { cloud, parsed, context } = await open();
    const { port } = new URL(cloud.endpoint);
    const client = new JobsClient({
      fallback: true,
      protocol: 'http',
      apiEndpoint: '127.0.0.1',
      port: Number(port),
      auth: makeAuth(parsed, context) as never,
    });
    onTestFinished(() => client.close());
    const job = { template: { template: { containers: [{ image: 'i' }] } } };
    await expect(client.createJob({ parent: 'projects/p/locations/l', jobId: 'Not An Id', job })).rejects.toMatchObject(
      { code: 3 },
    );
    const headers = { 'x-goog-request-params': 'x' };
    const url = `${cloud.endpoint}/v2/projects/p/locations/l/jobs`;
    expect((await fetch(`${url}/j`, { headers })).status).toBe(401);
    const unknown = await fetch(`${url}?jobId=j`, {
      method: 'POST',
      headers: { ...headers, authorization: 'Bearer x' },
      body: JSON.stringify({ ...job, nonsense: 1 }),
    });
    expect(await unknown.json()).toMatchObject({
      error: { status: 'INVALID_ARGUMENT', message: expect.stringContaining('nonsense') },
    });
  });

  test('runs a job that does not say otherwise again when it fails, and leaves a status of 0 out', async () => {
    const { cloud, parsed, context } = await open({ programs: { fails: ['/bin/false'], works: ['/bin/true'] } });
    const at = {
      fallback: true,
      protocol: 'http',
      apiEndpoint: '127.0.0.1',
      port: Number(new URL(cloud.endpoint).port),
    } as const;
    const auth = makeAuth(parsed, context) as never;
    const [jobs, tasks] = [new JobsClient({ ...at, auth }), new TasksClient({ ...at, auth })];
    onTestFinished(async () => {
      await Promise.all([jobs.close(), tasks.close()]);
    });
    const parent = 'projects/p/locations/l';
    for (const program of ['fails', 'works']) {
      const job = { template: { template: { containers: [{ image: 'i', command: [program] }] } } };
      await jobs.createJob({ parent, jobId: program, job });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await jobs.runJob({ name: `${parent}/jobs/${program}` });
    }
    await until(() => cloud.executions.every((one) => one.isOver()));
    expect(cloud.executions.map((one) => one.tries())).toEqual([4, 1]);
    const [found] = await tasks.listTasks({ parent: cloud.executions[0]?.name ?? '' }, { autoPaginate: false });
    expect(found[0]?.lastAttemptResult).toMatchObject({ exitCode: 1, termSignal: 0 });
    expect(cloud.executions[1]?.task()).not.toHaveProperty('lastAttemptResult');
  });
});
