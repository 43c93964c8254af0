import { expect, test } from 'vitest';
import type { IndexName, Item, Range, Store } from '../../shared/store/store.ts';
import { anItem, type OpenStore, putNew, putNext, removal } from '../support/items.ts';

const sortKeys = (items: readonly Item[]): string[] => items.map(({ sk }) => sk);
const inIndex = async (store: Store, index: IndexName, pk: string, range: Partial<Range> = {}): Promise<string[]> =>
  (await store.queryIndex(index, pk, { limit: 100, ...range })).map(({ key }) => key.sk);

export const storeQueryContract = (open: OpenStore): void => {
  test.for<[string, Range, string[]]>([
    ['all of it', { limit: 100 }, ['a', 'b', 'b/1', 'b0', 'c']],
    ['backwards', { limit: 100, reverse: true }, ['c', 'b0', 'b/1', 'b', 'a']],
    ['at most so many', { limit: 2 }, ['a', 'b']],
    ['from a key on', { limit: 2, from: 'b' }, ['b', 'b/1']],
    ['from a key that is not there', { limit: 2, from: 'b1' }, ['c']],
    ['up to a key, the last first', { limit: 2, to: 'b0', reverse: true }, ['b0', 'b/1']],
    ['between two, both included', { limit: 100, from: 'b', to: 'b0' }, ['b', 'b/1', 'b0']],
    ['nothing, in a range where nothing is', { limit: 100, from: 'd' }, []],
  ])('a query gives one partition by its sort keys: %s', async ([, range, expected]) => {
    const store = await open();
    const here = ['c', 'b0', 'a', 'b/1', 'b'].map((sk) => putNew(anItem('p', sk)));
    await store.write([...here, putNew(anItem('p2', 'b')), putNew(anItem('o', 'b'))]);
    expect(sortKeys(await store.query('p', range))).toEqual(expected);
  });

  test('a partition without items gives none', async () => {
    expect(await (await open()).query('nothing', { limit: 1 })).toEqual([]);
  });

  test('the order is that of the bytes in UTF-8, not that of UTF-16', async () => {
    const store = await open();
    const ordered = ['\u0001', 'A', 'Z', 'a', 'é', '€', '\uff5e', '😀', '\u{10fffd}'];
    for (const sk of [...ordered].reverse()) {
      await store.write([putNew(anItem('p', sk, { due: { pk: 'due', sk } }))]);
    }
    expect(sortKeys(await store.query('p', { limit: 100 }))).toEqual(ordered);
    expect(await inIndex(store, 'due', 'due')).toEqual(ordered);
    expect(sortKeys(await store.query('p', { limit: 100, from: '\uff5e', to: '😀' }))).toEqual(['\uff5e', '😀']);
  });

  test('many large items come all, bytes and all', async () => {
    const store = await open();
    const names = Array.from({ length: 60 }, (_, i) => String(i).padStart(3, '0'));
    for (const [i, sk] of names.entries()) {
      await store.write([putNew(anItem('p', sk, { bytes: new Uint8Array(60_000).fill(i) }))]);
    }
    const found = await store.query('p', { limit: 1_000 });
    expect(sortKeys(found)).toEqual(names);
    expect(found.map(({ bytes }) => bytes?.at(-1))).toEqual(names.map((_, i) => i));
    expect(sortKeys(await store.query('p', { limit: 1_000, reverse: true }))).toEqual([...names].reverse());
  });

  test.for(['due', 'list'] as const)(
    'the sparse index %s holds only items that carry its key, and moves and loses them with it',
    async (index) => {
      const store = await open();
      const at = (sk: string, pk = 'i/0') => ({ [index]: { pk, sk } });
      await store.write([
        putNew(anItem('p', 'in', at('2'))),
        putNew(anItem('p', 'out')),
        putNew(anItem('q', 'early', at('1'))),
      ]);
      expect(await inIndex(store, index, 'i/0')).toEqual(['early', 'in']);
      expect(await inIndex(store, index === 'due' ? 'list' : 'due', 'i/0')).toEqual([]);
      await store.write([putNext(1, anItem('q', 'early', at('3')))]);
      expect(await inIndex(store, index, 'i/0')).toEqual(['in', 'early']);
      await store.write([putNext(2, anItem('q', 'early', at('3', 'i/1')))]);
      expect(await inIndex(store, index, 'i/0')).toEqual(['in']);
      expect(await inIndex(store, index, 'i/1')).toEqual(['early']);
      await store.write([putNext(3, anItem('q', 'early')), removal('p', 'in')]);
      expect([await inIndex(store, index, 'i/0'), await inIndex(store, index, 'i/1')]).toEqual([[], []]);
      await store.write([putNext(4, anItem('q', 'early', at('5')))]);
      expect(await inIndex(store, index, 'i/0')).toEqual(['early']);
    },
  );

  test('an index is read in ranges, either way', async () => {
    const store = await open();
    for (const sk of ['3', '1', '2']) await store.write([putNew(anItem('p', sk, { due: { pk: 'due', sk } }))]);
    expect(await inIndex(store, 'due', 'due', { to: '2' })).toEqual(['1', '2']);
    expect(await inIndex(store, 'due', 'due', { from: '2' })).toEqual(['2', '3']);
    expect(await inIndex(store, 'due', 'due', { to: '2', limit: 1, reverse: true })).toEqual(['2']);
  });

  test('two items with the same index key are both in the index', async () => {
    const store = await open();
    const due = { pk: 'due', sk: '1' };
    await store.write([putNew(anItem('p', 'a', { due })), putNew(anItem('p', 'b', { due }))]);
    expect((await inIndex(store, 'due', 'due')).toSorted()).toEqual(['a', 'b']);
  });

  test('an index gives the keys, and they give the items', async () => {
    const store = await open();
    const item = anItem('p', 'a', { due: { pk: 'due', sk: '1' }, list: { pk: 'list', sk: '1' }, expiresAt: 9e12 });
    await store.write([putNew({ ...item, bytes: Uint8Array.of(1) })]);
    expect(await store.queryIndex('due', 'due', { limit: 1 })).toEqual([
      { key: { pk: 'p', sk: 'a' }, indexKey: { pk: 'due', sk: '1' } },
    ]);
    const [found, none, again] = await store.getAll([
      { pk: 'p', sk: 'a' },
      { pk: 'p', sk: 'not there' },
      { pk: 'p', sk: 'a' },
    ]);
    expect(found).toMatchObject(item);
    expect(none).toBeUndefined();
    expect(again).toEqual(found);
    expect(await store.getAll([])).toEqual([]);
  });

  test('250 items come in the order in which they were asked for', async () => {
    const store = await open();
    const all = Array.from({ length: 250 }, (_, i) => anItem('p', `${i}`, { data: 'x'.repeat(1_000) }));
    for (let at = 0; at < all.length; at += 100) await store.write(all.slice(at, at + 100).map(putNew));
    const keys = all.map(({ pk, sk }) => ({ pk, sk })).toReversed();
    expect((await store.getAll(keys)).map((item) => item?.sk)).toEqual(keys.map(({ sk }) => sk));
  });
};
