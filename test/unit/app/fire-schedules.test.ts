import { describe, expect, test } from 'vitest';
import { fireDue } from '../../../shared/app/fire-due.ts';
import {
  createSchedule,
  pauseSchedule,
  putSchedule,
  removeSchedule,
  resumeSchedule,
} from '../../../shared/app/schedules.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { triggerSchedule } from '../../../shared/app/trigger-schedule.ts';
import type { Actor } from '../../../shared/domain/actor.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { AppError } from '../../../shared/domain/errors.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { ROLES } from '../../../shared/domain/permissions.ts';
import type { Member } from '../../../shared/domain/principals.ts';
import type { TenantLimits } from '../../../shared/domain/quotas.ts';
import { keys } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { dyingStore } from '../../support/dying-store.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { read, schedule, told } from '../../support/schedules.ts';

const MINUTE = 60_000;

const allOf = async (deps: TestWorker): Promise<readonly Command[]> =>
  (await deps.commands.list(owner.tenant, {}, { limit: 1_000 })).commands;
/** For which instants commands were submitted, in order. */
const instantsOf = async (deps: TestWorker): Promise<string[]> =>
  (await allOf(deps)).map(({ scheduledBy }) => new Date(scheduledBy?.at ?? 0).toISOString().slice(11, 16)).toSorted();

/** Looks each so many milliseconds for as long. */
const run = async (deps: TestWorker, forMs: number, everyMs = MINUTE): Promise<void> => {
  for (let gone = 0; gone < forMs; gone += everyMs) {
    await deps.clock.advance(everyMs);
    await fireDue(deps, deps.clock.now());
  }
};
const idle = () => testWorker({ work: false });

describe('a schedule', () => {
  test('submits its command at each instant, as the member that owns it', async () => {
    const deps = await idle();
    const made = await schedule(deps, { overlap: 'allow', command: { argv: ['echo', 'hi'], labels: { team: 'a' } } });
    await run(deps, 3 * MINUTE);
    expect(await instantsOf(deps)).toEqual(['00:01', '00:02', '00:03']);
    expect((await allOf(deps))[0]).toMatchObject({
      submittedBy: 'owner',
      submittedWith: { role: 'owner', credential: { kind: 'schedule', id: made.id } },
      scheduledBy: { schedule: made.id },
      spec: { argv: ['echo', 'hi'], labels: { team: 'a' } },
    });
    expect(told(await read(deps, made))).toEqual(['00:01 submitted', '00:02 submitted', '00:03 submitted']);
  });

  test('runs what it submits', async () => {
    const deps = await testWorker();
    await schedule(deps);
    await run(deps, MINUTE);
    await expect.poll(async () => (await allOf(deps)).map(({ status }) => status)).toEqual(['succeeded']);
  });

  test('tells when the next one is due, and nothing of those that are due later', async () => {
    const deps = await idle();
    await schedule(deps);
    const now = deps.clock.now();
    expect(await fireDue(deps, now + MINUTE)).toBe(now + MINUTE);
    expect(await fireDue(deps, now + MINUTE - 1)).toBeUndefined();
  });

  test('of commands and of schedules, neither look finds what is the other’s', async () => {
    const deps = await idle();
    await schedule(deps);
    await run(deps, MINUTE);
    const later = deps.clock.now() + 3_600_000;
    expect(await deps.commands.due(later, 100)).toHaveLength(1);
    expect(await deps.schedules.due(later, 100)).toHaveLength(1);
  });

  test('that is paused fires nothing, resumed it goes on, and removed it is gone', async () => {
    const deps = await idle();
    const made = await schedule(deps, { overlap: 'allow' });
    await pauseSchedule(deps, owner, made.id);
    expect(await pauseSchedule(deps, owner, made.id)).toMatchObject({ state: 'paused', nextAt: [] });
    await run(deps, 5 * MINUTE);
    await resumeSchedule(deps, owner, made.id);
    await run(deps, MINUTE);
    expect(await instantsOf(deps)).toEqual(['00:06']);
    await removeSchedule(deps, owner, made.id);
    await run(deps, 2 * MINUTE);
    expect(await instantsOf(deps)).toEqual(['00:06']);
    expect(await deps.schedules.due(Number.POSITIVE_INFINITY, 10)).toEqual([]);
  });
});

