import { describe, expect, test } from 'vitest';
import { readAudit } from '../../../shared/app/audit.ts';
import { cancelCommand } from '../../../shared/app/cancel-command.ts';
import { checkTargets } from '../../../shared/app/check-targets.ts';
import { makeFleet } from '../../../shared/app/fleet.ts';
import { listTargets } from '../../../shared/app/list-targets.ts';
import { moveCommand } from '../../../shared/app/move-command.ts';
import { endOwnRun, lookAtOwnRun, redeemStart } from '../../../shared/app/serve-runner.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { sweep } from '../../../shared/app/sweep.ts';
import type { EndHead } from '../../../shared/contract/runner.ts';
import type { SubmitCommand } from '../../../shared/contract/schemas.ts';
import type { Command } from '../../../shared/domain/command.ts';
import type { Pool } from '../../../shared/domain/pools.ts';
import { parseRunnerToken, type RunnerRight } from '../../../shared/domain/runner-token.ts';
import { DEFAULT_RULES } from '../../../shared/engine/rules.ts';
import type { StartOutcome } from '../../../shared/providers/provider.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';
import { type ScriptedProvider, scriptedProvider } from '../../support/scripted-provider.ts';

const RUNNER = 'a'.repeat(32);
const END = {
  kind: 'ended',
  exit: { exitCode: 0, signal: null },
  output: { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 },
} as const satisfies EndHead;
const AWAY: StartOutcome = { kind: 'rejected', fault: { detail: 'It answers 503.', retryable: true } };
const { leaseSeconds, goneSeconds, pollSeconds, startSeconds } = DEFAULT_RULES;

/** Two detached targets, `local` and `far`, that do as they are told. */
const open = async ({ pools = [] }: { readonly pools?: readonly Pool[] } = {}) => {
  const inner = sqliteStore({ file: ':memory:' });
  let healthWrites = 0;
  const store: Store = {
    ...inner,
    write: (writes) => {
      if (writes.some((write) => 'put' in write && write.put.pk.startsWith('targets/'))) healthWrites++;
      return inner.write(writes);
    },
  };
  const clock = fakeClock();
  const near = scriptedProvider();
  const far = scriptedProvider();
  const deps = await testWorker({ clock, store, provider: near, others: { far }, pools });
  const submit = async (body: Partial<SubmitCommand> = {}): Promise<Command> => {
    const { command } = await submitCommand(deps, owner, { body: { argv: ['true'], failover: ['far'], ...body } });
    await settle();
    return command;
  };
  const rightOf = (provider: ScriptedProvider) => parseRunnerToken(provider.starts.at(-1)?.token ?? '') as RunnerRight;
  return {
    deps,
    clock,
    near,
    far,
    submit,
    rightOf,
    healthWrites: () => healthWrites,
    now: async ({ id, tenant }: Command) => (await deps.commands.find(referenceOf(tenant, id)))?.command as Command,
    redeem: (right: RunnerRight) => redeemStart(deps, right, { runner: RUNNER }),
    end: (right: RunnerRight, head: EndHead = END) => endOwnRun(deps, right, head, new Uint8Array()),
    later: async (seconds: number) => {
      await clock.advance(seconds * 1_000);
      await sweep(deps);
      await settle();
    },
    stateOf: async (name: string) =>
      (await listTargets(deps, owner)).items.find(({ target }) => target === name)?.state,
  };
};

test('what fails because its process is about to end says nothing of a target', async () => {
  const { deps, healthWrites } = await open();
  const closing = new AbortController();
  const fleet = makeFleet({ ...deps, isTimed: () => false, closing: closing.signal });
  closing.abort();
  for (let i = 0; i < 5; i++) await fleet.saw('far', { ok: false, why: 'The server is shutting down.' });
  await fleet.checked('far', { healthy: false, detail: 'Shutting down.' });
  await deps.fleet.refresh();
  expect([fleet.isDown('far'), deps.fleet.isDown('far'), healthWrites()]).toEqual([false, false, 0]);
});

