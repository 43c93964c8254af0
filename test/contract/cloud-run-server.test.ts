import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { protos } from '@google-cloud/run';
import { describe, expect, test } from 'vitest';
import type { CloudRunCloud } from '../support/clouds/cloud-run/cloud-run-cloud.ts';
import { openCloud } from '../support/clouds/cloud-run/open-cloud-run.ts';
import { rawRequest, sdkClients } from '../support/clouds/cloud-run/sdk-clients.ts';
import type { HttpFault } from '../support/clouds/faults.ts';
import { processesWith } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

type TaskTemplate = protos.google.cloud.run.v2.ITaskTemplate;

const PARENT = 'projects/p/locations/l';
const PATH = `/v2/${PARENT}/jobs`;
const fixture = (name: string): string =>
  readFileSync(new URL(`../support/clouds/cloud-run/fixtures/${name}`, import.meta.url), 'utf8');

/** Requests of a recording: path with query, and body where there is one. Some have the headers before the body. */
const recorded = (name: string): readonly { readonly url: string; readonly body: unknown }[] =>
  [...fixture(name).matchAll(/^> \w+ (\S+) (?:\{"ct":[^}]*\} ?)?(\{.*\})?$/gm)].map(([, url = '', body]) => ({
    url,
    body: body === undefined ? undefined : JSON.parse(body),
  }));

const shell = (script: string, over: TaskTemplate = {}): TaskTemplate => ({
  containers: [{ image: 'alpine', command: ['/bin/sh'], args: ['-c', script] }],
  maxRetries: 0,
  ...over,
});

const made = async (cloud: CloudRunCloud, template: TaskTemplate, jobId = 'j') => {
  const clients = sdkClients(cloud);
  const [operation] = await clients.jobs.createJob({ parent: PARENT, jobId, job: { template: { template } } });
  await operation.promise();
  return { ...clients, name: `${PARENT}/jobs/${jobId}` };
};

/** Runs a job to the end of its execution. */
const ran = async (cloud: CloudRunCloud, template: TaskTemplate, overrides?: object) => {
  const { jobs, executions, tasks, name } = await made(cloud, template);
  const [operation] = await jobs.runJob({ name, ...(overrides ? { overrides } : {}) });
  const ref = (operation.metadata as { name: string }).name;
  await cloud.executions[0]?.ended;
  const [execution] = await executions.getExecution({ name: ref });
  const [[task]] = await tasks.listTasks({ parent: ref }, { autoPaginate: false });
  return { execution, task, ref, result: task?.lastAttemptResult, executions };
};