describe('exactly once', () => {
  test.for([
    // The command with its key; the advance.
    ['free', 1],
    ['free', 2],
    // The key; the command; the advance.
    ['costly', 1],
    ['costly', 2],
    ['costly', 3],
  ] as const)('with %s transactions, after a crash behind write %i', async ([atomicWrites, writes]) => {
    const clock = fakeClock();
    const store: Store = { ...sqliteStore({ file: ':memory:' }), atomicWrites };
    const survivor = await testWorker({ clock, store, work: false });
    let died = false;
    const mortal = dyingStore(store, writes, () => {
      died = true;
    });
    const victim = await testWorker({ clock, store: mortal, work: false, name: 'worker-2' });
    const made = await schedule(survivor, { overlap: 'skip' });
    await clock.advance(MINUTE);
    await fireDue(victim, clock.now());
    expect(died).toBe(true);
    await clock.advance(1_000);
    await fireDue(survivor, clock.now());
    expect(await instantsOf(survivor)).toEqual(['00:01']);
    const { history, nextAt } = await read(survivor, made);
    expect(history).toMatchObject([{ outcome: 'submitted', command: (await allOf(survivor))[0]?.id }]);
    expect(nextAt[0]).toBe('2030-01-01T00:02:00.000Z');
  });

  test.for([
    ['free', 1, true],
    // The key, and not the command.
    ['costly', 1, false],
    ['costly', 2, true],
  ] as const)(
    'with %s transactions, after a crash behind write %i and a time away, it was not missed: %s',
    async ([atomicWrites, writes, wasSubmitted]) => {
      const clock = fakeClock();
      const store: Store = { ...sqliteStore({ file: ':memory:' }), atomicWrites };
      const survivor = await testWorker({ clock, store, work: false });
      const victim = await testWorker({ clock, store: dyingStore(store, writes), work: false, name: 'worker-2' });
      const made = await schedule(survivor, { overlap: 'allow', catchUp: 'last' });
      await clock.advance(MINUTE);
      await fireDue(victim, clock.now());
      await clock.advance(10 * MINUTE);
      await fireDue(survivor, clock.now());
      expect(await instantsOf(survivor)).toEqual([...(wasSubmitted ? ['00:01'] : []), '00:11']);
      expect(told(await read(survivor, made))).toEqual([
        ...(wasSubmitted ? ['00:01 submitted', '00:02 missed late 9'] : ['00:01 missed late 10']),
        '00:11 submitted',
      ]);
    },
  );

  test.for([
    { what: 'passed over', over: { overlap: 'allow', catchUp: 'none' }, becomes: '00:01 missed late 30' },
    { what: 'skipped', over: { overlap: 'skip' }, becomes: '00:01 skipped overlap' },
  ] as const)(
    'not by somebody who is just about to, when it was $what by another meanwhile',
    async ({ over, becomes }) => {
      const clock = fakeClock();
      const store: Store = { ...sqliteStore({ file: ':memory:' }), atomicWrites: 'costly' };
      const deps = await testWorker({ clock, store, work: false });
      const made = await schedule(deps, over);
      // What is skipped was held up, as far as the other has seen.
      const { command } = await submitCommand(deps, owner, { body: { argv: ['true'] } });
      const reference = `${owner.tenant}/${made.id}` as const;
      if (over.overlap === 'skip')
        await deps.schedules.change(reference, (latest) => ({ ...latest, open: [command.id] }));
      await clock.advance(MINUTE);
      const ahead = over.overlap === 'allow' ? 30 * MINUTE : 0;
      const other = { ...deps, clock: { ...clock, now: () => clock.now() + ahead } };
      const findAll: typeof deps.commands.findAll = async () => [];
      const add: typeof deps.commands.add = async (...given) => {
        await fireDue(other, other.clock.now());
        return deps.commands.add(...given);
      };
      await fireDue({ ...deps, commands: { ...deps.commands, findAll, add } }, clock.now());
      expect(told(await read(deps, made))[0]).toBe(becomes);
      expect(await instantsOf(deps)).not.toContain('00:01');
    },
  );

  test('when several look at once, whatever they meet', async () => {
    const clock = fakeClock();
    const store = sqliteStore({ file: ':memory:' });
    const workers = await Promise.all(['a', 'b', 'c'].map((name) => testWorker({ clock, store, name, work: false })));
    const [first] = workers as [TestWorker];
    const made = await schedule(first, { overlap: 'allow', catchUp: 'all' });
    for (let minute = 1; minute <= 5; minute++) {
      await clock.advance(MINUTE);
      await Promise.all(workers.map((worker) => fireDue(worker, clock.now())));
    }
    // And after a time away.
    await clock.advance(5 * MINUTE);
    await Promise.all(workers.map((worker) => fireDue(worker, clock.now())));
    const expected = Array.from({ length: 10 }, (_, i) => `00:${String(i + 1).padStart(2, '0')}`);
    expect(await instantsOf(first)).toEqual(expected);
    expect(told(await read(first, made))).toEqual(expected.map((at) => `${at} submitted`));
  });

  test('when it was changed between the submission and its end, with another body', async () => {
    const clock = fakeClock();
    const store = sqliteStore({ file: ':memory:' });
    const deps = await testWorker({ clock, store, work: false });
    const victim = await testWorker({ clock, store: dyingStore(store, 1), work: false });
    const made = await schedule(deps, { overlap: 'allow' });
    await clock.advance(MINUTE);
    await fireDue(victim, clock.now());
    const stored = await deps.schedules.find(`${owner.tenant}/${made.id}`);
    await deps.schedules.change(`${owner.tenant}/${made.id}`, (one) => ({ ...one, template: { argv: ['other'] } }));
    await fireDue(deps, clock.now());
    expect(stored?.history).toEqual([]);
    expect((await allOf(deps)).map(({ spec }) => spec.argv)).toEqual([['true']]);
    expect(told(await read(deps, made))).toEqual(['00:01 submitted']);
  });

  test('no key of a caller’s is that of a firing', async () => {
    const deps = await idle();
    const made = await schedule(deps, { overlap: 'allow' });
    const { submitCommand } = await import('../../../shared/app/submit-command.ts');
    const idempotencyKey = `${made.id}-${deps.clock.now() + MINUTE}`;
    await submitCommand(deps, owner, { body: { argv: ['false'] }, idempotencyKey });
    await run(deps, MINUTE);
    expect(await allOf(deps)).toHaveLength(2);
  });
});