describe('a command with failover', () => {
  test('runs on the next target when the first does not take it', async () => {
    const { near, far, submit, redeem, end, rightOf, now } = await open();
    near.script.start = async () => AWAY;
    const command = await submit();
    expect([near.starts.length, far.starts.length]).toEqual([1, 1]);
    await redeem(rightOf(far));
    await end(rightOf(far));
    expect(await now(command)).toMatchObject({
      status: 'succeeded',
      attempts: [
        { number: 1, target: 'local', status: 'expired', detail: 'It answers 503.' },
        { number: 2, target: 'far', status: 'succeeded' },
      ],
    });
  });

  test('is on the next when the first goes down with the accepted start, whose runner comes too late', async () => {
    const { deps, near, far, submit, redeem, end, rightOf, later, now, stateOf } = await open();
    const command = await submit();
    near.script.observe = () => Promise.reject(new Error('503'));
    near.script.cancel = () => Promise.reject(new Error('503'));
    await later(startSeconds);
    expect(await stateOf('local')).toBe('healthy');
    for (let i = 0; i < 3; i++) await later(pollSeconds);
    expect(await stateOf('local')).toBe('down');
    expect((await now(command)).attempts).toMatchObject([
      { target: 'local', status: 'expired', held: true },
      { target: 'far', status: 'starting' },
    ]);
    // It is back, and its machine starts after all.
    await expect(redeem(rightOf(near))).rejects.toThrow('The start ticket is not to be had');
    expect(await lookAtOwnRun(deps, rightOf(near))).toMatchObject({ stop: true, over: true });
    await redeem(rightOf(far));
    await expect(redeem(rightOf(near))).rejects.toThrow('The start ticket is not to be had');
    await end(rightOf(far));
    expect(await now(command)).toMatchObject({ status: 'succeeded', attempts: [{}, { target: 'far' }] });
  });

  test('that was lost is run again elsewhere, if its caller asked for that', async () => {
    const { near, far, submit, redeem, rightOf, later } = await open();
    await submit({ retry: { maxAttempts: 2, on: ['lost'] } });
    await redeem(rightOf(near));
    near.script.observe = async () => ({ kind: 'gone' });
    await later(leaseSeconds);
    await later(goneSeconds);
    await later(5);
    expect([near.starts.length, far.starts.length]).toEqual([1, 1]);
  });

  test('waits while both are down, and says why when its time in the queue is over', async () => {
    const { near, far, submit, later, now, stateOf } = await open();
    near.script.start = async () => AWAY;
    far.script.start = async () => ({ kind: 'rejected', fault: { detail: 'It is full.', retryable: true } });
    const command = await submit({ queueTtlSeconds: 300 });
    for (let i = 0; i < 12; i++) await later(5);
    expect([await stateOf('local'), await stateOf('far')]).toEqual(['down', 'down']);
    const started = [near.starts.length, far.starts.length];
    expect(started).toEqual([3, 3]);
    for (let i = 0; i < 10; i++) await later(30);
    expect([near.starts.length, far.starts.length]).toEqual(started);
    expect(await now(command)).toMatchObject({ status: 'expired', result: { detail: expect.stringContaining('It') } });
  });
});

describe('a target', () => {
  test('that fails three starts is not called any more, until checks find it well; all of it is in the audit log', async () => {
    const { deps, near, far, submit, later, stateOf, clock } = await open();
    near.script.start = async () => AWAY;
    near.health = async () => ({ healthy: false, detail: 'The API answers 503.' });
    for (let i = 0; i < 5; i++) await submit();
    expect([near.starts.length, far.starts.length]).toEqual([3, 5]);
    const { items } = await listTargets(deps, owner);
    expect(items[0]).toMatchObject({ state: 'down', why: 'It answers 503.', since: expect.any(String) });
    const check = async (seconds: number) => {
      await clock.advance(seconds * 1_000);
      await checkTargets(deps, { only: 'troubled' });
    };
    await check(30);
    await check(10);
    expect(await stateOf('local')).toBe('down');
    near.health = async () => ({ healthy: true });
    near.script = {};
    await check(10);
    await check(10);
    expect(await stateOf('local')).toBe('degraded');
    await clock.advance(1_000);
    for (let i = 0; i < 3; i++) await submit();
    expect(await stateOf('local')).toBe('healthy');
    expect(near.starts).toHaveLength(6);
    const entries = (await readAudit(deps, owner, { type: 'provider.health_changed' })).items.map(({ entry }) => entry);
    expect(entries.toReversed()).toMatchObject([
      { subject: 'local', actor: { id: 'errand' }, details: { was: 'healthy', state: 'down', why: 'It answers 503.' } },
      { subject: 'local', details: { was: 'down', state: 'degraded' } },
      { subject: 'local', details: { was: 'degraded', state: 'healthy' } },
    ]);
    await later(1);
  });

  test('that falls is down for all workers, each change told once, also when two tell it at once', async () => {
    const { deps, clock } = await open();
    const another = await testWorker({ clock, store: deps.store, provider: scriptedProvider(), name: 'worker-2' });
    const fault = { ok: false, why: 'It answers 503.' } as const;
    for (let i = 0; i < 4; i++) await Promise.all([deps.fleet.saw('local', fault), another.fleet.saw('local', fault)]);
    const third = await testWorker({ clock, store: deps.store, provider: scriptedProvider(), name: 'worker-3' });
    await third.fleet.refresh();
    expect([deps, another, third].map(({ fleet }) => fleet.isDown('local'))).toEqual([true, true, true]);
    expect((await readAudit(deps, owner, { type: 'provider.health_changed' })).items).toHaveLength(1);
  });

  test('that is well costs no write for any number of commands', async () => {
    const { near, submit, redeem, end, rightOf, healthWrites } = await open();
    for (let i = 0; i < 20; i++) {
      await submit();
      await redeem(rightOf(near));
      await end(rightOf(near));
    }
    expect(healthWrites()).toBe(0);
  });

  test.for<[string, StartOutcome]>([
    [
      'is busy and says for how long',
      { kind: 'rejected', fault: { detail: 'Throttled.', retryable: true, retryAfterSeconds: 60 } },
    ],
    ['refuses the command for good', { kind: 'rejected', fault: { detail: 'No such image.', retryable: false } }],
  ])('that %s is not ill', async ([, outcome]) => {
    const { near, submit, stateOf } = await open();
    near.script.start = async () => outcome;
    for (let i = 0; i < 5; i++) await submit();
    expect([near.starts.length, await stateOf('local')]).toEqual([5, 'healthy']);
  });
});

