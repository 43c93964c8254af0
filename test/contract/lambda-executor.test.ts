import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../machine/system-clock.ts';
import { makeExecutor } from '../../runner/lambda/executor.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { makeRecordReader } from '../../shared/providers/lambda/stream-frames.ts';
import type { Run } from '../../shared/providers/provider.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { hasOwnMachines } from '../support/clouds/lambda/environment-process.ts';
import { openLambda } from '../support/clouds/lambda/open-lambda.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);

/** Its environment cleared, its session left, its parent gone: nothing ties it to its command any more. */
const UNTIED = '(setsid env -i sleep 1000 >/dev/null 2>&1 </dev/null &)';

describe.skipIf(!hasOwnMachines)('the executor, on a machine of its own', () => {
  const run = async ({ provider }: Awaited<ReturnType<typeof openLambda>>, command: Run) => {
    const io = recordedIo();
    const outcome = await provider.start(command, io);
    return { outcome, stdout: io.text('stdout'), stderr: io.text('stderr') };
  };
  const ok = { kind: 'ended', exit: { exitCode: 0 } };

  test('canary: what one tenant leaves is seen by no other, and not by its own next command', async () => {
    const opened = await openLambda();
    const [a, b] = [toTenantId('tenant-a'), toTenantId('tenant-b')];
    const leave = `echo canary > $HOME/../../canary; echo canary > $HOME/../canary; ${UNTIED}; echo left`;
    expect(await run(opened, sh(leave, { tenant: a }))).toMatchObject({ outcome: ok, stdout: 'left\n' });
    await opened.cloud.quiet();
    const find =
      'find $HOME/../.. -name "canary*"; for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done | grep "^sleep"; echo looked';
    for (const tenant of [b, a]) {
      expect(await run(opened, sh(find, { tenant }))).toMatchObject({ outcome: ok, stdout: 'looked\n', stderr: '' });
      await opened.cloud.quiet();
    }
    // Two environments: that of tenant a went on, clean.
    expect(opened.cloud.environments.length).toBe(2);
  });

  test.for<[string, string]>([
    ['in its group', 'sleep 1000 &'],
    ['in a session of its own', 'setsid sleep 1000 >/dev/null 2>&1 </dev/null &'],
    ['untied from all that it came from', UNTIED],
    ['many of them', `for n in 1 2 3 4 5 6 7 8 9 10; do ${UNTIED}; done`],
    ['untied, stopped', '(setsid env -i sh -c "kill -STOP \\$\\$" >/dev/null 2>&1 </dev/null &)'],
  ])('pitfall 10: a process left %s is gone when the end is told', async ([, script]) => {
    const opened = await openLambda();
    await run(opened, sh('true'));
    await opened.cloud.quiet();
    const [environment] = opened.cloud.environments;
    const before = environment?.pids().toSorted();
    expect(await run(opened, sh(`${script}\necho left`))).toMatchObject({ outcome: ok, stdout: 'left\n' });
    // Of what was there before all is there, and nothing else.
    expect(environment?.pids().toSorted()).toEqual(before);
    await opened.cloud.quiet();
    expect(opened.cloud.environments.length).toBe(1);
  });

  test('one that starts itself again and again is ended, or its environment is', async () => {
    const opened = await openLambda();
    const again =
      'printf \'#!/bin/sh\\nsetsid env -i "$0" >/dev/null 2>&1 </dev/null &\\n\' > again; chmod +x again; ./again';
    expect(await run(opened, sh(`${again}; echo left`))).toMatchObject({ outcome: ok, stdout: 'left\n' });
    await opened.cloud.quiet();
    const pids = opened.cloud.environments[0]?.pids() ?? [];
    expect(pids.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('again'))).toEqual([]);
    expect(await run(opened, sh('true'))).toMatchObject({ outcome: ok });
  });

  test('the sweep takes no thread of what was there before for a stranger', async () => {
    const program = fileURLToPath(new URL('../support/programs/sweep-among-threads.ts', import.meta.url));
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', program];
    const { stdout } = await promisify(execFile)('unshare', ['--pid', '--fork', '--mount-proc', ...node]);
    expect(stdout).toBe('old alive, stranger SIGKILL\n');
  });

  test('pitfall 9: the credentials of the function are nowhere to be found', async () => {
    const opened = await openLambda();
    const count = (text: string) => `cat /proc/[0-9]*/environ | tr "\\0" "\\n" | grep -c "${text}"`;
    // The first shows that the runtime's environment can be read: both are the same user.
    const { stdout } = await run(opened, sh(`${count('^AWS_LAMBDA_RUNTIME_API=')}; ${count('canary')}; env`));
    expect(stdout).toMatch(/^1\n0\n/);
    expect(stdout).not.toMatch(/AWS_/);
  });

  test('the runtime’s process id is in reach of a command, and to kill it is told as lost', async () => {
    const opened = await openLambda();
    const { outcome } = await run(opened, sh('kill -KILL $(cut -d" " -f4 /proc/$PPID/stat); sleep 1000'));
    expect(outcome).toMatchObject({ kind: 'lost', detail: expect.stringContaining('killed') });
    await opened.cloud.quiet();
    expect(opened.cloud.environments[0]?.pids()).toEqual([]);
    expect(await run(opened, sh('true'))).toMatchObject({ outcome: ok });
  });

  test('an environment that cannot be cleaned is ended, after its last word', async () => {
    const opened = await openLambda();
    // A folder that is a mount cannot be removed.
    const mount = 'mkdir $HOME/../../m && mount -t tmpfs none $HOME/../../m && echo mounted';
    expect(await run(opened, sh(mount))).toMatchObject({ outcome: ok, stdout: 'mounted\n' });
    expect(await opened.cloud.environments[0]?.settled()).toBe(false);
    expect(opened.cloud.environments[0]?.pids()).toEqual([]);
    expect(await run(opened, sh('ls $HOME/../..'))).toMatchObject({ outcome: ok, stdout: 'errand\n' });
    expect(opened.cloud.environments.length).toBe(2);
  });

  test('pitfall 11: nothing is left in the folder that outlives a command', async () => {
    const opened = await openLambda();
    const litter =
      'cd $HOME/../..; mkdir -p a/b .hidden; echo x > a/b/c; echo x > .file; ln -s / root; chmod 000 a/b; chmod 500 a; echo x > "$(printf \'new\\nline\')"';
    expect(await run(opened, sh(litter))).toMatchObject({ outcome: ok });
    await opened.cloud.quiet();
    const [environment] = opened.cloud.environments;
    expect(readdirSync(environment?.tmp ?? '')).toEqual([]);
    expect(existsSync('/etc/passwd')).toBe(true);
  });

  test('a command is ended before its function would be', async () => {
    const opened = await openLambda({ executor: { timeoutSeconds: 12 } });
    const { outcome, stdout } = await run(opened, sh('trap "echo cleaned; exit 3" TERM; sleep 1000 & wait'));
    expect([outcome, stdout]).toMatchObject([
      { kind: 'ended', exit: { exitCode: 3, detail: expect.stringContaining('time-out') } },
      'cleaned\n',
    ]);
    await opened.cloud.quiet();
    // Lambda's own time-out would have ended it.
    expect(await opened.cloud.environments[0]?.settled()).toBe(true);
  });
});

