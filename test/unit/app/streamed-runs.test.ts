import { describe, expect, test } from 'vitest';
import { endOwnRun, lookAtOwnRun, redeemStart, storeOwnOutput } from '../../../shared/app/serve-runner.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { sweep } from '../../../shared/app/sweep.ts';
import { parseRunnerToken, type RunnerRight } from '../../../shared/domain/runner-token.ts';
import type { Provider, RunIo, StartOutcome } from '../../../shared/providers/provider.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';
import { scriptedProvider } from '../../support/scripted-provider.ts';

const SECOND = 1_000;
const ENDED = { kind: 'ended', exit: { exitCode: 0, signal: null } } as const;
const NO_OUTPUT = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
const headOf = (stdoutOffset: number, text: string) => ({
  stdoutOffset,
  stderrOffset: 0,
  segments: [{ stream: 'stdout' as const, length: text.length }],
});

/** A worker that reads a run whose runner is elsewhere; a test speaks for both ends of it. */
const open = async () => {
  const clock = fakeClock();
  const runs: { io: RunIo; right: RunnerRight; settle: (outcome: StartOutcome) => void }[] = [];
  const provider: Provider = {
    ...scriptedProvider({ mode: 'inline', leavesBehind: false, startSeconds: 60 }),
    start({ token }, io) {
      const { promise, resolve } = Promise.withResolvers<StartOutcome>();
      runs.push({ io, right: parseRunnerToken(token) as RunnerRight, settle: resolve });
      return promise;
    },
    observe: async () => ({ kind: 'gone' }),
  };
  const deps = await testWorker({ clock, provider });
  const { command } = await submitCommand(deps, owner, { body: { argv: ['true'] } });
  const reference = referenceOf(owner.tenant, command.id);
  /** The run of an attempt, once it was started. */
  const run = async (number: number) => {
    while (!runs[number - 1]) await clock.advance(100);
    return runs[number - 1] as (typeof runs)[number];
  };
  const now = async () => (await deps.commands.find(reference))?.command;
  const output = async () => {
    const pieces: Uint8Array[] = [];
    for await (const { bytes } of deps.output.read(reference, 1, 0)) pieces.push(bytes);
    return Buffer.concat(pieces).toString();
  };
  return { clock, deps, run, now, output };
};