describe('a pool', () => {
  const pools: Pool[] = [{ name: 'eu', targets: ['local', 'far'], by: 'latency' }];

  test('by latency takes the target whose starts are faster, as measured', async () => {
    const { near, far, submit, redeem, rightOf, clock, healthWrites } = await open({ pools });
    const runOn = async (provider: ScriptedProvider, startSeconds: number) => {
      const before = provider.starts.length;
      await submit({ target: 'eu', failover: undefined as never });
      expect(provider.starts.length).toBe(before + 1);
      await clock.advance(startSeconds * 1_000);
      await redeem(rightOf(provider));
    };
    await runOn(near, 4);
    await runOn(far, 1);
    await runOn(far, 1);
    await runOn(far, 1);
    // Of each target, and not of each command.
    expect(healthWrites()).toBe(2);
  });

  test('is what a command names, and its attempts tell the target', async () => {
    const { submit, now } = await open({ pools });
    const command = await now(await submit({ target: 'eu', failover: undefined as never }));
    expect(command.spec).toMatchObject({
      target: 'eu',
      route: [{ name: 'eu', places: [{ target: 'local' }, { target: 'far' }] }],
    });
    expect(command.attempts).toMatchObject([{ target: 'local' }]);
  });
});

describe('a move', () => {
  const rerun: SubmitCommand['retry'] = { maxAttempts: 2, on: ['lost'] };

  test('stops what runs, and runs it again on the other target once it was seen gone', async () => {
    const { deps, near, far, submit, redeem, end, rightOf, now } = await open();
    const command = await submit({ retry: rerun });
    await redeem(rightOf(near));
    await moveCommand(deps, owner, command.id, 'far');
    await settle();
    expect(near.canceled).toHaveLength(1);
    expect(far.starts).toEqual([]);
    await end(rightOf(near), { ...END, exit: { exitCode: null, signal: 'SIGTERM' } });
    await settle();
    expect(far.starts).toHaveLength(1);
    await moveCommand(deps, owner, command.id, 'far');
    await redeem(rightOf(far));
    await end(rightOf(far));
    expect(await now(command)).toMatchObject({
      status: 'succeeded',
      attempts: [
        { target: 'local', status: 'canceled' },
        { target: 'far', status: 'succeeded' },
      ],
    });
  });

  test('of what has not started needs no leave to run again, and is in the audit log', async () => {
    const { deps, near, far, submit, redeem, rightOf, clock } = await open();
    const command = await submit();
    await moveCommand(deps, owner, command.id, 'far');
    await settle();
    expect(far.starts).toHaveLength(1);
    await expect(redeem(rightOf(near))).rejects.toThrow('The start ticket is not to be had');
    // Its submission has its place in the log before it.
    await clock.advance(1_000);
    const { items } = await readAudit(deps, owner, { type: 'command.move-requested' });
    expect(items).toMatchObject([{ entry: { subject: command.id, details: { target: 'far' } } }]);
  });

  test.for<[string, Partial<SubmitCommand>, string, string, string]>([
    [
      'a target that it was not submitted for',
      { retry: rerun, failover: undefined as never },
      'far',
      'invalid-request',
      'without failover',
    ],
    ['a target that there is not', { retry: rerun }, 'mars', 'invalid-request', 'local, far'],
    ['what must not run twice', {}, 'far', 'conflict', 'does not name lost'],
    ['what has no attempt left', { retry: { maxAttempts: 1, on: ['lost'] } }, 'far', 'conflict', 'no attempt left'],
  ])('is refused for %s', async ([, body, target, code, words]) => {
    const { deps, near, submit, redeem, rightOf } = await open();
    const command = await submit(body);
    await redeem(rightOf(near));
    await expect(moveCommand(deps, owner, command.id, target)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
    await cancelCommand(deps, owner, command.id);
    await expect(moveCommand(deps, owner, command.id, 'far')).rejects.toMatchObject({});
  });
});
