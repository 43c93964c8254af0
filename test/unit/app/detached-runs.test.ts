import { describe, expect, test } from 'vitest';
import { advanceCommand } from '../../../shared/app/advance-command.ts';
import { cancelCommand } from '../../../shared/app/cancel-command.ts';
import type { Deps } from '../../../shared/app/deps.ts';
import { observeCommand } from '../../../shared/app/observe-command.ts';
import { endOwnRun, redeemStart } from '../../../shared/app/serve-runner.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { recover, recoverRuns, sweep } from '../../../shared/app/sweep.ts';
import type { EndHead } from '../../../shared/contract/runner.ts';
import type { SubmitCommand } from '../../../shared/contract/schemas.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { parseRunnerToken, type RunnerRight } from '../../../shared/domain/runner-token.ts';
import { DEFAULT_RULES } from '../../../shared/engine/rules.ts';
import type { Observed, ProviderFeatures } from '../../../shared/providers/provider.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';
import { scriptedProvider } from '../../support/scripted-provider.ts';

const RUNNER = 'a'.repeat(32);
const NEVER = new Promise<never>(() => {});
const GONE: Observed = { kind: 'gone' };
const { startSeconds, stopSeconds, leaseSeconds, goneSeconds } = DEFAULT_RULES;
const END = {
  kind: 'ended',
  exit: { exitCode: 0, signal: null },
  output: { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 },
} as const;

/** A worker that acts on wake-ups, and a provider that does as it is told. */
const open = async (features: Partial<ProviderFeatures> = {}) => {
  const store = sqliteStore({ file: ':memory:' });
  const clock = fakeClock();
  const provider = scriptedProvider(features);
  let isAlive = true;
  const whileAlive = <T>(call: () => Promise<T>): Promise<T> => (isAlive ? call() : Promise.reject(new Error('dead')));
  const mortal: Store = {
    ...store,
    get: (key) => whileAlive(() => store.get(key)),
    write: (writes) => whileAlive(() => store.write(writes)),
  };
  const deps = await testWorker({ clock, provider, store: mortal });
  const submit = async (body: Partial<SubmitCommand> = {}): Promise<Command> => {
    const { command } = await submitCommand(deps, owner, { body: { argv: ['true'], ...body } });
    await settle();
    return command;
  };
  /** As anyone reads it, whether the worker is dead or not. */
  const survivor = await testWorker({ clock, provider, store, name: 'worker-2', work: false });
  const now = async ({ id, tenant }: Command) =>
    (await survivor.commands.find(referenceOf(tenant, id)))?.command as Command;
  const right = (start = provider.starts.length - 1) =>
    parseRunnerToken(provider.starts[start]?.token ?? '') as RunnerRight;
  return {
    deps,
    clock,
    provider,
    submit,
    now,
    right,
    survivor,
    /** From now on the worker is out of touch with the store for good. */
    bury: () => (isAlive = false),
    redeem: (one = right()) => redeemStart(survivor, one, { runner: RUNNER }),
    end: (one = right(), head: EndHead = END) => endOwnRun(survivor, one, head, new Uint8Array()),
    /** Time passes, and the sweeper comes by. */
    later: async (seconds: number, sweeper: Deps = deps) => {
      await clock.advance(seconds * 1_000);
      await sweep(sweeper);
      await settle();
    },
  };
};

describe('a runner that is older than secrets', () => {
  test('is not given a command that needs them, which ends with the reason', async () => {
    const { deps, submit, right, survivor, now } = await open();
    await deps.secrets.put(owner.tenant, 'token', { bytes: Buffer.from('hunter2-is-no-password'), by: 'owner' });
    const command = await submit({ secrets: { TOKEN: 'secret:token' } });
    await expect(redeemStart(survivor, right(), { runner: RUNNER, can: ['other'] })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('too old to be given secrets'),
    });
    expect(await now(command)).toMatchObject({
      status: 'failed',
      result: { reason: 'provider-error', detail: expect.stringContaining('Prepare the target again') },
    });
  });
});