describe('while the command before has not ended', () => {
  const end = async (deps: TestWorker): Promise<void> => {
    const { cancelCommand } = await import('../../../shared/app/cancel-command.ts');
    for (const { id, status } of await allOf(deps)) if (status === 'queued') await cancelCommand(deps, owner, id);
  };
  const command = { argv: ['true'], queueTtlSeconds: 86_400 };

  test('overlap allow submits nonetheless', async () => {
    const deps = await idle();
    await schedule(deps, { overlap: 'allow', command });
    await run(deps, 3 * MINUTE);
    expect((await allOf(deps)).map(({ status }) => status)).toEqual(['queued', 'queued', 'queued']);
  });

  test('overlap skip, which is the default, skips, and says what it waited for', async () => {
    const deps = await idle();
    const made = await schedule(deps, { command });
    await run(deps, 3 * MINUTE);
    await end(deps);
    await run(deps, MINUTE);
    const after = await read(deps, made);
    expect(told(after)).toEqual([
      '00:01 submitted',
      '00:02 skipped overlap',
      '00:03 skipped overlap',
      '00:04 submitted',
    ]);
    expect(after.history[1]?.detail).toContain(after.history[3]?.command);
  });

  test('overlap replace cancels it', async () => {
    const deps = await idle();
    await schedule(deps, { overlap: 'replace', command });
    await run(deps, 3 * MINUTE);
    expect((await allOf(deps)).map(({ status }) => status)).toEqual(['queued', 'canceled', 'canceled']);
  });

  test('overlap queue waits, in order', async () => {
    const deps = await idle();
    const made = await schedule(deps, { overlap: 'queue', command });
    await run(deps, 3 * MINUTE);
    expect(await read(deps, made)).toMatchObject({ waiting: 2, history: [{ outcome: 'submitted' }] });
    expect(await instantsOf(deps)).toEqual(['00:01']);
    await end(deps);
    await run(deps, 10_000, 5_000);
    expect(await instantsOf(deps)).toEqual(['00:01', '00:02']);
    await end(deps);
    await run(deps, 10_000, 5_000);
    expect(await instantsOf(deps)).toEqual(['00:01', '00:02', '00:03']);
    expect(told(await read(deps, made))).toEqual(['00:01 submitted', '00:02 submitted', '00:03 submitted']);
  });

  test('no more than a hundred wait', async () => {
    const deps = await idle();
    const made = await schedule(deps, { overlap: 'queue', command });
    await run(deps, 103 * MINUTE);
    const after = await read(deps, made);
    expect(after.waiting).toBe(100);
    expect(after.history[0]).toMatchObject({ outcome: 'skipped', reason: 'queue-full' });
  });
});

