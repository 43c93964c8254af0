import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { EndHead, OutputHead, RunnerOutlook, StartOrder } from '../../../shared/contract/runner.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { toRunnerToken } from '../../../shared/domain/runner-token.ts';
import { providers } from '../../../shared/providers/registry.ts';
import { makeControl } from '../../../shared/runner/control.ts';
import { decodeFramed } from '../../../shared/runner/framed.ts';
import { runAttemptHere } from '../../../shared/runner/runner.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import { commandId } from '../../support/commands.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';
import { processesWith } from '../../support/processes.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const MINUTE = 60_000;
const GOING_ON: RunnerOutlook = { stop: false, over: false, signals: [] };

/** The real runner and launcher, on a clock that stands still and a control plane that answers as a test tells it. */
const open = async (script: string, over: Partial<StartOrder> = {}) => {
  const clock = fakeClock();
  const evicted = new AbortController();
  const mark = `MARK-${Math.random()}`;
  const order: StartOrder = {
    argv: ['/bin/sh', '-c', script],
    env: { mark },
    stdin: 'none',
    timeoutSeconds: 100_000,
    lookEverySeconds: 10,
    keepBytes: LIMITS.outputBytes,
    ...over,
  };
  const plane = {
    away: false,
    outlook: GOING_ON,
    /** Answers output with this status. */
    outputStatus: 204,
    looks: 0,
    chunks: [] as { head: OutputHead; bytes: Uint8Array }[],
    ends: [] as { head: EndHead; bytes: Uint8Array }[],
  };
  const answer = (path: string, body: unknown): Response => {
    if (path === 'redeem') return Response.json(order);
    if (path === 'look') plane.looks++;
    if (path === 'look') return Response.json(plane.outlook);
    const framed = decodeFramed(body as Uint8Array) as never;
    if (path === 'output' && plane.outputStatus === 204) plane.chunks.push(framed);
    if (path === 'end') plane.ends.push(framed);
    return new Response(null, { status: path === 'output' ? plane.outputStatus : 204 });
  };
  const launcher = await providers.local({
    workDirectory: join(tempDirectory(), 'work'),
    isOwnerAlive: async () => true,
    helpers: 1,
    graceSeconds: 0.3,
  });
  onTestFinished(() => launcher.close());
  const token = toRunnerToken({
    tenant: toTenantId('default'),
    id: commandId(process.pid),
    attempt: 1,
    ticket: 'a1'.repeat(16),
  });
  const control = makeControl({
    url: 'http://control.example',
    token,
    runner: 'b2'.repeat(16),
    clock,
    fetch: async (url, { body }) => {
      if (plane.away) throw new TypeError('fetch failed');
      return answer(url.slice(url.lastIndexOf('/') + 1), body);
    },
  });
  let left = false;
  const running = runAttemptHere({ token, control, launcher, clock, log: silentLog, evicted: evicted.signal });
  void running.then(() => (left = true));
  /** Moves time by as little as it takes until something is so. */
  const until = async (isSo: () => boolean, stepMs = 1) => {
    while (!isSo()) await clock.advance(stepMs);
  };
  const written = () => Buffer.concat(plane.chunks.map(({ bytes }) => bytes)).toString();
  return { clock, evicted, plane, running, until, written, mark, hasLeft: () => left };
};

const onLinux = test.skipIf(process.platform !== 'linux');

