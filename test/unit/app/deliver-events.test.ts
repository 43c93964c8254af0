import { describe, expect, test } from 'vitest';
import { cancelCommand } from '../../../shared/app/cancel-command.ts';
import { deliverEvents } from '../../../shared/app/deliver-events.ts';
import { sealTenant } from '../../../shared/app/seal-audit.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import type { StoredEvent } from '../../../shared/domain/events.ts';
import type { Subscription } from '../../../shared/events/subscription.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';

/** Commands that were submitted and canceled, their events in the log: three each. */
const withEvents = async (count: number, deps?: TestWorker): Promise<TestWorker> => {
  const own = deps ?? (await testWorker({ work: false }));
  for (let i = 0; i < count; i++) {
    const { command } = await submitCommand(own, owner, { body: { argv: ['true', String(i)] } });
    await cancelCommand(own, owner, command.id);
  }
  await own.clock.advance(1);
  await sealTenant(own, owner.tenant);
  return own;
};

/** Writes down what it is told, unless `fail` says otherwise. */
const listener = (fail: (events: readonly StoredEvent[]) => number | undefined = () => undefined, over = {}) => {
  const told: number[] = [];
  const subscription: Subscription = {
    name: 'listener',
    async handle(events) {
      const done = fail(events) ?? events.length;
      told.push(...events.slice(0, done).map(({ sequence }) => sequence));
      return done;
    },
    ...over,
  };
  return { told, subscription };
};
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const deliver = (deps: TestWorker, ...subscriptions: readonly Subscription[]) =>
  deliverEvents({ ...deps, subscriptions });
const cursorOf = async (deps: TestWorker) => (await deps.eventCursors.read(owner.tenant, 'listener')).cursor;