describe('a start whose answer is lost', () => {
  const lost = () => Promise.reject(new Error('socket hang up'));

  test('is no second start: its runner carries it to its end', async () => {
    const { provider, submit, redeem, end, now } = await open({ leavesBehind: false });
    provider.script.start = lost;
    const command = await submit();
    expect(await now(command)).toMatchObject({ status: 'starting' });
    await redeem();
    await end();
    expect(await now(command)).toMatchObject({ status: 'succeeded', attempts: [{ number: 1 }] });
    expect(provider.starts).toHaveLength(1);
  });

  test('whose runner redeemed before it was lost is not taken for one that nobody knows of', async () => {
    const { provider, submit, redeem, end, now } = await open({ leavesBehind: false });
    provider.script.start = async () => {
      await redeem();
      return lost();
    };
    const command = await submit();
    expect(await now(command)).toMatchObject({ status: 'running' });
    await end();
    expect((await now(command)).status).toBe('succeeded');
  });

  test('and which made nothing is made again once the provider says so; the first ticket is void', async () => {
    const { provider, submit, redeem, right, later, now } = await open();
    provider.script = { start: lost, observe: async () => GONE };
    const command = await submit();
    provider.script.start = undefined as never;
    await later(startSeconds - 1);
    expect(provider.starts).toHaveLength(1);
    await later(1);
    await later(10);
    expect(provider.starts).toHaveLength(2);
    await expect(redeem(right(0))).rejects.toMatchObject({ code: 'conflict' });
    await redeem(right(1));
    expect(await now(command)).toMatchObject({ status: 'running', attempts: [{ status: 'expired' }, {}] });
  });

  test('because the target could not be loaded surely made nothing, and is tried again', async () => {
    const { survivor, provider, now } = await open();
    const broken: Deps = {
      ...survivor,
      targets: [{ ...survivor.targets[0], load: () => Promise.reject(new Error('no such module')) }],
    };
    const { command } = await submitCommand(broken, owner, { body: { argv: ['true'] } });
    await advanceCommand(broken, referenceOf(command.tenant, command.id));
    expect(await now(command)).toMatchObject({
      status: 'queued',
      attempts: [{ status: 'expired', detail: 'The target local could not be loaded.' }],
    });
    expect(provider.starts).toEqual([]);
  });
});