describe('after a day down', () => {
  const down = async (catchUp: 'none' | 'last' | 'all') => {
    const deps = await idle();
    const made = await schedule(deps, {
      cron: '5 * * * *',
      everySeconds: undefined,
      overlap: 'allow',
      catchUp,
    } as never);
    await deps.clock.advance(24 * 60 * MINUTE);
    await fireDue(deps, deps.clock.now());
    return { instants: await instantsOf(deps), told: told(await read(deps, made)) };
  };
  test('none is made up for', async () => {
    expect(await down('none')).toEqual({ instants: [], told: ['00:05 missed late 23', '23:05 missed late'] });
  });
  test('or the last', async () => {
    expect(await down('last')).toEqual({ instants: ['23:05'], told: ['00:05 missed late 23', '23:05 submitted'] });
  });
  test('or all', async () => {
    expect((await down('all')).instants).toHaveLength(24);
  });
});

describe('what is refused when it fires is in its history and the audit log, and is not tried again', () => {
  const deny = (deps: TestWorker) =>
    deps.policies.apply(
      owner.tenant,
      { policy: { default: 'deny', rules: [] }, appliedAt: deps.clock.now(), appliedBy: 'owner' },
      undefined,
      () => [],
    );
  test('by the policy of then', async () => {
    const deps = await idle();
    const made = await schedule(deps);
    await deny(deps);
    await run(deps, MINUTE);
    await fireDue(deps, deps.clock.now());
    expect(await allOf(deps)).toEqual([]);
    expect(told(await read(deps, made))).toEqual(['00:01 refused policy-denied']);
    const pending = await deps.store.query(`${owner.tenant}/audit`, { limit: 100 });
    const refused = pending
      .map(({ data }) => data as { type?: string })
      .filter(({ type }) => type === 'schedule.refused');
    expect(refused).toMatchObject([
      {
        subject: made.id,
        actor: { id: 'owner' },
        details: { at: '2030-01-01T00:01:00.000Z', reason: 'policy-denied' },
      },
    ]);
  });

  test('by hand too, and whoever asked is told', async () => {
    const deps = await idle();
    const made = await schedule(deps);
    await deny(deps);
    await expect(triggerSchedule(deps, owner, made.id, undefined)).rejects.toMatchObject({ code: 'policy-denied' });
    expect((await read(deps, made)).history).toMatchObject([{ outcome: 'refused', manual: true }]);
  });

  test('a fault is tried again, for ten minutes', async () => {
    const deps = await idle();
    let fails = true;
    const store = {
      ...deps.commands,
      add: (...given: Parameters<typeof deps.commands.add>) =>
        fails ? Promise.reject(new AppError('unavailable', 'away')) : deps.commands.add(...given),
    };
    const faulty = { ...deps, commands: store };
    const made = await schedule(deps, { everySeconds: 3_600, overlap: 'allow' });
    await run(faulty, 62 * MINUTE);
    expect((await read(deps, made)).history).toEqual([]);
    fails = false;
    await run(faulty, MINUTE);
    expect(told(await read(deps, made))).toEqual(['01:00 submitted']);
    fails = true;
    await run(faulty, 72 * MINUTE);
    expect(told(await read(deps, made))).toEqual(['01:00 submitted', '02:00 refused unavailable']);
  });
});

