import { expect, test } from 'vitest';
import { toTenantId } from '../../shared/domain/ids.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import type { Store } from '../../shared/store/store.ts';
import { storeContract } from '../contract/store-contract.ts';
import { commandId } from '../support/commands.ts';
import { makeFaults } from './faults.ts';
import { makeLife } from './life.ts';
import { makeMemory } from './memory-store.ts';
import { makeRng } from './rng.ts';
import { makeFarQueue } from './simulated-queue.ts';
import { storeOf } from './simulated-store.ts';
import { makeWorld, type World } from './world.ts';

/** A world in which nothing goes wrong, and whose time passes by itself. */
const calmWorld = () => {
  const world = makeWorld(1, 0, false);
  const faults = makeFaults(makeRng(1));
  faults.end();
  return { world, faults, life: makeLife(world, 'node', makeRng(2)) };
};

/** Lets the world go on until a call is answered. */
const awaited = (world: World, store: Store): Store => {
  const until =
    <A extends unknown[], T>(call: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      let isOver = false;
      const answer = call(...args).finally(() => (isOver = true));
      answer.catch(() => {});
      await new Promise((resolve) => setImmediate(resolve));
      await world.run(() => isOver, world.now() + 60_000);
      return answer;
    };
  return {
    ...store,
    get: until(store.get),
    getAll: until(store.getAll),
    write: until(store.write),
    query: until(store.query),
    queryIndex: until(store.queryIndex),
    removeExpired: until(store.removeExpired),
    check: until(store.check),
  };
};

for (const atomicWrites of ['free', 'costly'] as const) {
  storeContract(`simulated, ${atomicWrites}`, async () => {
    const { world, faults, life } = calmWorld();
    const memory = makeMemory();
    const store = awaited(world, storeOf(life, { world, faults, memory, atomicWrites, losesAnswer: () => false }));
    // DynamoDB removes what has expired by itself.
    return { ...store, removeExpired: async (now) => memory.removeExpired(now) };
  });
}

test('the simulated queue hands each message to one process, not before its time, and again when it died with it', async () => {
  const { world, faults, life } = calmWorld();
  const queue = makeFarQueue(world, faults);
  const other = makeLife(world, 'other', makeRng(3));
  const handled: string[] = [];
  let isFirst = true;
  for (const one of [life, other]) {
    queue.consume(one, async () => {
      if (isFirst) {
        isFirst = false;
        one.crash('with a message in its hands');
        return new Promise(() => {});
      }
      handled.push(`${one.name} at ${Math.floor(world.now() / 1_000)}`);
      return true;
    });
  }
  const message = { v: 1 as const, id: referenceOf(toTenantId('default'), commandId(1)) };
  void queue.sender(other).send(message, { priority: 'normal', delaySeconds: 2.5 });
  await world.run(() => false, 600_000);
  expect(handled).toHaveLength(1);
  expect(handled[0]).toMatch(/at 63$/);
});

test('a dead process does nothing any more, and a frozen one does all of it later, in its order', async () => {
  const { world, life } = calmWorld();
  const told: string[] = [];
  const act = async (): Promise<void> => {
    for (let i = 1; ; i++) {
      await life.clock.sleep(1_000);
      told.push(`${i} at ${world.now()}`);
    }
  };
  void act();
  world.after(2_500, () => life.freeze(10_000));
  world.after(14_000, () => life.crash('here'));
  await world.run(() => false, 60_000);
  expect(told).toEqual(['1 at 1000', '2 at 2000', '3 at 12500', '4 at 13500']);
});
