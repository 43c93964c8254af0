import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../../machine/system-clock.ts';
import { sealTenant } from '../../../shared/app/seal-audit.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { makeCommandIds } from '../../../shared/domain/ids.ts';
import { makeCommandOrder } from '../../../shared/store/command-order.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const NOON = '2030-01-01T12:00:00Z';
const ELEVEN = '2030-01-01T11:00:00Z';

const submit = async (deps: TestWorker, idempotencyKey?: string) =>
  (await submitCommand(deps, owner, { body: { argv: ['true'] }, idempotencyKey })).command;
const inLog = async (deps: TestWorker): Promise<readonly string[]> => {
  await sealTenant(deps, owner.tenant);
  const ids: string[] = [];
  for await (const { entry } of deps.auditLog.read(owner.tenant, 1)) {
    if (entry.type === 'command.submitted') ids.push(entry.subject);
  }
  return ids;
};
/** A process of its own, whose ids are as random as outside of tests. */
const openProcess = async (options: NonNullable<Parameters<typeof testWorker>[0]> & { readonly store: Store }) => {
  const deps = await testWorker({ ...options, work: false });
  return { ...deps, order: makeCommandOrder(options.store, makeCommandIds(deps.clock, systemRandom)) };
};
const idsOf = (commands: readonly { readonly id: string }[]) => commands.map(({ id }) => id);

describe('a clock that was set back', () => {
  test.for([
    ['after the log had told of all', true],
    ['before the log told of any', false],
  ] as const)(
    '%s, while no server ran: later commands sort later, are in the log, and say the clock’s time',
    async ([, isSealed]) => {
      const store = sqliteStore({ file: ':memory:' });
      const before = await testWorker({ store, clock: fakeClock(NOON), work: false });
      const first = [await submit(before), await submit(before)];
      if (isSealed) await inLog(before);
      const after = await testWorker({ store, clock: fakeClock(ELEVEN), work: false });
      const second = [await submit(after), await submit(after, 'with a key'), await submit(after)];
      const all = idsOf([...first, ...second]);
      expect(all.toSorted()).toEqual(all);
      expect(second.map(({ submittedAt }) => submittedAt)).toEqual(Array(3).fill(Date.parse(ELEVEN)));
      expect(await inLog(after)).toEqual(all);
      // And once it has caught up.
      await after.clock.advance(2 * 3_600_000);
      const third = await submit(after);
      expect(third.id > (all.at(-1) ?? '')).toBe(true);
      expect(await inLog(after)).toEqual([...all, third.id]);
    },
  );

  test('under several processes on one folder, of which some saw it: the log tells of each command once', async () => {
    const store = sqliteStore({ file: ':memory:' });
    const one = await openProcess({ store, clock: fakeClock(NOON) });
    const commands = [await submit(one)];
    const two = await openProcess({ store, clock: fakeClock(ELEVEN) });
    const three = await openProcess({ store, clock: fakeClock(ELEVEN) });
    for (let i = 0; i < 20; i++) {
      for (const worker of [one, two, three]) commands.push(await submit(worker));
      await sealTenant(i % 2 === 0 ? one : three, owner.tenant);
    }
    expect((await inLog(two)).toSorted()).toEqual(idsOf(commands).toSorted());
  });

  test('is not counted on from twice: two that saw the same id make others, both behind it', () => {
    const ahead = makeCommandIds(fakeClock(NOON), { fraction: () => 0.9 });
    const seen = ahead.next();
    const behind = makeCommandIds(fakeClock(ELEVEN), { fraction: () => 0.1 });
    const before = behind.next();
    behind.passed(seen);
    behind.passed(before);
    const all = [before, seen, ahead.next(), behind.next(), behind.next()];
    expect(all.toSorted()).toEqual(all);
    expect(new Set(all).size).toBe(all.length);
  });
});

describe('a command that is stored later than others with a later id', () => {
  /** A store whose next write of a command waits until it is let go. */
  const withSlowWrite = (store: Store) => {
    let held: Promise<void> | undefined;
    let letGo = () => {};
    let arrived = () => {};
    return {
      store: {
        ...store,
        async write(writes) {
          if (!held || !writes.some((write) => 'put' in write && write.put.sk === 'command'))
            return store.write(writes);
          const waiting = held;
          held = undefined;
          arrived();
          await waiting;
          return store.write(writes);
        },
      } satisfies Store as Store,
      holdNext: () => {
        held = new Promise((resolve) => {
          letGo = resolve;
        });
        return new Promise<void>((resolve) => {
          arrived = resolve;
        });
      },
      letGo: () => letGo(),
    };
  };

  test('is waited for by the log of its own process, and keeps its id', async () => {
    const slow = withSlowWrite(sqliteStore({ file: ':memory:' }));
    const deps = await testWorker({ store: slow.store, work: false });
    const before = await submit(deps);
    const isHeld = slow.holdNext();
    const late = submit(deps);
    await isHeld;
    await deps.clock.advance(5);
    const later = await submit(deps);
    expect(await inLog(deps)).toEqual([before.id]);
    slow.letGo();
    expect(await inLog(deps).then(() => late)).toMatchObject({ status: 'queued' });
    expect(await inLog(deps)).toEqual([before.id, (await late).id, later.id]);
  });

  test('is given another id when another process read past it, and is in the log', async () => {
    const own = sqliteStore({ file: ':memory:' });
    const slow = withSlowWrite(own);
    const deps = await testWorker({ store: slow.store, work: false });
    const other = await testWorker({ store: own, clock: deps.clock, work: false });
    const before = await submit(deps);
    const isHeld = slow.holdNext();
    const late = submit(deps, 'with a key');
    await isHeld;
    await deps.clock.advance(5);
    const overtaking = await submit(deps);
    expect(await inLog(other)).toEqual(idsOf([before, overtaking]));
    slow.letGo();
    const { id } = await late;
    expect(id > overtaking.id).toBe(true);
    expect(await inLog(deps)).toEqual([before.id, overtaking.id, id]);
  });

  test('also when that happens between the log’s look at the commands and its next entry', async () => {
    const own = sqliteStore({ file: ':memory:' });
    const slow = withSlowWrite(own);
    const deps = await testWorker({ store: slow.store, work: false });
    const isHeld = slow.holdNext();
    const late = submit(deps);
    await isHeld;
    await deps.clock.advance(5);
    const overtaking = await submit(deps);
    let looked = false;
    const other = await testWorker({
      clock: deps.clock,
      work: false,
      store: {
        ...own,
        async queryIndex(index, pk, range) {
          const found = await own.queryIndex(index, pk, range);
          if (index === 'list' && !range.reverse && !looked) {
            looked = true;
            slow.letGo();
            await late;
          }
          return found;
        },
      },
    });
    await sealTenant(other, owner.tenant);
    expect(looked).toBe(true);
    expect((await inLog(deps)).toSorted()).toEqual([overtaking.id, (await late).id].toSorted());
  });
});

test('moving the fence costs a write only when there is something new', async () => {
  const store = sqliteStore({ file: ':memory:' });
  const deps = await testWorker({ store, work: false });
  await submit(deps);
  await sealTenant(deps, owner.tenant, { checkpoint: true });
  let writes = 0;
  const counted = await testWorker({
    clock: deps.clock,
    work: false,
    store: {
      ...store,
      write(given) {
        writes++;
        return store.write(given);
      },
    },
  });
  for (let i = 0; i < 5; i++) await sealTenant(counted, owner.tenant);
  expect(writes).toBe(0);
});