describe('a start that is accepted', () => {
  test('after a cancel is taken back by the name that it was accepted with', async () => {
    const { deps, provider, submit, now, later, survivor } = await open();
    const accepted = Promise.withResolvers<void>();
    provider.script.start = async () => {
      await accepted.promise;
      return { kind: 'accepted', ref: 'late' };
    };
    provider.script.observe = async () => GONE;
    const command = await submit();
    await cancelCommand(deps, owner, command.id);
    await later(0, survivor);
    const canceled = await now(command);
    expect(canceled.status).toBe('canceled');
    // Nothing was found of it then.
    expect(canceled.dueAt).toBeUndefined();
    provider.canceled.length = 0;
    accepted.resolve();
    await settle();
    expect(provider.canceled).toMatchObject([{ key: `${command.id}-1`, ref: 'late' }]);
    expect(await now(command)).toEqual({ ...canceled, attempts: [{ ...canceled.attempts[0], ref: 'late' }] });
  });

  test('after a cancel, and whose provider is away then, is taken back when it is there again', async () => {
    const { deps, provider, submit, now, later, survivor } = await open();
    const accepted = Promise.withResolvers<void>();
    provider.script.start = async () => {
      await accepted.promise;
      return { kind: 'accepted', ref: 'late' };
    };
    provider.script.observe = async () => GONE;
    const command = await submit();
    await cancelCommand(deps, owner, command.id);
    await later(0, survivor);
    provider.script.cancel = async () => {
      throw new Error('away');
    };
    accepted.resolve();
    await settle();
    expect(await now(command)).toMatchObject({ status: 'canceled', attempts: [{ held: true, ref: 'late' }] });
    delete provider.script.cancel;
    await later(stopSeconds, survivor);
    expect((await now(command)).dueAt).toBeUndefined();
    expect((await now(command)).attempts[0]).not.toHaveProperty('held');
  });

  test('after it was given up is taken back; the next one is left alone', async () => {
    const { provider, submit, later, now, survivor, clock } = await open();
    const accepted = Promise.withResolvers<void>();
    provider.script.start = async (run) => {
      if (run.key.endsWith('-1')) await accepted.promise;
      return { kind: 'accepted', ref: `ref-${run.key.at(-1)}` };
    };
    provider.script.observe = async () => GONE;
    const command = await submit();
    await later(startSeconds, survivor);
    await clock.advance(10_000);
    await advanceCommand(survivor, referenceOf(command.tenant, command.id));
    provider.canceled.length = 0;
    accepted.resolve();
    await settle();
    expect(provider.canceled).toMatchObject([{ key: `${command.id}-1`, ref: 'ref-1' }]);
    expect(await now(command)).toMatchObject({ status: 'starting', attempts: [{}, { number: 2, ref: 'ref-2' }] });
  });

  test('while this process ends and the store is away is left to its runner, not taken back', async () => {
    const { survivor, provider, now, clock } = await open();
    const closing = new AbortController();
    let away = false;
    const deps: Deps = {
      ...survivor,
      closing: closing.signal,
      commands: {
        ...survivor.commands,
        find: (reference) => (away ? Promise.reject(new Error('away')) : survivor.commands.find(reference)),
      },
    };
    provider.script.start = async () => {
      away = true;
      return { kind: 'accepted', ref: 'run-1' };
    };
    const { command } = await submitCommand(deps, owner, { body: { argv: ['true'] } });
    const advancing = advanceCommand(deps, referenceOf(command.tenant, command.id));
    await clock.advance(2_000);
    closing.abort();
    await advancing;
    expect(provider.canceled).toEqual([]);
    expect((await now(command)).status).toBe('starting');
  });

  test('and whose worker dies before it hears of it is adopted by the next look, not started again', async () => {
    const { provider, submit, later, bury, survivor, redeem, end, now } = await open();
    provider.script.start = async () => {
      bury();
      return { kind: 'accepted', ref: 'never stored' };
    };
    const command = await submit();
    for (let i = 0; i < 4; i++) await later(startSeconds, survivor);
    expect(provider.observed.length).toBeGreaterThanOrEqual(3);
    expect(await now(command)).toMatchObject({ status: 'starting', attempts: [{ number: 1, worker: 'worker-1' }] });
    await redeem();
    await end();
    expect(await now(command)).toMatchObject({ status: 'succeeded', attempts: [{ number: 1 }] });
    // Removed by its key, which is all that is known of it.
    provider.script.observe = async () => GONE;
    await later(stopSeconds, survivor);
    await later(stopSeconds, survivor);
    expect(provider.canceled.at(-1)).toEqual({ key: `${command.id}-1`, tenant: 'default', worker: 'worker-1' });
    expect((await now(command)).dueAt).toBeUndefined();
    expect(provider.starts).toHaveLength(1);
  });
});

