import { describe, expect, test } from 'vitest';
import type { Run } from '../../shared/providers/provider.ts';
import type { Operation } from '../support/clouds/cloud-run/discovery.ts';
import { CONFIG, INSTALLATION, openCloudRun, PARENT } from '../support/clouds/cloud-run/open-cloud-run.ts';
import {
  ANSWER_LOST,
  counts,
  ended,
  envOf,
  FASTER,
  HANG,
  isUp,
  RESET,
  refOf,
  shell,
  sleeper,
  start,
  started,
  status,
} from '../support/clouds/cloud-run/runs.ts';
import { sdkClients } from '../support/clouds/cloud-run/sdk-clients.ts';
import type { HttpFault } from '../support/clouds/faults.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

describe('a start on cloud-run', () => {
  test('pitfall 16: tells Cloud Run nothing of the command but where its runner finds it', async () => {
    const { provider, cloud } = await openCloudRun();
    const stdin = openInput();
    stdin.write('secret-input');
    stdin.end();
    const io = recordedIo({ stdin });
    const run = aRun(['/bin/sh', '-c', 'cat; echo "$S secret-argument"'], { env: { S: 'secret-value' }, cwd: '/usr' });
    await provider.start(run, io);
    expect(io.text('stdout')).toBe('secret-inputsecret-value secret-argument\n');
    const [execution] = cloud.executions;
    expect(envOf(cloud).map(({ name }) => name)).toEqual(['ERRAND_RUNNER_URL', 'ERRAND_RUNNER_TOKEN', 'ERRAND_RUN']);
    const all = JSON.stringify([cloud.seen, execution?.resource(), execution?.task(), execution?.logs()]);
    expect(all).toContain(run.key);
    expect(all).not.toContain('secret');
    expect(all).not.toContain('"/usr"');
  });

  test('makes the job of a shape once; after that a start is one request', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    await Promise.all([1, 2, 3, 4].map(() => start(own)));
    expect(counts(cloud)).toMatchObject({ CreateJob: 1, RunJob: 4 });
    const before = cloud.seen.length;
    await start(own);
    expect(cloud.seen.slice(before).map(({ operation }) => operation)).toEqual(['RunJob']);
  });

  test('two processes that need a job at one time make one', async () => {
    const { own, another, cloud } = await openCloudRun({ runner: sleeper, createDelayMs: 300 });
    const outcomes = await Promise.all([own, await another()].map((provider) => start(provider)));
    expect(outcomes).toEqual([
      expect.objectContaining({ kind: 'accepted' }),
      expect.objectContaining({ kind: 'accepted' }),
    ]);
    const jobs = new Set(cloud.seen.filter(({ operation }) => operation === 'RunJob').map(({ path }) => path));
    expect(jobs.size).toBe(1);
  });

  test('a process that is new finds the job, and makes none', async () => {
    const { own, another, cloud } = await openCloudRun({ runner: sleeper });
    await start(own);
    await start(await another());
    expect(counts(cloud)).toMatchObject({ CreateJob: 1, RunJob: 2 });
  });

  test('a job that someone removed is made again', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const { ref } = await started(own);
    await sdkClients(cloud).jobs.deleteJob({ name: String(ref).split('/executions/')[0] ?? '' });
    expect(refOf(await start(own)).split('/executions/')[0]).toBe(ref?.split('/executions/')[0]);
    expect(counts(cloud)).toMatchObject({ CreateJob: 2, RunJob: 3 });
  });

  test.for<[string, Partial<Run>, object]>([
    ['the target’s', {}, { image: CONFIG.image, resources: { limits: { cpu: '1', memory: '512Mi' } } }],
    ['another image', { image: 'alpine:3' }, { image: 'alpine:3' }],
    ['more processors', { cpu: 4, memoryMiB: 2_048 }, { resources: { limits: { cpu: '4', memory: '2048Mi' } } }],
  ])(
    'pitfall 3: the job of %s shape is for one task, runs it once, and has a name of its own',
    async ([, over, container]) => {
      const { own, cloud } = await openCloudRun({ runner: sleeper });
      const first = await started(own);
      const run = await started(own, aRun(['/bin/true'], over));
      const job = String(run.ref).split('/executions/')[0] ?? '';
      expect(job).toMatch(new RegExp(`^${PARENT}/jobs/${INSTALLATION}-[0-9a-f]{20}$`));
      expect(first.ref?.startsWith(`${job}/`)).toBe(Object.keys(over).length === 0);
      const [found] = await sdkClients(cloud).jobs.getJob({ name: job });
      expect(found).toMatchObject({
        labels: { 'errand-installation': INSTALLATION },
        template: {
          taskCount: 1,
          template: {
            maxRetries: 0,
            timeout: { seconds: '604800' },
            serviceAccount: CONFIG.serviceAccount,
            executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2',
            containers: [{ command: ['/errand/bin/runner'], ...container }],
          },
        },
      });
    },
  );

  test('pitfall 3: a runner that fails is not run again', async () => {
    const { own, cloud } = await openCloudRun({ runner: shell('exit 1') });
    await ended(cloud, own, await started(own));
    expect(cloud.executions.map((one) => one.tries())).toEqual([1]);
  });

  test('the runner from a bucket is mounted read-only, and a network is passed on', async () => {
    const config = { runnerBucket: 'errand-runner', vpc: { network: 'default', egress: 'private-ranges-only' } };
    const { own, cloud } = await openCloudRun({ runner: sleeper, config });
    await start(own);
    const body = JSON.parse(cloud.seen.find(({ operation }) => operation === 'CreateJob')?.body ?? '');
    expect(body.template.template).toMatchObject({
      containers: [{ volumeMounts: [{ name: 'errand', mountPath: '/errand' }] }],
      volumes: [
        {
          name: 'errand',
          gcs: { bucket: 'errand-runner', readOnly: true, mountOptions: expect.arrayContaining(['file-mode=755']) },
        },
      ],
      vpcAccess: { networkInterfaces: [{ network: 'default' }] },
    });
  });

  test('the time of its task is that of its command and a margin', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    await start(own, aRun(['/bin/true'], { timeoutSeconds: 90 }));
    const { body } = cloud.seen.find(({ operation }) => operation === 'RunJob') ?? {};
    expect(JSON.parse(body ?? '').overrides).toMatchObject({ taskCount: 1, timeout: '390s' });
  });

  test('a job that is not ready any more is waited for, and run when it is', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    await start(own);
    cloud.faults.next('RunJob', { kind: 'status', status: 400, code: 'FAILED_PRECONDITION' });
    expect(await start(own)).toMatchObject({ kind: 'accepted' });
    expect(counts(cloud)).toMatchObject({ CreateJob: 1, RunJob: 3 });
    expect(cloud.executions.length).toBe(2);
  });

  test.for<[Partial<Run>, RegExp]>([
    [{ cpu: 3 }, /1, 2, 4, 8 processors, not 3/],
    [{ cpu: 0.5 }, /1, 2, 4, 8 processors/],
    [{ cpu: 4, memoryMiB: 1_024 }, /2048 to 16384 MiB of memory, not 1024/],
    [{ memoryMiB: 8_192 }, /With cpu 1 Cloud Run gives 512 to 4096/],
    [{ memoryMiB: 128 }, /512 to 4096/],
    [{ timeoutSeconds: 604_800 }, /604500 s at most/],
  ])('%o is refused with clear words, without a request', async ([over, words]) => {
    const { own, cloud } = await openCloudRun();
    expect(await start(own, aRun(['/bin/true'], over))).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringMatching(words) },
    });
    expect(cloud.seen).toEqual([]);
  });

  test('an image that cannot be pulled is refused, and looked for again by the next start', async () => {
    const brokenImages = ['broken:1'];
    const { own, cloud } = await openCloudRun({ runner: sleeper, brokenImages });
    const run = aRun(['/bin/true'], { image: 'broken:1' });
    expect(await start(own, run)).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringMatching(/broken:1.*not found/) },
    });
    expect(cloud.requests.get('RunJob')).toBeUndefined();
    brokenImages.pop();
    expect(await start(own, run)).toMatchObject({ kind: 'accepted' });
  });

  test('a failed job that cannot be removed is told as it is', async () => {
    const { own, cloud } = await openCloudRun({ brokenImages: ['broken:1'] });
    const run = aRun(['/bin/true'], { image: 'broken:1' });
    for (const fault of [status(403), RESET]) {
      cloud.faults.next('DeleteJob', fault);
      expect(await start(own, run)).toMatchObject({ kind: 'rejected', fault: { retryable: false } });
    }
    expect(counts(cloud)).toMatchObject({ CreateJob: 1, DeleteJob: 2 });
  });

  test('a job that does not become ready is given up for now', async () => {
    const { own } = await openCloudRun({ createDelayMs: 3_600_000, faster: 20 });
    expect(await start(own)).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
  });

  test('pitfall 6: an accepted start does not wait for the command', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const run = await started(own);
    expect(cloud.executions[0]?.isOver()).toBe(false);
    expect(cloud.requests.get('GetOperation')).toBeUndefined();
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
  });

  test('two starts of one attempt at one time are one', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const run = aRun(['/bin/true']);
    const [one, two] = await Promise.all([start(own, run), start(own, run)]);
    expect(one).toEqual(two);
    expect(cloud.executions.length).toBe(1);
  });

  test.for<[string, HttpFault, boolean, RegExp, number | undefined]>([
    ['400', status(400), false, /refuses/, undefined],
    ['401', status(401), false, /workloadIdentity/, undefined],
    ['403', status(403), false, /role/, undefined],
    ['409', status(409), true, /someone else/, undefined],
    ['429', status(429, 7), true, /quota/, 7],
    ['429 for a day', status(429, 86_400), true, /quota/, 3_600],
  ])('after %s of the run nothing was started, and that is said', async ([, fault, retryable, words, seconds]) => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    cloud.faults.next('RunJob', fault);
    const outcome = await start(own);
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable, detail: expect.stringMatching(words) } });
    expect(outcome.kind === 'rejected' && outcome.fault.retryAfterSeconds).toBe(seconds);
    expect([cloud.requests.get('RunJob'), cloud.executions.length]).toEqual([1, 0]);
  });

  test.for<[string, HttpFault]>([
    ['500', status(500)],
    ['503', status(503)],
    ['504', status(504)],
    ['a reset', RESET],
    ['no answer', HANG],
  ])('pitfall 5: after %s of the run it may have been started: one look, none in its place', async ([, fault]) => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, ...FASTER });
    cloud.faults.next('RunJob', fault);
    expect(await start(own)).toEqual({ kind: 'accepted' });
    expect(counts(cloud)).toMatchObject({ RunJob: 1, ListExecutions: 1 });
  });

  test('pitfall 5: an answer that was lost is made good by one look', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    await start(own);
    cloud.faults.next('RunJob', ANSWER_LOST);
    const run = aRun(['/bin/true']);
    expect(await start(own, run)).toEqual({ kind: 'accepted', ref: cloud.executions[1]?.name });
    expect(counts(cloud)).toMatchObject({ RunJob: 2, ListExecutions: 1 });
  });

  test('pitfall 5: when the look fails too, the run is found later by its mark', async () => {
    const { own, cloud, another } = await openCloudRun({ runner: sleeper, ...FASTER });
    cloud.faults.next('RunJob', ANSWER_LOST);
    cloud.faults.next('ListExecutions', ...Array<HttpFault>(4).fill(status(503)));
    const run = aRun(['/bin/true']);
    expect(await start(own, run)).toEqual({ kind: 'accepted' });
    await isUp(cloud);
    const elsewhere = await another();
    expect(await elsewhere.observe(run)).toEqual({ kind: 'alive' });
    await elsewhere.cancel(run);
    expect(await ended(cloud, elsewhere, run)).toMatchObject({ kind: 'gone' });
  });

  test('pitfall 5: a second runner of one attempt leaves without a word', async () => {
    const { own, provider, cloud } = await openCloudRun();
    let tickets = 1;
    const io = recordedIo({ redeem: async () => tickets-- > 0 });
    cloud.faults.next('RunJob', ANSWER_LOST);
    const run = aRun(['/bin/sh', '-c', 'echo ran']);
    const first = provider.start(run, io);
    await expect.poll(() => cloud.executions.length).toBe(1);
    // What a redelivery would do, with the token of the attempt.
    const token = envOf(cloud).find(({ name }) => name === 'ERRAND_RUNNER_TOKEN')?.value ?? '';
    expect(await first).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    await start(own, { ...run, token });
    await cloud.executions[1]?.ended;
    expect([cloud.executions.length, io.text('stdout')]).toEqual([2, 'ran\n']);
  });

  test.for<[string, Operation, readonly HttpFault[], object]>([
    [
      '429 of the making',
      'CreateJob',
      [status(429, 9)],
      { kind: 'rejected', fault: { retryable: true, retryAfterSeconds: 9 } },
    ],
    ['403 of the making', 'CreateJob', [status(403)], { kind: 'rejected', fault: { retryable: false } }],
    ['400 of the making', 'CreateJob', [status(400)], { kind: 'rejected', fault: { retryable: false } }],
    ['an answer of the making that was lost', 'CreateJob', [ANSWER_LOST], { kind: 'accepted' }],
    ['500 and 503 of the making', 'CreateJob', [status(500), status(503)], { kind: 'accepted' }],
    ['a reset of the making', 'CreateJob', [RESET], { kind: 'accepted' }],
    ['a making that is not answered', 'CreateJob', [HANG], { kind: 'accepted' }],
    [
      'a making that goes on failing',
      'CreateJob',
      Array<HttpFault>(4).fill(status(503)),
      { kind: 'rejected', fault: { retryable: true } },
    ],
    ['a look that failed twice', 'GetJob', [status(503), RESET], { kind: 'accepted' }],
    ['a look that is throttled once', 'GetJob', [status(429)], { kind: 'accepted' }],
    ['a look that is not answered', 'GetJob', [HANG], { kind: 'accepted' }],
    [
      'a look that goes on failing',
      'GetJob',
      Array<HttpFault>(4).fill(status(500)),
      { kind: 'rejected', fault: { retryable: true } },
    ],
    ['a look that is refused', 'GetJob', [status(403)], { kind: 'rejected', fault: { retryable: false } }],
  ])('after %s a job is made, or the start is surely none', async ([, operation, faults, expected]) => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, ...FASTER });
    cloud.faults.next(operation, ...faults);
    expect(await start(own)).toMatchObject(expected);
  });

  test('a place that cannot be reached is tried again later', async () => {
    const { own } = await openCloudRun({ config: { endpoint: 'http://127.0.0.1:9' }, ...FASTER });
    const reached = { retryable: true, detail: expect.stringMatching(/cannot be reached \(ECONNREFUSED\)/) };
    expect(await start(own)).toMatchObject({ kind: 'rejected', fault: reached });
    expect(await own.health()).toEqual({ healthy: false, detail: reached.detail });
  });
});
