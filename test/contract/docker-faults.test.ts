import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Run } from '../../shared/providers/provider.ts';
import { type DaemonFault, daemonProxy } from '../support/containers/daemon-proxy.ts';
import { missingFor, type RunningDaemon, startDaemon } from '../support/containers/daemons.ts';
import { openDocker } from '../support/containers/open-docker.ts';
import { processesOf } from '../support/containers/processes.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

const missing = missingFor('dockerd');
const needs = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';
const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);

const CREATE = /^POST \/containers\/create/;
const ATTACH = /\/attach$/;
const START = /\/start$/;
const WAIT = /\/wait$/;
const KILL = /\/kill$/;
const REMOVE = /^DELETE /;
const VERSION = /\/version$/;

describe.skipIf(missing.length > 0)(`docker, when the daemon does not do what it should${needs}`, () => {
  let daemon: RunningDaemon;
  beforeAll(async () => {
    daemon = await startDaemon('dockerd');
  });
  afterAll(() => daemon?.close());
  afterEach(async () => expect(await daemon.containers()).toEqual([]));

  const open = async (times = 20) => {
    const proxy = await daemonProxy(daemon.socketPath);
    const provider = await openDocker(
      { ...daemon, socketPath: proxy.socketPath },
      { context: { clock: fasterClock(times) } },
    );
    return { proxy, provider };
  };

  /** How often the daemon says that the run was started. */
  const startsOf = async ({ key }: Run): Promise<number> => {
    const filters = JSON.stringify({ event: ['start'], container: [`errand-${key}`] });
    const until = (Date.now() / 1_000).toFixed(3);
    const query = new URLSearchParams({ since: '1', until, filters });
    const events = await daemon.text('GET', `/events?${query}`);
    return events.split('\n').filter(Boolean).length;
  };

  test.for<[string, RegExp, DaemonFault, number, string, boolean | undefined]>([
    ['the version is not told', VERSION, 'hang', Number.POSITIVE_INFINITY, 'rejected', true],
    ['create hangs', CREATE, 'hang', 1, 'rejected', true],
    ['create breaks off', CREATE, 'reset', 1, 'rejected', true],
    ['create is refused', CREATE, 400, 1, 'rejected', false],
    ['create fails', CREATE, 500, 1, 'rejected', true],
    ['create is done, and its answer is lost', CREATE, 'lost', 1, 'ended', undefined],
    ['create is done, and never answered', CREATE, 'late', 1, 'ended', undefined],
    ['create is done, and half answered', CREATE, 'stall', 1, 'ended', undefined],
    ['attach hangs', ATTACH, 'hang', 1, 'rejected', true],
    ['attach breaks off', ATTACH, 'reset', 1, 'rejected', true],
    ['start breaks off', START, 'reset', 1, 'lost', undefined],
    ['start hangs', START, 'hang', 1, 'lost', undefined],
    ['start is refused', START, 400, 1, 'rejected', false],
    ['start fails', START, 500, 1, 'rejected', true],
    ['start finds no container', START, 404, 1, 'rejected', false],
    ['start is done, and its answer is lost', START, 'lost', 1, 'ended', undefined],
    ['start is done, and never answered', START, 'late', 1, 'ended', undefined],
    ['the end cannot be asked for', WAIT, 'reset', 1, 'lost', undefined],
    ['the end is half told', WAIT, 'stall', 1, 'ended', undefined],
    ['the removal fails', REMOVE, 500, 1, 'ended', undefined],
    ['the removal is done, and its answer is lost', REMOVE, 'lost', 1, 'ended', undefined],
  ])('%s: it ends as it should, and never runs twice', async ([, call, fault, times, kind, retryable]) => {
    const { proxy, provider } = await open();
    proxy.fail(call, fault, times);
    const io = recordedIo();
    const run = sh('echo ran');
    const outcome = await provider.start(run, io);
    expect(outcome).toMatchObject(retryable === undefined ? { kind } : { kind, fault: { retryable } });
    const starts = await startsOf(run);
    if (kind === 'ended')
      expect([outcome, io.text('stdout'), starts]).toMatchObject([{ exit: { exitCode: 0 } }, 'ran\n', 1]);
    else if (kind === 'rejected') expect([io.text('stdout'), starts]).toEqual(['', 0]);
    else expect(starts).toBeLessThanOrEqual(1);
  });

  test.for<[string, RegExp]>([
    ['its output', ATTACH],
    ['its end', WAIT],
  ])(
    'a connection for %s that breaks in the middle makes the run lost, and nothing of it is left',
    async ([, call]) => {
      const { proxy, provider } = await open();
      const io = recordedIo();
      const run = sh('echo ready; sleep 1000');
      const running = provider.start(run, io);
      await io.seen('stdout', 'ready');
      await vi.waitFor(() => expect(proxy.seen.filter((one) => call.test(one))).toHaveLength(1));
      proxy.cut(call);
      expect(await running).toMatchObject({ kind: 'lost', detail: expect.stringContaining('broke') });
      expect(processesOf(run)).toEqual([]);
    },
  );

  test('input that was cut off is not taken for its end', async () => {
    const { proxy, provider } = await open();
    const input = openInput();
    const io = recordedIo({ stdin: input });
    const running = provider.start(sh('cat; echo all; sleep 1000'), io);
    input.write('first\n');
    await io.seen('stdout', 'first');
    // The second attach is the input's.
    proxy.cutLast(ATTACH);
    expect(await running).toMatchObject({ kind: 'lost' });
  });

  test('a stop is told as done only when the container was seen gone', async () => {
    const { proxy, provider } = await open();
    const io = recordedIo();
    const run = sh('echo ready; sleep 1000');
    const running = provider.start(run, io);
    await io.seen('stdout', 'ready');
    proxy.fail(KILL, 'hang', 2);
    proxy.fail(REMOVE, 500, 2);
    io.stopNow();
    expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: null, signal: 'SIGKILL' } });
    expect(processesOf(run)).toEqual([]);
  });

  test('a daemon that does not answer is not healthy, and keeps nobody waiting', async () => {
    const { proxy, provider } = await open();
    proxy.fail(/_ping/, 'hang', 1);
    expect(await provider.health()).toEqual({ healthy: false, detail: 'The Docker daemon does not answer.' });
    proxy.fail(/_ping/, 500, 1);
    expect(await provider.health()).toMatchObject({ healthy: false, detail: expect.stringContaining('500') });
    expect(await provider.health()).toEqual({ healthy: true });
  });

  test('a daemon that is not there refuses a start that may be tried again', async () => {
    const provider = await openDocker({ ...daemon, socketPath: '/no/such/docker.sock' });
    expect(await provider.start(sh('true'), recordedIo())).toMatchObject({
      kind: 'rejected',
      fault: { retryable: true, detail: expect.stringContaining('ENOENT') },
    });
    expect(await provider.health()).toMatchObject({
      healthy: false,
      detail: expect.stringContaining('no such socket'),
    });
  });

  test('closing does not wait for a daemon that hangs', async () => {
    const { proxy, provider } = await open();
    const io = recordedIo();
    const run = sh('echo ready; sleep 1000');
    const running = provider.start(run, io);
    await io.seen('stdout', 'ready');
    proxy.fail(/./, 'hang');
    await provider.close();
    expect(await running).toMatchObject({ kind: 'lost' });
    // Whoever looks next ends it.
    const next = await openDocker(daemon, { context: { isWorkerAlive: async () => false } });
    expect(await next.observe(run)).toMatchObject({ kind: 'gone' });
    expect(processesOf(run)).toEqual([]);
  });
});