describe('what the provider says of a run', () => {
  test.for<[string, boolean, Observed, object]>([
    [
      'that it never will execute',
      false,
      { kind: 'failed', detail: 'The image cannot be pulled.' },
      { status: 'failed', result: { reason: 'provider-error', detail: 'The image cannot be pulled.' } },
    ],
    ['that it is gone, not redeemed', false, GONE, { status: 'queued', attempts: [{ status: 'expired' }] }],
    [
      'that it was killed before it was redeemed',
      false,
      { kind: 'gone', exit: { exitCode: 137, signal: null, outOfMemory: true } },
      { status: 'queued', attempts: [{ status: 'expired' }] },
    ],
    ['that it is gone', true, { ...GONE, detail: 'Evicted.' }, { status: 'lost', result: { detail: 'Evicted.' } }],
    [
      'that it had too little memory',
      true,
      { kind: 'gone', exit: { exitCode: null, signal: 'SIGKILL', outOfMemory: true } },
      { status: 'failed', result: { reason: 'out-of-memory', signal: 'SIGKILL' } },
    ],
    ['that it is alive', true, { kind: 'alive' }, { status: 'running' }],
  ])('decides, when its runner is not heard of: %s', async ([, isRedeemed, observed, expected]) => {
    const { provider, submit, redeem, later, now } = await open();
    const command = await submit();
    if (isRedeemed) await redeem();
    provider.script.observe = async () => observed;
    await later(isRedeemed ? leaseSeconds : startSeconds);
    if (isRedeemed) await later(goneSeconds);
    expect(await now(command)).toMatchObject(expected);
  });

  test('that it is gone is believed once it has said so for long enough, and never in between, whatever the clock says', async () => {
    const { provider, submit, redeem, later, now } = await open();
    const command = await submit();
    await redeem();
    provider.script.observe = async () => GONE;
    await later(10 * leaseSeconds);
    await later(goneSeconds - 1);
    provider.script.observe = async () => ({ kind: 'alive' });
    await later(1);
    provider.script.observe = async () => GONE;
    await later(leaseSeconds);
    await later(goneSeconds - 1);
    expect((await now(command)).status).toBe('running');
    await later(1);
    expect((await now(command)).status).toBe('lost');
  });

  test('or does not say, for a while, decides nothing', async () => {
    const { provider, submit, redeem, end, later, now } = await open();
    const command = await submit();
    await redeem();
    provider.script.observe = () => Promise.reject(new Error('503'));
    for (let i = 0; i < 5; i++) await later(leaseSeconds);
    expect((await now(command)).status).toBe('running');
    await end();
    expect((await now(command)).status).toBe('succeeded');
  });

  test('or cannot say keeps nobody waiting: its commands step back in the line of those that are due', async () => {
    const { provider, submit, redeem, right, later, survivor, clock } = await open();
    provider.script.observe = () => Promise.reject(new Error('down'));
    for (let i = 0; i < 5; i++) {
      await submit({ timeoutSeconds: 3_600 });
      await redeem(right(i));
    }
    await later(leaseSeconds, survivor);
    expect(provider.observed).toHaveLength(5);
    expect(await survivor.commands.due(clock.now(), 10)).toEqual([]);
    // Asked less often, the longer it does not answer.
    await later(1_800, survivor);
    expect(await survivor.commands.due(clock.now() + 299_000, 10)).toEqual([]);
    expect(await survivor.commands.due(clock.now() + 300_000, 10)).toHaveLength(5);
    // And it is not called while it is down.
    expect(provider.observed).toHaveLength(5);
  });

  test('is asked again after a restart only when it is time: a runner elsewhere did not die with us', async () => {
    const { provider, submit, redeem, survivor, later } = await open();
    await submit();
    await redeem();
    await recover(survivor);
    await recoverRuns(survivor);
    expect(provider.observed).toEqual([]);
    await later(leaseSeconds);
    expect(provider.observed).toHaveLength(1);
  });
});

describe('a cancel of a running command', () => {
  test('is asked of the provider at once, again while it does not work, and done when the run is gone', async () => {
    const { deps, provider, submit, redeem, later, now } = await open();
    const command = await submit();
    await redeem();
    await cancelCommand(deps, owner, command.id);
    await settle();
    expect(provider.canceled).toMatchObject([{ key: `${command.id}-1`, ref: `ref-of-${command.id}-1` }]);
    expect((await now(command)).status).toBe('running');
    await later(stopSeconds);
    expect(provider.canceled).toHaveLength(2);
    provider.script.observe = async () => GONE;
    await later(stopSeconds);
    await later(goneSeconds);
    expect(await now(command)).toMatchObject({ status: 'canceled', result: { reason: 'canceled' } });
  });
});

describe('a command whose machine was told to end', () => {
  const TERM: EndHead = { ...END, exit: { exitCode: null, signal: 'SIGTERM' } };
  const EVICTED: EndHead = { ...TERM, evicted: true };

  test.for<[string, EndHead, boolean, object]>([
    ['by its provider is lost', EVICTED, false, { status: 'lost', result: { reason: 'lost', signal: null } }],
    [
      'since that was asked for is canceled, by the signal',
      EVICTED,
      true,
      { status: 'canceled', result: { reason: 'canceled', signal: 'SIGTERM' } },
    ],
    ['by nobody ended itself', TERM, false, { status: 'failed', result: { reason: 'signal', signal: 'SIGTERM' } }],
  ])('%s', async ([, head, isCanceled, expected]) => {
    const { deps, submit, redeem, end, right, now } = await open();
    const command = await submit();
    await redeem();
    if (isCanceled) await cancelCommand(deps, owner, command.id);
    await end(right(), head);
    expect(await now(command)).toMatchObject(expected);
  });

  test('by its provider is tried again, when that is wanted', async () => {
    const { submit, redeem, end, right, now } = await open();
    const command = await submit({ retry: { maxAttempts: 2, on: ['lost'] } });
    await redeem();
    await end(right(), EVICTED);
    expect(await now(command)).toMatchObject({
      status: 'queued',
      attempts: [{ status: 'lost', result: { detail: expect.stringContaining('told to end') } }],
    });
  });
});