describe('a subscription', () => {
  test('is told of every event once, in order, some at a time, and of later ones later', async () => {
    const deps = await withEvents(80);
    const { told, subscription } = listener();
    await deliver(deps, subscription);
    expect(told).toEqual(numbers(1, 240));
    expect(await cursorOf(deps)).toEqual({ after: 240 });
    await deliver(deps, subscription);
    await withEvents(1, deps);
    await deliver(deps, subscription);
    expect(told).toEqual(numbers(1, 243));
  });

  test('is told of its types alone, and what is not for it is passed over', async () => {
    const deps = await withEvents(400);
    const types: string[] = [];
    const { subscription } = listener((events) => void types.push(...events.map(({ type }) => type)), {
      types: ['command.completed'],
    });
    await deliver(deps, subscription);
    expect(types).toEqual(Array.from({ length: 400 }, () => 'command.completed'));
    const none = listener(undefined, { name: 'listener', types: ['policy.applied'] });
    await deliver(deps, none.subscription);
    expect(none.told).toEqual([]);
  });

  test('is told again of what it was told of when the process died before that was stored, and of nothing less', async () => {
    const deps = await withEvents(3);
    const { told, subscription } = listener();
    let dies = true;
    const eventCursors: typeof deps.eventCursors = {
      ...deps.eventCursors,
      async write(tenant, name, from, next) {
        if (dies && next.after > 0) throw new Error('killed');
        return deps.eventCursors.write(tenant, name, from, next);
      },
    };
    await deliver({ ...deps, eventCursors }, subscription);
    expect(told).toEqual(numbers(1, 9));
    dies = false;
    // Others wait for the lease of the dead.
    await deliver(deps, subscription);
    expect(told).toEqual(numbers(1, 9));
    await deps.clock.advance(61_000);
    await deliver(deps, subscription);
    expect(told).toEqual([...numbers(1, 9), ...numbers(1, 9)]);
    expect(await cursorOf(deps)).toEqual({ after: 9 });
  });

  test('is told by one process at a time: of any number that share the work, nothing is told twice', async () => {
    const deps = await withEvents(150);
    const other = await testWorker({ work: false, store: deps.store, clock: deps.clock, name: 'worker-2' });
    let together = 0;
    const told: number[] = [];
    const subscription: Subscription = {
      name: 'listener',
      async handle(events) {
        expect(++together).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        told.push(...events.map(({ sequence }) => sequence));
        together--;
        return events.length;
      },
    };
    await Promise.all([deps, other, deps, other].map((one) => deliver(one, subscription)));
    expect(told).toEqual(numbers(1, 450));
  });

  test('whose handler outlasts its lease is told to give up, and what it stores then counts no more', async () => {
    const deps = await withEvents(2);
    let reason: unknown;
    const slow: Subscription = {
      name: 'listener',
      handle: (events, signal) =>
        new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            resolve(events.length);
          }),
        ),
    };
    const { told, subscription } = listener();
    const delivering = deliver(deps, slow);
    await deps.clock.advance(59_000);
    await deliver(deps, subscription);
    expect(told).toEqual([]);
    const { version } = await deps.eventCursors.read(owner.tenant, 'listener');
    await deps.eventCursors.write(owner.tenant, 'listener', { cursor: { after: 0 }, version }, { after: 0 });
    await deliver(deps, subscription);
    expect(told).toEqual(numbers(1, 6));
    await deps.clock.advance(2_000);
    await delivering;
    expect(reason).toBeInstanceOf(Error);
    expect(await cursorOf(deps)).toEqual({ after: 6 });
  });

  test('that fails is told again, ever later, from the first event that was not done', async () => {
    const deps = await withEvents(2);
    let failing = true;
    const { told, subscription } = listener((events) => {
      if (!failing) return undefined;
      if (told.length > 0) throw new Error('It is away');
      return events.findIndex(({ sequence }) => sequence === 3);
    });
    await deliver(deps, subscription);
    expect(await cursorOf(deps)).toEqual({ after: 2, failures: { count: 1, retryAt: deps.clock.now() + 1_000 } });
    await deliver(deps, subscription);
    for (const waitSeconds of [2, 4, 8]) {
      await deps.clock.advance(600_000);
      await deliver(deps, subscription);
      expect((await cursorOf(deps)).failures?.retryAt).toBe(deps.clock.now() + waitSeconds * 1_000);
    }
    expect(told).toEqual([1, 2]);
    failing = false;
    await deps.clock.advance(600_000);
    await deliver(deps, subscription);
    expect(told).toEqual(numbers(1, 6));
    expect(await cursorOf(deps)).toEqual({ after: 6 });
  });

  test('that fails keeps no other one waiting', async () => {
    const deps = await withEvents(1);
    const { told, subscription } = listener();
    const failing: Subscription = { name: 'failing', handle: () => Promise.reject(new Error('It is away')) };
    await deliver(deps, failing, subscription);
    expect(told).toEqual([1, 2, 3]);
  });

  test('is told of each command’s events in its order, wherever it dies', async () => {
    const deps = await withEvents(60);
    const first = new Map<string, string[]>();
    let calls = 0;
    const subscription: Subscription = {
      name: 'listener',
      async handle(events) {
        const dieAfter = ++calls % 3 === 0 ? events.length : (calls * 37) % events.length;
        for (const { id, subject, type } of events.slice(0, dieAfter)) {
          const known = first.get(subject) ?? [];
          if (!known.includes(`${type} ${id}`)) first.set(subject, [...known, `${type} ${id}`]);
        }
        if (dieAfter < events.length) throw new Error('killed');
        return events.length;
      },
    };
    for (let i = 0; i < 20; i++) {
      await deliver(deps, subscription);
      await deps.clock.advance(400_000);
    }
    expect(first.size).toBe(60);
    for (const types of first.values()) {
      expect(types.map((one) => one.split(' ')[0])).toEqual([
        'command.submitted',
        'command.cancel_requested',
        'command.completed',
      ]);
    }
  });
});