describe('the local Cloud Run, by the real SDK', () => {
  test('is sent what was recorded of the SDK', async () => {
    const cloud = await openCloud();
    const { jobs, executions } = sdkClients(cloud);
    const [create, list, cancel] = recorded('sdk-wire-createjob.txt');
    const body = create?.body as { template: { template: object } };
    // A duration is the one thing that a caller writes in another way than it is sent.
    const template = { ...body.template, template: { ...body.template.template, timeout: { seconds: 60 } } };
    await jobs.createJob({ parent: PARENT, jobId: 'rcx-abc', job: { ...body, template } });
    await executions.listExecutions({ parent: `${PARENT}/jobs/-`, pageSize: 50 }, { autoPaginate: false });
    await executions.cancelExecution({ name: `${PARENT}/jobs/j/executions/e1` }).catch(() => {});
    expect(
      cloud.seen.map(({ path, query, body }) => [path + query, body === '' ? undefined : JSON.parse(body)]),
    ).toEqual([create, list, cancel].map((request) => [request?.url, request?.body]));
  });

  test('an override is sent as it was recorded', async () => {
    const cloud = await openCloud();
    const { jobs } = sdkClients(cloud);
    const [run] = recorded('sdk-wire-rest.txt');
    await jobs
      .runJob({
        name: 'projects/p/locations/us-central1/jobs/j',
        overrides: {
          containerOverrides: [{ args: ['a', 'b'], env: [{ name: 'X', value: '1' }] }],
          taskCount: 1,
          timeout: { seconds: 30 },
        },
      })
      .catch(() => {});
    expect(cloud.seen.map(({ path, query, body }) => [path + query, JSON.parse(body)])).toEqual([
      [run?.url, run?.body],
    ]);
  });

  test('the operation of a run has its execution at once, and is done when the execution has ended', async () => {
    const cloud = await openCloud();
    const go = join(tempDirectory(), 'go');
    const { jobs, name } = await made(cloud, shell(`while [ ! -e ${go} ]; do sleep 0.02; done`));
    const [operation] = await jobs.runJob({ name });
    const { name: ref } = operation.metadata as { name: string };
    expect(ref).toMatch(/^projects\/p\/locations\/l\/jobs\/j\/executions\/j-[0-9a-f]{5}$/);
    let isDone = false;
    const done = operation.promise().then(() => (isDone = true));
    await expect.poll(() => cloud.requests.get('GetOperation') ?? 0).toBeGreaterThan(1);
    expect([isDone, cloud.executions[0]?.isOver()]).toEqual([false, false]);
    writeFileSync(go, '');
    await done;
    expect(cloud.executions[0]?.isOver()).toBe(true);
  });

  test.for(['names', 'numbers'] as const)('enums written as %s are the same to the client', async (enums) => {
    const cloud = await openCloud({ enums });
    const { execution } = await ran(cloud, shell('exit 7'));
    expect(execution.conditions).toMatchObject([
      { type: 'Completed', state: 'CONDITION_FAILED', executionReason: 'NON_ZERO_EXIT_CODE' },
    ]);
  });

  test.for<[string, string, object, object]>([
    ['ends with 0', 'exit 0', { status: {} }, { exitCode: 0, termSignal: 0 }],
    ['ends with 7', 'exit 7', { exitCode: 7 }, { exitCode: 7, termSignal: 0 }],
    ['is ended by a signal', 'kill -SEGV $$', { termSignal: 11 }, { exitCode: 0, termSignal: 11 }],
    ['was never there', '', { status: {} }, { exitCode: 0, termSignal: 0 }],
  ])('a container that %s: what is 0 is not written, and is read as 0', async ([how, script, written, read]) => {
    const cloud = await openCloud();
    const template =
      how === 'was never there'
        ? { containers: [{ image: 'a', command: ['/no/such'] }], maxRetries: 0 }
        : shell(script);
    const { ref, result } = await ran(cloud, template);
    const { json } = await rawRequest(cloud, 'GET', `/v2/${ref}/tasks`);
    const [task] = (json as { tasks: { lastAttemptResult: object }[] }).tasks;
    expect(task?.lastAttemptResult).toMatchObject(written);
    expect(Object.keys(task?.lastAttemptResult ?? {}).toSorted()).toEqual(
      [...new Set(['status', ...Object.keys(written)])].toSorted(),
    );
    expect(result).toMatchObject(read);
  });

  test.for<[string, number | undefined, number]>([
    ['by default', undefined, 4],
    ['with maxRetries 3', 3, 4],
    ['with maxRetries 0', 0, 1],
  ])('pitfall 3: %s a container that fails is run %s retries, so %i times', async ([, maxRetries, times]) => {
    const cloud = await openCloud();
    const { maxRetries: _, ...template } = shell('echo again; exit 1');
    const { execution } = await ran(cloud, { ...template, ...(maxRetries === undefined ? {} : { maxRetries }) });
    expect(cloud.executions.map((one) => one.tries())).toEqual([times]);
    expect(cloud.executions[0]?.logs()).toEqual(Array(times).fill('again\n'));
    expect(execution).toMatchObject({ failedCount: 1, retriedCount: times > 1 ? 1 : 0 });
  });

  test('an override replaces arguments, merges the environment and shows in the execution', async () => {
    const cloud = await openCloud();
    const template = {
      containers: [
        {
          image: 'alpine',
          command: ['/bin/sh', '-c'],
          args: ['echo never'],
          env: [
            { name: 'A', value: 'job' },
            { name: 'B', value: 'job' },
          ],
        },
      ],
      maxRetries: 0,
    };
    const env = [
      { name: 'B', value: 'run' },
      { name: 'C', value: 'run' },
    ];
    const { execution } = await ran(cloud, template, { containerOverrides: [{ args: ['echo $A $B $C'], env }] });
    expect(cloud.executions[0]?.logs()).toEqual(['job run run\n']);
    expect(execution.template?.containers?.[0]?.env).toMatchObject([{ name: 'A' }, ...env]);
  });

  test('a container sees the environment it was given, a PATH and its own place, and nothing of this process', async () => {
    process.env['ERRAND_TEST_CANARY'] = 'must not be seen';
    const cloud = await openCloud();
    await ran(cloud, { containers: [{ image: 'a', command: ['/usr/bin/env'], env: [{ name: 'A', value: '1' }] }] });
    const names = cloud.executions[0]
      ?.logs()[0]
      ?.trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(names?.toSorted()).toEqual(['A', 'PATH', 'TMPDIR']);
  });

  const STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 0.05; done';
  test.for<[string, string, number]>([
    ['ends at TERM', 'trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done', 0],
    ['does not heed TERM', STUBBORN, 300],
  ])('a cancel of a container that %s leaves nothing of it', async ([, script, leastMs]) => {
    const cloud = await openCloud();
    const marker = `marker-${process.pid}-${leastMs}`;
    const { jobs, executions, name } = await made(cloud, shell(`M=${marker}; ${script}`));
    const [operation] = await jobs.runJob({ name });
    await expect.poll(() => cloud.executions[0]?.logs()).toEqual(['ready\n']);
    const began = Date.now();
    const ref = (operation.metadata as { name: string }).name;
    await executions.cancelExecution({ name: ref });
    await cloud.executions[0]?.ended;
    expect(Date.now() - began).toBeGreaterThanOrEqual(leastMs);
    const [execution] = await executions.getExecution({ name: ref });
    expect(execution).toMatchObject({ cancelledCount: 1, conditions: [{ executionReason: 'CANCELLED' }] });
    expect(processesWith(marker)).toEqual([]);
    await expect(executions.cancelExecution({ name: ref })).rejects.toMatchObject({ code: 9 });
  });

  test('the time-out of an override ends a container, and says so in words only', async () => {
    const cloud = await openCloud();
    const { result } = await ran(cloud, shell(STUBBORN), { timeout: { seconds: 1 } });
    expect(result).toMatchObject({ exitCode: 0, termSignal: 9, status: { message: expect.stringMatching(/timeout/) } });
  });

  test('a job is not run before it is ready, and not when its image cannot be pulled', async () => {
    const cloud = await openCloud({ brokenImages: ['broken'], createDelayMs: 200 });
    const { jobs } = sdkClients(cloud);
    const job = (image: string) => ({ template: { template: { containers: [{ image }] } } });
    const [good] = await jobs.createJob({ parent: PARENT, jobId: 'good', job: job('alpine') });
    await expect(jobs.runJob({ name: `${PARENT}/jobs/good` })).rejects.toMatchObject({ code: 9 });
    await good.promise();
    await jobs.runJob({ name: `${PARENT}/jobs/good` });
    const [bad] = await jobs.createJob({ parent: PARENT, jobId: 'bad', job: job('broken') });
    await expect(bad.promise()).rejects.toThrow(/not found/);
    const [found] = await jobs.getJob({ name: `${PARENT}/jobs/bad` });
    expect(found.terminalCondition).toMatchObject({ state: 'CONDITION_FAILED', reason: 'CONTAINER_MISSING' });
    await expect(jobs.runJob({ name: `${PARENT}/jobs/bad` })).rejects.toMatchObject({ code: 9 });
    await expect(jobs.createJob({ parent: PARENT, jobId: 'bad', job: job('alpine') })).rejects.toMatchObject({
      code: 6,
    });
    await jobs.deleteJob({ name: `${PARENT}/jobs/bad` });
    await expect(jobs.getJob({ name: `${PARENT}/jobs/bad` })).rejects.toMatchObject({ code: 5 });
  });

  test('of the executions that have ended a job keeps the newest, and lists them page by page', async () => {
    const cloud = await openCloud({ keptExecutions: 3, startDelayMs: 0 });
    const { jobs, executions, name } = await made(cloud, shell('true'));
    const refs: string[] = [];
    for (let n = 0; n < 5; n++) {
      const [operation] = await jobs.runJob({ name });
      refs.push((operation.metadata as { name: string }).name);
      await cloud.executions[n]?.ended;
    }
    const [first, , answer] = await executions.listExecutions({ parent: name, pageSize: 2 }, { autoPaginate: false });
    const pageToken = answer?.nextPageToken ?? '';
    const [second] = await executions.listExecutions({ parent: name, pageSize: 2, pageToken }, { autoPaginate: false });
    expect([...first, ...second].map((one) => one.name)).toEqual(refs.slice(2).reverse());
    await expect(executions.getExecution({ name: refs[0] ?? '' })).rejects.toMatchObject({ code: 5 });
    await executions.deleteExecution({ name: refs[4] ?? '' });
    await expect(executions.getExecution({ name: refs[4] ?? '' })).rejects.toMatchObject({ code: 5 });
  });

  test('runs no more at once than it may', async () => {
    const cloud = await openCloud({ mostRunning: 1 });
    const { jobs, name } = await made(cloud, shell('sleep 100'));
    await jobs.runJob({ name });
    await expect(jobs.runJob({ name })).rejects.toMatchObject({ code: 8 });
  });

  test.for<[string, HttpFault, number]>([
    ['429', { kind: 'status', status: 429 }, 8],
    ['500', { kind: 'status', status: 500 }, 13],
    ['503', { kind: 'status', status: 503 }, 14],
    ['a reset', { kind: 'reset' }, 14],
    ['a lost answer', { kind: 'answer-lost' }, 14],
  ])('after %s the client tries nothing again', async ([, fault, code]) => {
    const cloud = await openCloud();
    const { jobs, name } = await made(cloud, shell('true'));
    cloud.faults.next('RunJob', fault);
    await expect(jobs.runJob({ name })).rejects.toMatchObject({ code });
    expect(cloud.requests.get('RunJob')).toBe(1);
    expect(cloud.executions.length).toBe(fault.kind === 'answer-lost' ? 1 : 0);
  });

  const good = { template: { template: { containers: [{ image: 'alpine' }] } } };
  const container = (over: object) => ({ template: { template: { containers: [{ image: 'alpine', ...over }] } } });
  test.for<[string, string, { body?: unknown; headers?: Record<string, string | undefined> }, number, RegExp]>([
    ['no token', `${PATH}?jobId=a`, { body: good, headers: { authorization: undefined } }, 401, /credential/],
    [
      'no routing header',
      `${PATH}?jobId=a`,
      { body: good, headers: { 'x-goog-request-params': undefined } },
      400,
      /x-goog/,
    ],
    [
      'another location in it',
      `${PATH}?jobId=a`,
      { body: good, headers: { 'x-goog-request-params': 'location=x' } },
      400,
      /x-goog/,
    ],
    ['an unknown parameter', `${PATH}?jobId=a&colour=red`, { body: good }, 400, /colour/],
    ['no job id', PATH, { body: good }, 400, /job id/],
    ['an unknown field', `${PATH}?jobId=a`, { body: { ...good, colour: 1 } }, 400, /"colour"/],
    ['an unknown field deep inside', `${PATH}?jobId=a`, { body: container({ colour: 1 }) }, 400, /containers\[0\]/],
    ['a number for a text', `${PATH}?jobId=a`, { body: container({ image: 1 }) }, 400, /Invalid value/],
    [
      'an unknown enum',
      `${PATH}?jobId=a`,
      { body: { template: { template: { executionEnvironment: 9 } } } },
      400,
      /executionEnvironment/,
    ],
    ['what is not JSON', `${PATH}?jobId=a`, { body: '{' }, 400, /JSON/],
    ['no image', `${PATH}?jobId=a`, { body: { template: { template: { containers: [{}] } } } }, 400, /image/],
    ['3 processors', `${PATH}?jobId=a`, { body: container({ resources: { limits: { cpu: '3' } } }) }, 400, /cpu/],
    [
      'too little memory',
      `${PATH}?jobId=a`,
      { body: container({ resources: { limits: { cpu: '4', memory: '1Gi' } } }) },
      400,
      /memory/,
    ],
    [
      'too long a variable',
      `${PATH}?jobId=a`,
      { body: container({ env: [{ name: 'A', value: 'x'.repeat(32_769) }] }) },
      400,
      /32768/,
    ],
    [
      'too long a time-out',
      `${PATH}?jobId=a`,
      { body: { template: { template: { containers: [{ image: 'a' }], timeout: '604801s' } } } },
      400,
      /168/,
    ],
    ['a job that is not there', `${PATH}/none:run`, { body: {} }, 404, /not found/],
    ['a method that is not there', '/v2/entries:list', { body: {} }, 404, /Method/],
  ])('refuses %s', async ([, path, request, status, words]) => {
    const cloud = await openCloud();
    const { status: answered, json } = await rawRequest(cloud, 'POST', path, request);
    expect([answered, json.error?.message]).toEqual([status, expect.stringMatching(words)]);
  });

  test('closing kills what runs', async () => {
    const cloud = await openCloud();
    const marker = `closing-${process.pid}`;
    const { jobs, name } = await made(cloud, shell(`M=${marker}; ${STUBBORN}`));
    await jobs.runJob({ name });
    await expect.poll(() => cloud.executions[0]?.logs()).toEqual(['ready\n']);
    await cloud.close();
    expect(processesWith(marker)).toEqual([]);
  });
});