describe('what an ended run left', () => {
  const endedOne = async () => {
    const opened = await open();
    const command = await opened.submit();
    await opened.redeem();
    await opened.end();
    return { ...opened, command };
  };

  test('is removed again and again until the provider says that it is gone, and then never again', async () => {
    const { provider, later, now, command } = await endedOne();
    await later(0);
    for (let i = 1; i < 5; i++) {
      expect(provider.canceled).toHaveLength(i);
      expect(await now(command)).toMatchObject({ status: 'succeeded', attempts: [{ held: true }] });
      await later(stopSeconds);
    }
    provider.script.observe = async () => GONE;
    await later(stopSeconds);
    const { dueAt, attempts } = await now(command);
    expect([dueAt, attempts[0]?.held]).toEqual([undefined, undefined]);
    const { length } = provider.canceled;
    for (let i = 0; i < 5; i++) await later(stopSeconds);
    expect(provider.canceled).toHaveLength(length);
  });

  test('and that cannot be removed for one attempt is removed for the others, and keeps no retry from its start', async () => {
    const { provider, submit, redeem, later, now } = await open();
    const command = await submit({ retry: { maxAttempts: 3, on: ['lost'] } });
    provider.script = {
      observe: async () => GONE,
      cancel: async ({ key }) => {
        if (key.endsWith('-1')) throw new Error('403');
      },
    };
    for (let attempt = 1; attempt <= 3; attempt++) {
      await redeem();
      await later(leaseSeconds);
      await later(goneSeconds);
      await later(10);
    }
    expect(provider.starts).toHaveLength(3);
    await later(stopSeconds);
    const { status, attempts, dueAt } = await now(command);
    expect([status, attempts.map(({ held }) => held)]).toEqual(['lost', [true, undefined, undefined]]);
    expect(dueAt).toBeDefined();
  });

  test.for(['cancel', 'observe', 'store'] as const)(
    'is removed by another worker when the one at it dies at its %s',
    async (where) => {
      const { provider, submit, redeem, end, later, now, survivor, bury, deps } = await open();
      const command = await submit();
      await redeem();
      await end();
      provider.script.cancel = async () => (where === 'cancel' ? NEVER : undefined);
      provider.script.observe = async () => {
        if (where === 'observe') return NEVER;
        bury();
        return GONE;
      };
      void advanceCommand(deps, referenceOf(command.tenant, command.id));
      await settle();
      bury();
      expect(provider.canceled).toHaveLength(1);
      expect((await now(command)).attempts[0]?.held).toBe(true);
      provider.script = { observe: async () => GONE };
      await later(stopSeconds - 1, survivor);
      expect(provider.canceled).toHaveLength(1);
      await later(1, survivor);
      expect(provider.canceled).toHaveLength(2);
      expect((await now(command)).dueAt).toBeUndefined();
    },
  );

  test('is looked after when the command is long final, and a late word of its runner changes nothing', async () => {
    const { survivor, now, command, later, provider, end } = await endedOne();
    const before = await now(command);
    await end();
    const seen = { kind: 'accepted', attempt: 1, ref: 'late' } as const;
    const moved = await observeCommand(survivor, referenceOf(command.tenant, command.id), seen);
    const { status, result } = before;
    expect(moved?.stored.command).toMatchObject({ status, result, attempts: [{ held: true, ref: 'late' }] });
    provider.script.observe = async () => GONE;
    await later(24 * 3_600);
    expect((await now(command)).dueAt).toBeUndefined();
  });
});