/** What is there to be read now. */
function* iterate(stream: PassThrough): Generator<Buffer> {
  for (let piece = stream.read(); piece !== null; piece = stream.read()) yield piece as Buffer;
}

describe('the executor', () => {
  test('where the machine is not its own an environment serves one command', async () => {
    const { provider, cloud } = await openLambda({ executor: { environment: { ERRAND_OWN_MACHINE: 'no' } } });
    for (let n = 0; n < 2; n++) {
      expect(await provider.start(sh('echo ran'), recordedIo())).toMatchObject({ exit: { exitCode: 0 } });
    }
    await cloud.quiet();
    expect(await Promise.all(cloud.environments.map((one) => one.settled()))).toEqual([false, false]);
  });

  /** In this process, with a machine that is not its own. */
  const execute = async (event: unknown) => {
    const stream = new PassThrough();
    const reader = makeRecordReader();
    let exits = 0;
    const handler = makeExecutor({
      clock: fasterClock(50),
      log: silentLog,
      fetch,
      tmp: tempDirectory(),
      ownsMachine: false,
      exit: () => exits++,
    });
    const records = (async () => {
      const read = [];
      for await (const piece of stream) read.push(...reader.read(piece as Buffer));
      return read;
    })();
    await handler(event, stream, { getRemainingTimeInMillis: () => 900_000 });
    return { records: await records, exits };
  };

  test.for<[string, unknown]>([
    ['nothing', undefined],
    ['text', 'hello'],
    ['another version', { v: 2, url: 'http://127.0.0.1:9', token: 't' }],
    ['a file as the control plane', { v: 1, url: 'file:///etc/passwd', token: 't' }],
    ['no token', { v: 1, url: 'http://127.0.0.1:9', token: '' }],
    ['more than there may be', { v: 1, url: 'http://127.0.0.1:9', token: 't', argv: ['id'] }],
  ])('executes nothing when it is invoked with %s', async ([, event]) => {
    const { records } = await execute(event);
    expect(records.filter(({ kind }) => kind !== 'heartbeat')).toEqual([
      { kind: 'rejected', detail: expect.any(String), retryable: false },
    ]);
  });

  test('executes nothing when it cannot redeem the ticket, and says so', async () => {
    const token = `default.cmd_${'0'.repeat(26)}.1.${'0'.repeat(32)}`;
    const { records } = await execute({ v: 1, url: 'http://127.0.0.1:9', token });
    expect(records[0]).toEqual({ kind: 'heartbeat' });
    expect(records.filter(({ kind }) => kind !== 'heartbeat')).toEqual([
      { kind: 'rejected', detail: expect.stringContaining('could not reach'), retryable: true },
    ]);
  });

  test('says at once that it lives, and again while a command is quiet', async () => {
    const stream = new PassThrough();
    const { openResponse } = await import('../../runner/lambda/invocation-response.ts');
    const response = openResponse(stream, fasterClock(100));
    const reader = makeRecordReader();
    const read: string[] = [];
    stream.on('data', (piece: Buffer) => read.push(...reader.read(piece).map(({ kind }) => kind)));
    await expect.poll(() => read.length).toBeGreaterThan(3);
    response.last({ kind: 'refused' });
    await response.close();
    expect(new Set(read.slice(0, -1))).toEqual(new Set(['heartbeat']));
    expect(read.at(-1)).toBe('refused');
  });

  test('a response that is left lets go of whoever writes, says so last, and is closed though nobody reads it', async () => {
    const stream = new PassThrough({ highWaterMark: 1_000 });
    const { openResponse } = await import('../../runner/lambda/invocation-response.ts');
    const response = openResponse(stream, fasterClock(100));
    const saying = response.say({ kind: 'stdout', bytes: Buffer.alloc(10_000) });
    response.leave();
    await saying;
    const read = makeRecordReader().read(Buffer.concat([...iterate(stream)]));
    expect(read.map(({ kind }) => kind)).toEqual(['heartbeat', 'stdout', 'left']);
    const clogged = new PassThrough({ highWaterMark: 1_000 });
    const other = openResponse(clogged, fasterClock(100));
    clogged.write(Buffer.alloc(100_000));
    other.leave();
    await other.close();
    expect(clogged.destroyed).toBe(true);
  });

  test('a response that nobody reads holds back whoever writes, and one that broke tells them', async () => {
    const stream = new PassThrough({ highWaterMark: 1_000 });
    const { openResponse } = await import('../../runner/lambda/invocation-response.ts');
    const response = openResponse(stream, systemClock);
    const bytes = Buffer.alloc(10_000);
    let taken = false;
    const first = response.say({ kind: 'stdout', bytes }).then(() => (taken = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(taken).toBe(false);
    stream.resume();
    await first;
    stream.pause();
    const second = response.say({ kind: 'stdout', bytes: Buffer.alloc(100_000) });
    stream.destroy();
    await expect(second).rejects.toThrow('broke');
    await expect(response.say({ kind: 'stdout', bytes })).rejects.toThrow('broke');
    response.last({ kind: 'refused' });
    await response.close();
  });
});