describe('what was given up', () => {
  /** A process in which the store is away for so long that it gives up, while another is about to submit the same. */
  const twoAtOnce = async (atomicWrites: Store['atomicWrites']) => {
    const clock = fakeClock();
    const store: Store = { ...sqliteStore({ file: ':memory:' }), atomicWrites };
    const deps = await testWorker({ clock, store, work: false });
    const made = await schedule(deps, { everySeconds: 3_600, overlap: 'allow' });
    const away = async () => {
      throw new AppError('unavailable', 'away');
    };
    const givingUp = { ...deps, commands: { ...deps.commands, add: away } };
    await clock.advance(71 * MINUTE);
    return { deps, made, givingUp, clock };
  };

  test.for(['free', 'costly'] as const)(
    'is not submitted by another who is just about to: %s transactions',
    async (atomicWrites) => {
      const { deps, made, givingUp, clock } = await twoAtOnce(atomicWrites);
      const add: typeof deps.commands.add = async (...given) => {
        await fireDue(givingUp, clock.now());
        return deps.commands.add(...given);
      };
      await fireDue({ ...deps, commands: { ...deps.commands, add } }, clock.now());
      expect(told(await read(deps, made))).toEqual(['01:00 refused unavailable']);
      expect(await instantsOf(deps)).toEqual([]);
    },
  );

  test('was submitted, if another did so before', async () => {
    const { deps, made, givingUp, clock } = await twoAtOnce('costly');
    const change = async (): Promise<never> => {
      throw new Error('died before it was noted');
    };
    await fireDue({ ...deps, schedules: { ...deps.schedules, change } }, clock.now());
    expect(told(await read(deps, made))).toEqual([]);
    await fireDue(givingUp, clock.now());
    expect(told(await read(deps, made))).toEqual(['01:00 submitted']);
    expect(await instantsOf(deps)).toEqual(['01:00']);
  });
});

test('what was submitted is noted at once when the store is away for a moment, though somebody with a wrong clock went on', async () => {
  const clock = fakeClock();
  const store = sqliteStore({ file: ':memory:' });
  const deps = await testWorker({ clock, store, work: false });
  const made = await schedule(deps, { overlap: 'allow' });
  const reference = `${owner.tenant}/${made.id}` as const;
  const ahead = { ...clock, now: () => clock.now() + 30 * MINUTE };
  const add: typeof deps.commands.add = async (...given) => {
    await fireDue({ ...deps, clock: ahead }, ahead.now());
    return deps.commands.add(...given);
  };
  let failures = 0;
  const change: typeof deps.schedules.change = async (...given) => {
    if (failures++ === 0) throw new AppError('unavailable', 'away');
    return deps.schedules.change(...given);
  };
  await clock.advance(MINUTE);
  const faulty = { ...deps, commands: { ...deps.commands, add }, schedules: { ...deps.schedules, change } };
  const firing = fireDue(faulty, clock.now());
  await clock.advance(MINUTE);
  await firing;
  const { history } = (await deps.schedules.find(reference)) ?? { history: [] };
  const [first] = (await allOf(deps)).toSorted((a, b) => a.submittedAt - b.submittedAt);
  expect(history.filter(({ command }) => command === first?.id)).toHaveLength(1);
});

