import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Run } from '../../shared/providers/provider.ts';
import type { Operation } from '../support/clouds/cloud-run/discovery.ts';
import { CONFIG, INSTALLATION, openCloudRun, PARENT } from '../support/clouds/cloud-run/open-cloud-run.ts';
import {
  ANSWER_LOST,
  counts,
  ended,
  FASTER,
  HANG,
  heldBy,
  isUp,
  RESET,
  shell,
  sleeper,
  start,
  started,
  status,
} from '../support/clouds/cloud-run/runs.ts';
import { sdkClients } from '../support/clouds/cloud-run/sdk-clients.ts';
import type { HttpFault } from '../support/clouds/faults.ts';
import { aRun, recordedIo } from '../support/run-io.ts';

describe('a look at a run on cloud-run', () => {
  test.for<[string, string, object]>([
    ['ended by itself', 'exit 0', { kind: 'gone', detail: expect.stringMatching(/did not say/) }],
    ['ended with a status', 'exit 3', { kind: 'gone', detail: expect.stringMatching(/ended with status 3/) }],
    ['ended by a signal', 'kill -SEGV $$', { kind: 'gone', detail: expect.stringMatching(/was ended by signal 11/) }],
    ['was killed', 'kill -KILL $$', { kind: 'gone', exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true } }],
    ['ended with 137', 'exit 137', { kind: 'gone', exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true } }],
  ])('pitfall 7: a container that %s is no success of the command', async ([, script, expected]) => {
    const { own, cloud } = await openCloudRun({ runner: shell(script) });
    const observed = await ended(cloud, own, await started(own));
    expect(observed).toMatchObject(expected);
    expect(observed).not.toHaveProperty('exit.exitCode', 0);
  });

  test('pitfall 7: a failed task without code and signal, which read as 0, is not known', async () => {
    const { own, cloud } = await openCloudRun({ runner: ['/no/such/program'] });
    const observed = await ended(cloud, own, await started(own));
    expect(observed).toEqual({ kind: 'gone', detail: expect.stringMatching(/does not know/) });
  });

  test('a container that was out of memory says so', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, outOfMemoryAfterMs: { [CONFIG.image]: 50 } });
    expect(await ended(cloud, own, await started(own))).toMatchObject({
      kind: 'gone',
      exit: { outOfMemory: true, detail: expect.stringMatching(/memoryMiB/) },
    });
  });

  test('a task that was ended by its own time-out was not out of memory', async () => {
    const { own, cloud } = await openCloudRun({
      runner: shell('trap "" TERM; while :; do sleep 0.05; done'),
      graceMs: 50,
    });
    // Its task has 300 s more than its command: one second in all.
    const run = aRun(['/bin/true'], { timeoutSeconds: -299 });
    expect(await ended(cloud, own, await started(own, run))).toEqual({
      kind: 'gone',
      detail: expect.stringMatching(/timeout/),
    });
  });

  test('an image that vanished since the job was made never starts', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, vanishedImages: [CONFIG.image] });
    expect(await ended(cloud, own, await started(own))).toEqual({
      kind: 'failed',
      detail: expect.stringMatching(/runner:1.*not found/),
    });
  });

  test('one that waits for its container is alive', async () => {
    const { own } = await openCloudRun({ runner: sleeper, startDelayMs: 60_000 });
    expect(await own.observe(await started(own))).toEqual({ kind: 'alive' });
  });

  test('pitfall 19: an execution that Cloud Run has dropped is gone', async () => {
    const { own, cloud } = await openCloudRun({ runner: shell('exit 0'), keptExecutions: 0 });
    const run = await started(own);
    expect(await ended(cloud, own, run)).toEqual({ kind: 'gone', detail: expect.stringMatching(/removed/) });
    await own.cancel(run);
  });

  test('pitfall 19: a search in many executions ends after a bounded number of pages', async () => {
    const { own, cloud } = await openCloudRun({ runner: shell('exit 0'), startDelayMs: 60_000, mostRunning: 5_000 });
    const { ref } = await started(own);
    const { jobs } = sdkClients(cloud);
    const name = String(ref).split('/executions/')[0] ?? '';
    for (let n = 0; n < 22; n++) await Promise.all(Array.from({ length: 100 }, () => jobs.runJob({ name })));
    expect(await own.observe(aRun(['/bin/true']))).toMatchObject({ kind: 'gone' });
    expect(cloud.requests.get('ListExecutions')).toBe(20);
    // The oldest of all, which the bounded search does not reach, is still found by its name.
    expect((await heldBy(own)).length).toBe(0);
    expect(await own.observe({ ...aRun(['/bin/true']), ref: String(ref) })).toEqual({ kind: 'alive' });
  });

  test('pitfall 14: it never asks for logs, nor for anything but jobs, executions and tasks', async () => {
    const { own, provider, cloud } = await openCloudRun();
    await provider.start(aRun(['/bin/sh', '-c', 'echo output']), recordedIo());
    await heldBy(own);
    await own.health();
    expect(cloud.strays).toEqual([]);
    const folder = new URL('../../shared/providers/cloud-run/', import.meta.url);
    const sources = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
    expect(sources.join('\n')).not.toMatch(/@google-cloud\/logging|logging\.googleapis|logUri/);
  });

  test.for<[string, readonly HttpFault[]]>([
    ['500', [status(500)]],
    ['503 three times', Array<HttpFault>(3).fill(status(503))],
    ['429', [status(429)]],
    ['a reset', [RESET]],
    ['no answer', [HANG]],
  ])('is repeated after %s', async ([, faults]) => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, ...FASTER });
    const run = await started(own);
    cloud.faults.next('GetExecution', ...faults);
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
    expect(cloud.requests.get('GetExecution')).toBe(faults.length + 1);
  });

  test('is given up after four times, and says nothing of the run', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, ...FASTER });
    const run = await started(own);
    cloud.faults.next('GetExecution', ...Array<HttpFault>(9).fill(status(503)));
    await expect(own.observe(run)).rejects.toThrow(/does not answer, or fails/);
    expect(cloud.requests.get('GetExecution')).toBe(4);
  });

  test.for<[Operation, string]>([
    ['ListTasks', 'exit 3'],
    ['ListExecutions', 'exit 3'],
  ])('is repeated when %s fails', async ([operation, script]) => {
    const { own, cloud } = await openCloudRun({ runner: shell(script), ...FASTER });
    const { ref, ...run } = await started(own);
    cloud.faults.next(operation, status(503));
    expect(await ended(cloud, own, run)).toMatchObject({ detail: expect.stringMatching(/status 3/) });
    expect(ref).toBeDefined();
  });
});

