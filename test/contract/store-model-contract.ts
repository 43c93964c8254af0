import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Item,
  type Key,
  keyOfWrite,
  type Range,
  type Store,
  type Write,
  type Written,
} from '../../shared/store/store.ts';
import type { OpenStore } from '../support/items.ts';

const RUNS = 100;
const PARTITIONS = ['a', 'b'];
const SORT_KEYS = ['1', '1/2', 'é', '\uff5e', '😀'];

/** The simplest thing that does what a store does. */
const modelStore = () => {
  const items = new Map<string, Item>();
  const nameOf = ({ pk, sk }: Key) => JSON.stringify([pk, sk]);
  const inRange = (keyOf: (item: Item) => Key | undefined, pk: string, { from, to, limit, reverse }: Range) => {
    const found = [...items.values()]
      .flatMap((item) => {
        const key = keyOf(item);
        return key?.pk === pk ? [{ item, bytes: Buffer.from(key.sk) }] : [];
      })
      .filter(({ bytes }) => from === undefined || bytes.compare(Buffer.from(from)) >= 0)
      .filter(({ bytes }) => to === undefined || bytes.compare(Buffer.from(to)) <= 0)
      .sort((a, b) => a.bytes.compare(b.bytes));
    return (reverse ? found.reverse() : found).slice(0, limit).map(({ item }) => item);
  };
  return {
    write(writes: readonly Write[]): Written {
      for (const [index, write] of writes.entries()) {
        if ('remove' in write) continue;
        const actual = items.get(nameOf(keyOfWrite(write)));
        if ((actual?.version ?? 0) !== write.ifVersion) return { ok: false, index, actual };
      }
      for (const write of writes) {
        if ('put' in write) items.set(nameOf(write.put), write.put);
        else if ('remove' in write) items.delete(nameOf(write.remove));
      }
      return { ok: true };
    },
    query: (pk: string, range: Range) => inRange((item) => item, pk, range),
    due: (pk: string, range: Range) => inRange(({ due }) => due, pk, range),
  };
};

const sortKey = fc.constantFrom(...SORT_KEYS);
const key = fc.record({ pk: fc.constantFrom(...PARTITIONS), sk: sortKey });
// As JSON has it: -0 comes back as 0.
const data = fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)));
const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 1, arbitrary: key.map((remove) => ({ remove })) },
  {
    weight: 1,
    arbitrary: fc.record({ check: key, ifVersion: fc.integer({ min: 0, max: 2 }) }),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({ key, ifVersion: fc.integer({ min: 0, max: 2 }), data, isDue: fc.boolean() })
      .map(({ key: { pk, sk }, ifVersion, data, isDue }) => ({
        // The whole key is in the index key, so that the order within the index is fixed.
        put: { pk, sk, version: ifVersion + 1, data, ...(isDue ? { due: { pk: 'due', sk: `${sk}/${pk}` } } : {}) },
        ifVersion,
      })),
  },
);
const writes = fc
  .uniqueArray(write, {
    minLength: 1,
    maxLength: 3,
    selector: (one) => {
      const { pk, sk } = keyOfWrite(one);
      return `${pk} ${sk}`;
    },
  })
  .filter((all) => !all.every((one) => 'check' in one));
const range: fc.Arbitrary<Range> = fc.record(
  { from: sortKey, to: sortKey, limit: fc.integer({ min: 1, max: 6 }), reverse: fc.boolean() },
  { requiredKeys: ['limit'] },
);

const compare = async (store: Store, model: ReturnType<typeof modelStore>, within: Range): Promise<void> => {
  for (const pk of PARTITIONS) expect(await store.query(pk, within)).toEqual(model.query(pk, within));
  const due = model.due('due', within).map(({ pk, sk, due: indexKey }) => ({ key: { pk, sk }, indexKey }));
  expect(await store.queryIndex('due', 'due', within)).toEqual(due);
};

export const storeModelContract = (open: OpenStore): void => {
  test('any writes and queries, one after the other, do what they do to a map', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(writes, { maxLength: 30 }), fc.array(range), async (all, ranges) => {
        const store = await open();
        const model = modelStore();
        for (const one of all) expect(await store.write(one)).toEqual(model.write(one));
        for (const within of [{ limit: 100 }, ...ranges]) await compare(store, model, within);
      }),
      { numRuns: RUNS },
    );
  });

  test('any writes at one time do what they do in some order: none is half done, and one condition is met once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(writes, { minLength: 2, maxLength: 12 }), async (all) => {
        const store = await open();
        const outcomes = await Promise.all(all.map((one) => store.write(one)));
        // A version that was met twice could not be: nobody writes a version again that was not removed.
        const removes = all.some((one) => one.some((part) => 'remove' in part));
        const won = all.flatMap((one, i) => (outcomes[i]?.ok ? one : []));
        const puts = won.flatMap((part) => ('put' in part ? [`${part.put.pk} ${part.put.sk} ${part.ifVersion}`] : []));
        if (!removes) expect(new Set(puts).size).toBe(puts.length);
        // What is there is what a winner put there.
        for (const pk of PARTITIONS) {
          for (const item of await store.query(pk, { limit: 100 })) {
            expect(won).toContainEqual({ put: item, ifVersion: item.version - 1 });
          }
        }
      }),
      { numRuns: RUNS },
    );
  });
};
