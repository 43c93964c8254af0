import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../machine/system-clock.ts';
import { cancelCommand } from '../../shared/app/cancel-command.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { HASTY, openTwoWorkers as open, RULES } from '../support/clouds/lambda/two-workers.ts';
import { owner } from '../support/deps.ts';
import { sh } from '../support/errand.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const lines = (count: number): string => Array.from({ length: count }, (_, i) => `${i + 1}\n`).join('');
const SUCCEEDED = { status: 'succeeded', result: { exitCode: 0, reason: 'exit' }, attempts: [{ number: 1 }] };

describe('a command whose worker is gone', () => {
  test('goes on, and is brought to its end by its executor, with all that it wrote', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 3; seq 50000; echo err >&2; exit 7'));
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    const ended = await opened.end(command);
    expect(ended).toMatchObject({ status: 'failed', result: { exitCode: 7, droppedBytes: 0 }, attempts: [{}] });
    const { stdout, stderr } = await opened.outputOf(command);
    expect([stdout.toString(), stderr.toString()]).toEqual([`ready\n${lines(50_000)}`, 'err\n']);
    expect(ended.result).toMatchObject({ stdoutBytes: stdout.length, stderrBytes: 4 });
    await opened.wasOneRun();
  });

  test('shows what it writes while it runs, and reads the input that comes', async () => {
    const opened = await open();
    const command = await opened.submit(
      sh('echo ready; while read line; do echo "got $line"; done; echo done', { stdin: 'open' }),
    );
    const reference = referenceOf(command.tenant, command.id);
    const { stdin } = opened.deps;
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    const input = ['during\n', 'after\n'];
    await stdin.append(reference, Buffer.from(input[0] as string), 0);
    await opened.untilOutput(command, 'got during\n');
    await stdin.append(reference, Buffer.from(input[1] as string), 7);
    await opened.untilOutput(command, 'got after\n');
    await stdin.end(reference);
    expect(await opened.end(command)).toMatchObject(SUCCEEDED);
    expect((await opened.outputOf(command)).stdout.toString()).toBe('ready\ngot during\ngot after\ndone\n');
  });

  test('that writes more than is kept loses none of it', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 1; seq 2500000'));
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    expect(await opened.end(command)).toMatchObject(SUCCEEDED);
    const { stdout } = await opened.outputOf(command);
    expect(sha256(stdout)).toBe(sha256(Buffer.from(`ready\n${lines(2_500_000)}`)));
  });

  test('that is canceled is canceled when all of it is gone', async () => {
    const opened = await open();
    const command = await opened.submit(sh('trap "echo cleaned; exit" TERM; echo ready; sleep 1000 & wait'));
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    await cancelCommand(opened.deps, owner, command.id);
    expect(await opened.end(command)).toMatchObject({ status: 'canceled', attempts: [{ number: 1 }] });
    expect((await opened.outputOf(command)).stdout.toString()).toBe('ready\ncleaned\n');
    await opened.wasOneRun();
  });

  test('that takes longer than it may is timed out', async () => {
    // With its own patience: a hasty one would not wait for the record to say so.
    const opened = await open({});
    const command = await opened.submit(sh('echo ready; sleep 1000', { timeoutSeconds: 3 }));
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    expect(await opened.end(command)).toMatchObject({ status: 'timed_out', result: { stdoutBytes: 6 } });
  });

  test('is ended and told of before its function is ended', async () => {
    // Ten of its own seconds before, which go by fast.
    const opened = await open({ ...HASTY, timeoutSeconds: 5 });
    const command = await opened.submit(sh('trap "echo cleaned; exit 3" TERM; echo ready; sleep 1000 & wait'));
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    expect(await opened.end(command)).toMatchObject({
      status: 'failed',
      result: { exitCode: 3, detail: expect.stringContaining('time-out') },
    });
    expect((await opened.outputOf(command)).stdout.toString()).toBe('ready\ncleaned\n');
  });

  test('outlives a control plane that is away meanwhile, shorter than the lease', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 6; seq 1000; echo done'));
    await opened.untilOutput(command, 'ready');
    // The first renewal makes its lease a long one.
    await systemClock.sleep(RULES.leaseSeconds * 750);
    await opened.kill();
    await opened.stopServing();
    await systemClock.sleep(5_000);
    await opened.serveAgain();
    expect(await opened.end(command)).toMatchObject(SUCCEEDED);
    expect((await opened.outputOf(command)).stdout.toString()).toBe(`ready\n${lines(1_000)}done\n`);
  });

  test('is lost when its executor is gone too, with the output that was stored', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 1000'));
    await opened.untilOutput(command, 'ready');
    await opened.kill();
    await opened.cloud.environments[0]?.close();
    expect(await opened.end(command)).toMatchObject({ status: 'lost', result: { stdoutBytes: 6 } });
  });
});

describe('a command whose worker', () => {
  test('only lost the stream goes on', async () => {
    const opened = await open();
    // Some records into its output.
    opened.cloud.faults.next('InvokeWithResponseStream', { kind: 'cut', afterBytes: 5_000 });
    const command = await opened.submit(sh('seq 5000; sleep 2; echo err >&2; seq 5000'));
    expect(await opened.end(command)).toMatchObject(SUCCEEDED);
    expect((await opened.outputOf(command)).stdout.toString()).toBe(lines(5_000) + lines(5_000));
    await opened.wasOneRun();
  });

  test.for<[string, string]>([
    ['a little', 'echo ready; sleep 1; seq 1000; sleep 4; seq 1000'],
    ['a lot', 'echo ready; sleep 1; seq 2500000; sleep 1; seq 1000'],
  ])('is frozen while it writes %s, and thawed when the executor stores it, has each byte once', async ([, script]) => {
    const opened = await open();
    const command = await opened.submit(sh(script));
    await opened.untilOutput(command, 'ready');
    opened.freeze();
    await opened.untilOutput(command, '1000\n');
    opened.thaw();
    const ended = await opened.end(command);
    expect(ended).toMatchObject(SUCCEEDED);
    const { stdout } = await opened.outputOf(command);
    const [, first] = /seq (\d+)/.exec(script) ?? [];
    expect(sha256(stdout)).toBe(sha256(Buffer.from(`ready\n${lines(Number(first))}${lines(1_000)}`)));
    expect(ended.result?.stdoutBytes).toBe(stdout.length);
    await opened.wasOneRun();
  });

  test('is frozen at its end and thawed after the executor told it changes nothing any more', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 2; seq 1000'));
    await opened.untilOutput(command, 'ready');
    opened.freeze();
    const ended = await opened.end(command);
    expect(ended).toMatchObject(SUCCEEDED);
    opened.thaw();
    await systemClock.sleep(500);
    expect((await opened.outputOf(command)).stdout.toString()).toBe(`ready\n${lines(1_000)}`);
    expect((await opened.deps.commands.find(referenceOf(command.tenant, command.id)))?.command).toEqual(ended);
  });

  test('stops for a moment shorter than the executor waits is left its work', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 1; seq 1000; sleep 2; seq 1000'));
    await opened.untilOutput(command, 'ready');
    opened.freeze();
    await systemClock.sleep(1_200);
    opened.thaw();
    expect(await opened.end(command)).toMatchObject(SUCCEEDED);
    expect((await opened.outputOf(command)).stdout.toString()).toBe(`ready\n${lines(1_000)}${lines(1_000)}`);
  });
});
