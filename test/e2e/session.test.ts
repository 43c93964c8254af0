import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { helpersOf, processesWith } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const linux = process.platform === 'linux';

describe.skipIf(!linux)('errand session', () => {
  test('starts a shell, runs scripts in it with their input, streams and exit codes, lists it and ends it', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const errand = (args: readonly string[], input?: Buffer) =>
      cli(['session', ...args], { dataDirectory, ...(input ? { input } : {}) });
    const started = await errand(['start', '--name', 'work', '--shell', 'bash', '--env', 'A=1', '--idle', '1h']);
    expect(started).toMatchObject({ exit: 0, stderr: '' });
    const id = started.stdout.trim();
    expect(id).toMatch(/^ses_[0-9a-f]{16}$/);
    expect(await errand(['exec', 'work', 'mkdir d; cd d; x=kept'])).toMatchObject({ exit: 0, stdout: '', stderr: '' });
    expect(await errand(['exec', id, 'echo "$x $A"; basename "$PWD"; echo err >&2; (exit 7)'])).toMatchObject({
      ...{ exit: 7, stdout: 'kept 1\nd\n', stderr: 'err\n' },
    });
    const bytes = randomBytes(100_000);
    const echoed = await errand(['exec', id, 'cat', '--input'], bytes);
    expect([echoed.exit, Buffer.compare(echoed.bytes, bytes)]).toEqual([0, 0]);
    expect((await errand(['exec', id, '--script', '-'], Buffer.from('echo from a file\n'))).stdout).toBe(
      'from a file\n',
    );
    expect((await errand(['list'])).stdout).toMatch(new RegExp(`${id} +work +active +local +bash`));
    const late = await errand(['exec', id, 'sleep 1000; echo no', '--timeout', '1s']);
    expect(late).toMatchObject({ exit: 124, stdout: '' });
    expect((await errand(['exec', id, 'echo $x'])).stdout).toBe('kept\n');
    expect(await errand(['end', 'work'])).toMatchObject({ exit: 0, stderr: '' });
    expect(processesWith(id)).toEqual([]);
    expect((await errand(['show', id])).stdout).toMatch(/state +ended: requested/);
    expect((await errand(['exec', id, 'echo no'])).stderr).toContain('has ended'.slice(4));
  });

  test('Ctrl-C interrupts the script and not the session', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const id = (await cli(['session', 'start'], { dataDirectory })).stdout.trim();
    const running = startCli(['session', 'exec', id, 'x=kept; echo begun; sleep 1000'], { dataDirectory });
    await running.says('begun');
    running.process.kill('SIGINT');
    expect(await running.exit).toBe(130);
    expect((await cli(['session', 'exec', id, 'echo $x'], { dataDirectory })).stdout).toBe('kept\n');
  });

  test('without a server there is none, and it says what to do', async () => {
    const ran = await cli(['session', 'start'], { dataDirectory: tempDirectory() });
    expect([ran.exit, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).toMatch(/errand serve/);
  });
});

describe.skipIf(!linux)('a server that is killed with -9', () => {
  test.for<[what: string, withHelpers: boolean]>([
    ['takes its sessions’ processes along', false],
    ['with its helpers leaves what the next server ends', true],
  ])('%s, and the next one says that they are lost', async ([, withHelpers]) => {
    const dataDirectory = tempDirectory();
    const first = await startServer(dataDirectory);
    const client = makeClient({ url: first.url });
    const { id } = await client.startSession();
    await client.submitToSession(id, { script: 'setsid sleep 1000 & (sleep 1000 &)' }, { waitSeconds: 60 });
    const running = await client.submitToSession(id, { script: 'echo begun; sleep 1000' });
    const waiting = await client.submitToSession(id, { script: 'echo no' });
    await expect.poll(async () => (await client.get(running.id)).stdout).toBe('begun\n');
    expect(processesWith(id).length).toBeGreaterThanOrEqual(4);
    const helpers = helpersOf(first.process.pid ?? 0);
    if (withHelpers) for (const pid of helpers) process.kill(pid, 'SIGSTOP');
    first.process.kill('SIGKILL');
    if (withHelpers) {
      for (const pid of helpers) process.kill(pid, 'SIGKILL');
      onTestFinished(() => {
        for (const pid of processesWith(id)) process.kill(pid, 'SIGKILL');
      });
      expect(processesWith(id)).not.toEqual([]);
    } else await expect.poll(() => processesWith(id), { timeout: 15_000 }).toEqual([]);
    const next = makeClient({ url: (await startServer(dataDirectory)).url });
    await expect
      .poll(async () => next.getSession(id), { timeout: 15_000 })
      .toMatchObject({ state: 'ended', reason: 'lost' });
    expect(processesWith(id)).toEqual([]);
    await expect.poll(async () => (await next.get(running.id)).status, { timeout: 15_000 }).toBe('lost');
    await expect.poll(async () => (await next.get(waiting.id)).status, { timeout: 15_000 }).toBe('failed');
    expect(await next.get(waiting.id)).toMatchObject({ startedAt: null, stdout: '' });
  });
});