describe('a run that is read from elsewhere', () => {
  test('goes on when it is not heard any more, with what was heard stored, and its runner tells its end', async () => {
    const { clock, deps, run, now, output } = await open();
    const { io, right, settle: settleRun } = await run(1);
    await redeemStart(deps, right, { runner: 'a'.repeat(32) });
    await io.redeemedElsewhere();
    await io.output('stdout', Buffer.from('heard'));
    settleRun({ kind: 'unheard', detail: 'Cut.' });
    await settle();
    expect(await output()).toBe('heard');
    for (let n = 0; n < 100; n++) {
      await clock.advance(3 * SECOND);
      await lookAtOwnRun(deps, right);
      await sweep(deps);
    }
    expect(await now()).toMatchObject({ status: 'running', attempts: [{ number: 1 }] });
    await storeOwnOutput(deps, right, headOf(5, ' told'), Buffer.from(' told'));
    await endOwnRun(deps, right, { ...ENDED, output: { ...NO_OUTPUT, stdoutBytes: 10 } }, new Uint8Array());
    expect(await now()).toMatchObject({ status: 'succeeded', result: { stdoutBytes: 10 } });
    expect(await output()).toBe('heard told');
  });

  test('is started again when it is not heard and never redeemed its ticket, which is void then', async () => {
    const { deps, run, now } = await open();
    const { right, settle: settleRun } = await run(1);
    settleRun({ kind: 'unheard', detail: 'Cut.' });
    const again = await run(2);
    expect((await now())?.attempts).toMatchObject([{ status: 'expired', detail: 'Cut.' }, { status: 'starting' }]);
    await expect(redeemStart(deps, right, { runner: 'a'.repeat(32) })).rejects.toMatchObject({ code: 'conflict' });
    again.settle({ kind: 'refused' });
  });

  test('is lost when nobody has heard of it for the whole long lease, and not before', async () => {
    const { clock, deps, run, now } = await open();
    const { io, right, settle: settleRun } = await run(1);
    await redeemStart(deps, right, { runner: 'a'.repeat(32) });
    await io.redeemedElsewhere();
    await clock.advance(20 * SECOND);
    await lookAtOwnRun(deps, right);
    settleRun({ kind: 'unheard', detail: 'Cut.' });
    await clock.advance(100 * SECOND);
    await sweep(deps);
    expect((await now())?.status).toBe('running');
    await clock.advance(30 * SECOND);
    await sweep(deps);
    expect((await now())?.status).toBe('lost');
    expect(await lookAtOwnRun(deps, right)).toMatchObject({ stop: true, over: true });
  });

  test.for<[string, string]>([
    ['longer', 'one two three'],
    ['shorter', 'one'],
  ])('whose runner has stored a %s chunk meanwhile is left to it, also with its end at hand', async ([, stored]) => {
    const { deps, run, now, output } = await open();
    const { io, right, settle: settleRun } = await run(1);
    await redeemStart(deps, right, { runner: 'a'.repeat(32) });
    await io.redeemedElsewhere();
    await io.output('stdout', Buffer.from('one two'));
    await storeOwnOutput(deps, right, headOf(0, stored), Buffer.from(stored));
    settleRun(ENDED);
    await settle();
    expect(await now()).toMatchObject({ status: 'running' });
    expect(await output()).toBe(stored);
    const rest = 'one two three'.slice(stored.length);
    if (rest) await storeOwnOutput(deps, right, headOf(stored.length, rest), Buffer.from(rest));
    await endOwnRun(deps, right, { ...ENDED, output: { ...NO_OUTPUT, stdoutBytes: 13 } }, new Uint8Array());
    expect(await now()).toMatchObject({ status: 'succeeded', result: { stdoutBytes: 13 } });
    expect(await output()).toBe('one two three');
  });

  test('an end with the last of its output is stored though someone else stores output in the same moment', async () => {
    const { deps, run, now, output } = await open();
    const { io, right, settle: settleRun } = await run(1);
    await redeemStart(deps, right, { runner: 'a'.repeat(32) });
    await io.redeemedElsewhere();
    await Promise.all([
      storeOwnOutput(deps, right, headOf(0, 'one two'), Buffer.from('one two')),
      endOwnRun(
        deps,
        right,
        { ...ENDED, output: { ...NO_OUTPUT, stdoutBytes: 3 }, chunk: headOf(0, 'one') },
        Buffer.from('one'),
      ),
    ]);
    expect(await now()).toMatchObject({ status: 'succeeded', result: { stdoutBytes: 7 } });
    expect(await output()).toBe('one two');
    settleRun({ kind: 'unheard', detail: 'Cut.' });
    await settle();
  });

  test('a chunk that its worker has stored the first of is refused, so that none of it is missed', async () => {
    const { clock, deps, run, output } = await open();
    const { io, right, settle: settleRun } = await run(1);
    await redeemStart(deps, right, { runner: 'a'.repeat(32) });
    await io.redeemedElsewhere();
    await io.output('stdout', Buffer.from('one '));
    await clock.advance(SECOND);
    const late = storeOwnOutput(deps, right, headOf(0, 'one two'), Buffer.from('one two'));
    await expect(late).rejects.toMatchObject({ code: 'conflict' });
    expect(await lookAtOwnRun(deps, right, { stored: true })).toMatchObject({ stored: { stdoutBytes: 4 } });
    expect(await output()).toBe('one ');
    settleRun({ kind: 'unheard', detail: 'Cut.' });
    await settle();
  });
});