describe('a cancel on cloud-run', () => {
  test('ends a run, and twice is the same as once', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const run = await started(own);
    await isUp(cloud);
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toEqual({ kind: 'gone', detail: expect.stringMatching(/canceled/) });
    await own.cancel(run);
    expect(cloud.requests.get('CancelExecution')).toBe(2);
  });

  test('ends a runner that does not heed TERM', async () => {
    const { own, cloud } = await openCloudRun({
      runner: shell('trap "" TERM; echo up; while :; do sleep 0.05; done'),
      graceMs: 200,
    });
    const run = await started(own);
    await isUp(cloud);
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toEqual({ kind: 'gone', detail: expect.stringMatching(/canceled/) });
  });

  test('before its container is there, none comes', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, startDelayMs: 60_000 });
    const run = await started(own);
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toMatchObject({ kind: 'gone' });
    expect(cloud.executions[0]?.tries()).toBe(0);
  });

  test.for<[string, HttpFault]>([
    ['429', status(429)],
    ['500', status(500)],
    ['503', status(503)],
    ['a reset', RESET],
    ['no answer', HANG],
    ['an answer that was lost', ANSWER_LOST],
  ])('is repeated after %s', async ([, fault]) => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, ...FASTER });
    const run = await started(own);
    cloud.faults.next('CancelExecution', fault);
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toMatchObject({ kind: 'gone' });
  });

  test('that is refused says so', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const run = await started(own);
    cloud.faults.next('CancelExecution', status(403));
    await expect(own.cancel(run)).rejects.toThrow(/role/);
  });
});