describe('a member’s schedule is refused when it fires', () => {
  const tenant = toTenantId('acme');
  const id = 'mem_0123456789abcdef';
  const member: Member = {
    ...{ id, kind: 'person', name: 'm', role: 'operator', scope: {} },
    ...{ disabled: false, createdAt: 0, createdBy: 'owner' },
  };
  const actor: Actor = {
    ...{ id, tenant, role: 'operator', permissions: new Set(ROLES.operator), scope: {} },
    credential: { kind: 'api-key', id: 'k' },
  };
  const change = (to: Partial<Member>) => (deps: TestWorker) =>
    deps.principals.members.change(keys.member(tenant, id), (one) => ({ ...one, ...to }));
  const limit =
    (limits: TenantLimits, suspended = false) =>
    (deps: TestWorker) =>
      deps.principals.tenants.add(keys.tenant(tenant), { id: 'acme', name: 'a', suspended, limits, createdAt: 0 });

  test.for<[why: string, reason: string | null, prepare: (deps: TestWorker) => Promise<unknown>]>([
    ['never, while all is as it was', null, async () => {}],
    ['when it is disabled', 'forbidden', change({ disabled: true })],
    ['when it may submit no more', 'forbidden', change({ role: 'viewer' })],
    ['when its role is gone', 'forbidden', change({ role: 'made-up' })],
    ['when its scope is of other targets', 'forbidden', change({ scope: { targets: ['elsewhere'] } })],
    ['when its scope is of other labels', 'forbidden', change({ scope: { labels: { team: 'b' } } })],
    ['when it is removed', 'forbidden', (deps) => deps.principals.removeMember(tenant, member)],
    ['when its tenant is suspended', 'forbidden', limit({}, true)],
    ['when its tenant has used what it may', 'quota-exceeded', limit({ commandsPerDay: 0 })],
  ])('%s', async ([, reason, prepare]) => {
    const deps = await idle();
    await deps.principals.addMember(tenant, member);
    const made = await createSchedule(deps, actor, {
      everySeconds: 60,
      command: { argv: ['true'], labels: { team: 'a' } },
    });
    await prepare(deps);
    await run(deps, MINUTE);
    const { history, next } = (await deps.schedules.find(`${tenant}/${made.id}`)) ?? {};
    expect(history).toMatchObject([reason === null ? { outcome: 'submitted' } : { outcome: 'refused', reason }]);
    expect(next).toBe(deps.clock.now() + MINUTE);
    const { commands } = await deps.commands.list(tenant, {}, { limit: 10 });
    expect(commands).toHaveLength(reason === null ? 1 : 0);
  });
});

describe('by hand', () => {
  test('it fires at once, paused or not, and the clock goes on as before', async () => {
    const deps = await idle();
    const made = await schedule(deps);
    await pauseSchedule(deps, owner, made.id);
    const firing = await triggerSchedule(deps, owner, made.id, undefined);
    expect(firing).toMatchObject({ outcome: 'submitted', manual: true });
    await resumeSchedule(deps, owner, made.id);
    expect((await read(deps, made)).nextAt[0]).toBe(made.nextAt[0]);
    // What it submitted has not ended.
    await run(deps, MINUTE);
    expect(told(await read(deps, made))).toEqual(['00:00 submitted', '00:01 skipped overlap']);
  });

  test('with a key, twice is the same as once', async () => {
    const deps = await idle();
    const [made, other] = [await schedule(deps), await schedule(deps)];
    const first = await triggerSchedule(deps, owner, made.id, 'key');
    await deps.clock.advance(5_000);
    expect(await triggerSchedule(deps, owner, made.id, 'key')).toEqual(first);
    expect((await triggerSchedule(deps, owner, other.id, 'key')).command).not.toBe(first.command);
    expect((await read(deps, made)).history).toHaveLength(1);
  });
});

test('another put in its place fires by its own times from then on, and is its writer’s', async () => {
  const deps = await idle();
  const made = await schedule(deps, { overlap: 'allow' });
  await run(deps, MINUTE);
  const put = await putSchedule(deps, owner, made.id, {
    at: '2030-01-01T00:05:00.000Z',
    command: { argv: ['other'] },
    onVersion: 1,
  });
  expect(put).toMatchObject({ version: 2, everySeconds: null, nextAt: ['2030-01-01T00:05:00.000Z'] });
  expect(put.history).toHaveLength(1);
  const late = putSchedule(deps, owner, made.id, { everySeconds: 60, command: { argv: ['x'] }, onVersion: 1 });
  await expect(late).rejects.toMatchObject({ code: 'conflict' });
  await run(deps, 10 * MINUTE);
  expect(await instantsOf(deps)).toEqual(['00:01', '00:05']);
  expect(await read(deps, made)).toMatchObject({ state: 'ended', nextAt: [] });
});
