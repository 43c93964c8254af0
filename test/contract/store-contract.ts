import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Item, Store, Write } from '../../shared/store/store.ts';

const item = (pk: string, sk: string, over: Partial<Item> = {}): Item => ({
  pk,
  sk,
  version: 1,
  data: { pk, sk },
  ...over,
});
const putNew = (put: Item): Write => ({ put, ifVersion: 0 });

/** What every store promises; each adapter runs it. */
export const storeContract = (name: string, open: () => Promise<Store>): void => {
  describe(`store contract: ${name}`, () => {
    test('what was written is read back as it was, bytes and all', async () => {
      const store = await open();
      const bytes = Uint8Array.from({ length: 300 * 1024 }, (_, i) => i % 256);
      const data = { text: 'é€😀\u0000\u2028', list: [1, null, true], nested: { deep: { er: 'x' } } };
      const put = item('t/1', 'a', {
        data,
        bytes,
        due: { pk: 'due', sk: '1' },
        list: { pk: 'list', sk: '1' },
        expiresAt: 9e12,
      });
      expect(await store.write([putNew(put)])).toEqual({ ok: true });
      const found = await store.get({ pk: 't/1', sk: 'a' });
      expect(found && { ...found, bytes: undefined }).toEqual({ ...put, bytes: undefined });
      expect(Buffer.compare(found?.bytes ?? Buffer.alloc(0), bytes)).toBe(0);
      expect(await store.get({ pk: 't/1', sk: 'b' })).toBeUndefined();
    });

    test('a put on nothing fails where something is, and tells what', async () => {
      const store = await open();
      await store.write([putNew(item('p', 's', { data: 'first' }))]);
      const second = await store.write([putNew(item('p', 's', { data: 'second' }))]);
      expect(second).toMatchObject({ ok: false, index: 0, actual: { data: 'first', version: 1 } });
    });

    test.for([
      ['an older version', 1],
      ['a version to come', 3],
    ] as const)('a put on %s fails and changes nothing', async ([, ifVersion]) => {
      const store = await open();
      await store.write([putNew(item('p', 's'))]);
      await store.write([{ put: item('p', 's', { version: 2, data: 'two' }), ifVersion: 1 }]);
      const stale = await store.write([{ put: item('p', 's', { version: ifVersion + 1, data: 'stale' }), ifVersion }]);
      expect(stale).toMatchObject({ ok: false, actual: { version: 2, data: 'two' } });
      expect(await store.get({ pk: 'p', sk: 's' })).toMatchObject({ version: 2, data: 'two' });
    });

    test('a put on a version of what is not there fails', async () => {
      const store = await open();
      expect(await store.write([{ put: item('p', 's', { version: 2 }), ifVersion: 1 }])).toEqual({
        ok: false,
        index: 0,
        actual: undefined,
      });
    });

    test('of 50 that race on one version exactly one wins', async () => {
      const store = await open();
      await store.write([putNew(item('p', 's'))]);
      const racers = Array.from({ length: 50 }, (_, racer) =>
        store.write([{ put: item('p', 's', { version: 2, data: racer }), ifVersion: 1 }]),
      );
      const won = (await Promise.all(racers)).flatMap(({ ok }, racer) => (ok ? [racer] : []));
      expect(won).toHaveLength(1);
      expect(await store.get({ pk: 'p', sk: 's' })).toMatchObject({ data: won[0] });
    });

    test('several writes are all there or none, and the one that failed is named', async () => {
      const store = await open();
      await store.write([putNew(item('p', 'taken'))]);
      const failed = await store.write([
        putNew(item('p', 'a')),
        { remove: { pk: 'p', sk: 'taken' } },
        putNew(item('p', 'taken')),
      ]);
      expect(failed).toMatchObject({ ok: false, index: 2 });
      expect(await store.get({ pk: 'p', sk: 'a' })).toBeUndefined();
      expect(await store.get({ pk: 'p', sk: 'taken' })).toBeDefined();
      expect(
        await store.write([putNew(item('p', 'a')), putNew(item('q', 'b')), { remove: { pk: 'p', sk: 'taken' } }]),
      ).toEqual({
        ok: true,
      });
      expect(await store.get({ pk: 'q', sk: 'b' })).toBeDefined();
      expect(await store.get({ pk: 'p', sk: 'taken' })).toBeUndefined();
    });

    test('one write set that fails takes no other down that was asked for at the same time', async () => {
      const store = await open();
      await store.write([putNew(item('p', 'taken'))]);
      const outcomes = await Promise.all([
        store.write([putNew(item('p', 'a'))]),
        store.write([putNew(item('p', 'taken'))]),
        store.write([putNew(item('p', 'b'))]),
      ]);
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true]);
    });

    test('removing what is not there is fine', async () => {
      const store = await open();
      expect(await store.write([{ remove: { pk: 'p', sk: 'nothing' } }])).toEqual({ ok: true });
    });

    test('a query gives one partition in the order of its sort keys, within a range, either way', async () => {
      const store = await open();
      const sks = ['a', 'b', 'b/1', 'b0', 'c', 'ä', '€'];
      await store.write([...sks, 'z'].map((sk) => putNew(item(sk === 'z' ? 'other' : 'p', sk))));
      const find = async (range: Parameters<Store['query']>[1]) => (await store.query('p', range)).map(({ sk }) => sk);
      expect(await find({ limit: 100 })).toEqual(sks);
      expect(await find({ limit: 100, reverse: true })).toEqual([...sks].reverse());
      expect(await find({ limit: 2, from: 'b' })).toEqual(['b', 'b/1']);
      expect(await find({ limit: 2, to: 'c', reverse: true })).toEqual(['c', 'b0']);
      expect(await find({ limit: 100, from: 'b', to: 'b0' })).toEqual(['b', 'b/1', 'b0']);
      expect(await store.query('nothing', { limit: 1 })).toEqual([]);
    });

    test('a sparse index holds only items that carry its key, moves with it, and leaves bytes out', async () => {
      const store = await open();
      const due = (sk: string) => ({ due: { pk: 'due/0', sk } });
      await store.write([
        putNew(item('p', 'in', { ...due('2'), bytes: Uint8Array.of(1) })),
        putNew(item('p', 'out')),
        putNew(item('q', 'early', due('1'))),
      ]);
      const find = async () => (await store.queryIndex('due', 'due/0', { limit: 10 })).map(({ sk }) => sk);
      expect(await find()).toEqual(['early', 'in']);
      expect((await store.queryIndex('due', 'due/0', { limit: 10, from: '2' }))[0]?.bytes).toBeUndefined();
      await store.write([{ put: item('q', 'early', { version: 2, ...due('3') }), ifVersion: 1 }]);
      expect(await find()).toEqual(['in', 'early']);
      await store.write([{ put: item('q', 'early', { version: 3 }), ifVersion: 2 }]);
      expect(await find()).toEqual(['in']);
      expect(await store.queryIndex('list', 'due/0', { limit: 10 })).toEqual([]);
    });

    test('two items with the same index key are both in the index', async () => {
      const store = await open();
      const due = { pk: 'due/0', sk: '1' };
      await store.write([putNew(item('p', 'a', { due })), putNew(item('p', 'b', { due }))]);
      expect(await store.queryIndex('due', 'due/0', { limit: 10 })).toHaveLength(2);
    });

    test('what expired may be removed, what did not stays', async () => {
      const store = await open();
      await store.write([
        putNew(item('p', 'old', { expiresAt: 10 })),
        putNew(item('p', 'new', { expiresAt: 30 })),
        putNew(item('p', 'ever')),
      ]);
      await store.removeExpired(20);
      expect(await store.get({ pk: 'p', sk: 'new' })).toBeDefined();
      expect(await store.get({ pk: 'p', sk: 'ever' })).toBeDefined();
    });

    test('a healthy store checks out', async () => {
      await expect((await open()).check()).resolves.toBeUndefined();
    });

    test('does what a map with versions does', async () => {
      const keyOf = fc.record({ pk: fc.constantFrom('a', 'b'), sk: fc.constantFrom('1', '2', '3') });
      const action = fc.oneof(
        fc.record({
          do: fc.constant('put' as const),
          key: keyOf,
          ifVersion: fc.integer({ min: 0, max: 3 }),
          data: fc.jsonValue(),
        }),
        fc.record({ do: fc.constant('remove' as const), key: keyOf }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
          const store = await open();
          const model = new Map<string, { version: number; data: unknown }>();
          for (const one of actions) {
            const name = `${one.key.pk}/${one.key.sk}`;
            if (one.do === 'remove') {
              await store.write([{ remove: one.key }]);
              model.delete(name);
              continue;
            }
            // As JSON has it: -0 comes back as 0.
            const data: unknown = JSON.parse(JSON.stringify(one.data));
            const version = one.ifVersion + 1;
            const expected = (model.get(name)?.version ?? 0) === one.ifVersion;
            const written = await store.write([{ put: { ...one.key, version, data }, ifVersion: one.ifVersion }]);
            expect(written.ok).toBe(expected);
            if (expected) model.set(name, { version, data });
          }
          for (const pk of ['a', 'b']) {
            const stored = (await store.query(pk, { limit: 10 })).map(({ sk, version, data }) => ({
              sk,
              version,
              data,
            }));
            const wanted = ['1', '2', '3'].flatMap((sk) => {
              const kept = model.get(`${pk}/${sk}`);
              return kept ? [{ sk, ...kept }] : [];
            });
            expect(stored).toEqual(wanted);
          }
        }),
        { numRuns: 50 },
      );
    });
  });
};