describe('the runner', () => {
  test('reports the end once, with the output that was not sent yet', async () => {
    const { plane, until, hasLeft } = await open('printf out; printf err >&2; exit 7');
    await until(hasLeft);
    expect(plane.ends).toHaveLength(1);
    expect(plane.ends[0]).toMatchObject({
      head: {
        kind: 'ended',
        exit: { exitCode: 7, signal: null },
        output: { stdoutBytes: 3, stderrBytes: 3, droppedBytes: 0 },
        chunk: { stdoutOffset: 0, stderrOffset: 0 },
      },
    });
    expect(Buffer.from(plane.ends[0]?.bytes ?? []).length).toBe(6);
  });

  test('sends no secret: not in its output, not in the words of its end, not when it is cut off', async () => {
    const TOKEN = 'hunter2-is-no-password';
    const secrets = { TOKEN: Buffer.from(TOKEN).toString('base64') };
    const { plane, until, hasLeft } = await open('printf "$TOKEN"; printf hunter >&2; exit 1', { secrets });
    await until(hasLeft);
    expect(plane.ends).toMatchObject([
      { head: { exit: { exitCode: 1, redactions: 1 }, output: { stdoutBytes: 3, stderrBytes: 6 } } },
    ]);
    expect(Buffer.from(plane.ends[0]?.bytes ?? []).toString()).toMatch(/^(\*{3}hunter|hunter\*{3})$/);
    const absent = await open('', { secrets, argv: [`/${TOKEN}/program`] });
    await absent.until(absent.hasLeft);
    expect(absent.plane.ends).toMatchObject([{ head: { kind: 'ended', exit: { exitCode: 127 } } }]);
    expect(JSON.stringify(absent.plane.ends[0]?.head)).toMatch(/\*{3}/);
    expect(JSON.stringify(absent.plane.ends)).not.toContain(TOKEN);
  });

  test('told that its machine is to end stops the command at once, though nobody answers, and reports it', async () => {
    const { plane, until, written, evicted, clock, hasLeft, mark } = await open('echo ready; sleep 1000');
    await until(() => written() === 'ready\n');
    plane.away = true;
    const before = clock.now();
    evicted.abort();
    if (process.platform === 'linux') while (processesWith(mark).length > 0) await settle();
    expect(clock.now()).toBe(before);
    plane.away = false;
    await until(hasLeft, 100);
    expect(plane.ends).toMatchObject([{ head: { kind: 'ended', evicted: true, exit: { signal: 'SIGTERM' } } }]);
  });

  test('told so, a command that ends with a status of its own has the last word', async () => {
    const { plane, until, written, evicted, hasLeft } = await open(
      "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done",
    );
    await until(() => written() === 'ready\n');
    evicted.abort();
    await until(hasLeft);
    expect(plane.ends).toMatchObject([{ head: { kind: 'ended', exit: { exitCode: 5 } } }]);
    expect(plane.ends[0]?.head).not.toHaveProperty('evicted');
  });

  test('told so before it executes executes nothing, and says so', async () => {
    const { plane, until, evicted, hasLeft } = await open('echo ran');
    evicted.abort();
    await until(hasLeft);
    expect(plane.ends).toMatchObject([
      { head: { kind: 'ended', evicted: true, exit: { exitCode: null, signal: null }, output: { stdoutBytes: 0 } } },
    ]);
  });

  test('ends a command by itself soon after its time, when the control plane cannot say so', async () => {
    const { plane, until, written, clock, hasLeft } = await open('echo ready; sleep 1000', { timeoutSeconds: 60 });
    const start = clock.now();
    await until(() => written() === 'ready\n');
    plane.away = true;
    await clock.advance(start + MINUTE - clock.now());
    expect(hasLeft()).toBe(false);
    await clock.advance(MINUTE / 2);
    plane.away = false;
    await until(hasLeft, 100);
    expect(plane.ends).toMatchObject([{ head: { kind: 'ended', exit: { signal: 'SIGTERM' } } }]);
  });

  onLinux('leaves after a while when nobody is there to be told, also with output that nobody took', async () => {
    const { plane, until, written, hasLeft, mark, clock } = await open('echo ready; yes', { timeoutSeconds: 60 });
    await until(() => written().startsWith('ready\n'));
    plane.away = true;
    await clock.advance(15 * MINUTE);
    expect(hasLeft()).toBe(false);
    await clock.advance(2 * MINUTE);
    await until(hasLeft, 1_000);
    expect(processesWith(mark)).toEqual([]);
    expect(plane.ends).toEqual([]);
  });

  onLinux('that nobody waits for stops the command, leaves, and has nothing to say', async () => {
    const { plane, until, written, hasLeft, mark } = await open('echo ready; yes');
    await until(() => written().startsWith('ready\n'));
    plane.outlook = { stop: true, over: true, signals: [] };
    plane.outputStatus = 409;
    await until(hasLeft, 1_000);
    expect(processesWith(mark)).toEqual([]);
    expect(plane.ends).toEqual([]);
  });

  test('delivers each signal once, in order, though it is told all of them each time', async () => {
    const script =
      "exec 2>/dev/null; trap 'echo hup' HUP; trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.02; done";
    const { plane, until, written, hasLeft, clock } = await open(script);
    await until(() => written() === 'ready\n');
    plane.outlook = { ...GOING_ON, signals: ['SIGHUP'] };
    await until(() => written() === 'ready\nhup\n', 100);
    const { looks } = plane;
    await until(() => plane.looks > looks + 1, 100);
    plane.outlook = { ...GOING_ON, signals: ['SIGHUP', 'SIGUSR1'] };
    await until(hasLeft, 100);
    expect(written() + Buffer.from(plane.ends[0]?.bytes ?? []).toString()).toBe('ready\nhup\nusr1\n');
    expect(clock.sleepers()).toBe(0);
  });

  test('keeps all output while the control plane is away, and sends it when it is back', async () => {
    const { plane, until, written, hasLeft } = await open('echo one; read go; seq 50000', {
      stdin: { base64: Buffer.from('go\n').toString('base64') },
    });
    plane.away = true;
    for (let i = 0; i < 20; i++) await settle();
    plane.away = false;
    await until(hasLeft, 100);
    const [end] = plane.ends;
    const expected = `one\n${Array.from({ length: 50_000 }, (_, i) => `${i + 1}\n`).join('')}`;
    expect(written() + Buffer.from(end?.bytes ?? []).toString()).toBe(expected);
    expect(end?.head).toMatchObject({ output: { stdoutBytes: expected.length } });
  });

  test('reports an end whose words would be refused for their length with fewer', async () => {
    const { plane, until, hasLeft } = await open('', {
      argv: ['no-such-program', 'x'],
      env: { PATH: '/nowhere-é:'.repeat(400) },
    });
    await until(hasLeft);
    const head = plane.ends[0]?.head as Extract<EndHead, { kind: 'ended' }>;
    expect(head.exit).toMatchObject({ exitCode: 127, detail: expect.stringContaining('no-such-program') });
    expect(head.exit.detail?.length).toBeLessThanOrEqual(LIMITS.detailCharacters);
  });

  test('does not execute what it may not, and leaves silently', async () => {
    const { plane, until, hasLeft } = await open('echo ran', { argv: ['true'] });
    plane.away = true;
    await until(hasLeft, 1_000);
    expect([plane.chunks, plane.ends, plane.looks]).toEqual([[], [], 0]);
  });
});