describe('what cloud-run holds', () => {
  test('pitfall 20: only what carries this installation’s mark, and still runs, is named', async () => {
    const { own, another, cloud } = await openCloudRun({ runner: sleeper });
    const [ours, canceled] = [await started(own), await started(own)];
    const theirs = await started(await another({ installation: 'errand-test-2' }));
    await own.cancel(canceled);
    await expect.poll(() => cloud.executions[1]?.isOver()).toBe(true);
    // A job that is named as ours are, and is someone else's.
    const { jobs } = sdkClients(cloud);
    const template = { template: { containers: [{ image: 'a', command: ['/bin/sleep'], args: ['1000'] }] } };
    const jobId = `${INSTALLATION}-0123456789abcdef0123`;
    await jobs.createJob({ parent: PARENT, jobId, job: { template } });
    await jobs.runJob({ name: `${PARENT}/jobs/${jobId}` });
    const held = await heldBy(own);
    expect(held).toEqual([
      { key: ours.key, tenant: ours.tenant, worker: '', ref: ours.ref, createdAt: expect.any(Number) },
    ]);
    expect(Math.abs((held[0]?.createdAt ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(await own.observe(theirs)).toEqual({ kind: 'alive' });
  });

  test('pitfall 19: what stands on later pages is named too, once each, page by page', async () => {
    const { own, cloud } = await openCloudRun({ startDelayMs: 60_000 });
    const runs: Run[] = [];
    for (let n = 0; n < 12; n++) runs.push(...(await Promise.all(Array.from({ length: 10 }, () => started(own)))));
    const held = await heldBy(own);
    expect(held.map(({ key }) => key).toSorted()).toEqual(runs.map(({ key }) => key).toSorted());
    expect(cloud.requests.get('ListExecutions')).toBe(2);
  });

  test('a page that fails is asked for again, and for good it is an error, not an end of the list', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper, ...FASTER });
    await started(own);
    cloud.faults.next('ListExecutions', status(503), RESET);
    expect((await heldBy(own)).length).toBe(1);
    cloud.faults.next('ListExecutions', status(403));
    await expect(heldBy(own)).rejects.toThrow();
  });

  test('an orphan that it names can be ended', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    await started(own);
    for (const run of await heldBy(own)) await own.cancel(run);
    await cloud.executions[0]?.ended;
    expect(await heldBy(own)).toEqual([]);
  });

  test('a mark that is not of this form is nobody’s', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const { ref } = await started(own);
    const name = String(ref).split('/executions/')[0] ?? '';
    for (const value of [
      '',
      INSTALLATION,
      `${INSTALLATION}/default`,
      `${INSTALLATION}/default/`,
      `${INSTALLATION}/a/b/c`,
    ]) {
      const env = [{ name: 'ERRAND_RUN', value }];
      await sdkClients(cloud).jobs.runJob({ name, overrides: { containerOverrides: [{ env }] } });
    }
    expect((await heldBy(own)).map((run) => run.ref)).toEqual([ref]);
  });
});

describe('the health of cloud-run', () => {
  test.for<[string, HttpFault, RegExp]>([
    ['may not', status(403), /role/],
    ['has no project', status(404), /`project` and `region`/],
    ['is throttled', status(429), /quota/],
    ['fails', status(503), /does not answer, or fails/],
    ['does not answer', HANG, /does not answer, or fails/],
  ])('one that %s is not healthy, and says what to do; it is one request', async ([, fault, words]) => {
    const { own, cloud } = await openCloudRun(FASTER);
    cloud.faults.next('ListJobs', fault);
    expect(await own.health()).toEqual({ healthy: false, detail: expect.stringMatching(words) });
    expect(counts(cloud)).toEqual({ ListJobs: 1 });
  });

  test('closing waits for a start under way, and leaves executions alone', async () => {
    const { own, cloud } = await openCloudRun({ runner: sleeper });
    const starting = start(own);
    await own.close();
    expect(await starting).toMatchObject({ kind: 'accepted' });
    await isUp(cloud);
    expect(await start(own)).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    expect(cloud.executions.map((one) => one.isOver())).toEqual([false]);
  });
});
