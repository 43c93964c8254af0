import { describe, expect, test } from 'vitest';
import type { Write } from '../../shared/store/store.ts';
import { anItem, keyOf, type OpenStore, putNew, putNext, removal } from '../support/items.ts';
import { storeModelContract } from './store-model-contract.ts';
import { storeQueryContract } from './store-query-contract.ts';

/** What every store promises; each adapter runs it. */
export const storeContract = (name: string, open: OpenStore): void => {
  describe(`store contract: ${name}`, () => {
    describe('items', () => itemContract(open));
    describe('conditional writes', () => writeContract(open));
    describe('queries', () => storeQueryContract(open));
    describe('as a whole', () => storeModelContract(open));
  });
};

const itemContract = (open: OpenStore): void => {
  test('what was written is read back as it was, with all its keys', async () => {
    const store = await open();
    const put = anItem('t/1', 'a', {
      data: { text: 'é€😀\u0000\u2028"\\', list: [1, null, true, 1e-7], nested: { deep: { er: '' } }, lone: '\ud800' },
      bytes: Uint8Array.of(1),
      due: { pk: 'due', sk: '1' },
      list: { pk: 'list', sk: '1' },
      expiresAt: 9_007_199_254_740_991,
    });
    expect(await store.write([putNew(put)])).toEqual({ ok: true });
    const { bytes, ...found } = (await store.get(keyOf(put))) ?? anItem('', '');
    const { bytes: putBytes, ...expected } = put;
    expect(found).toEqual(expected);
    expect(Buffer.from(bytes ?? [])).toEqual(Buffer.from(putBytes ?? []));
  });

  test('what is not there is not found', async () => {
    const store = await open();
    await store.write([putNew(anItem('p', 'a'))]);
    expect(await store.get({ pk: 'p', sk: 'b' })).toBeUndefined();
    expect(await store.get({ pk: 'q', sk: 'a' })).toBeUndefined();
  });

  test.for([
    ['each of the 256 values', Uint8Array.from({ length: 256 }, (_, i) => i)],
    ['300 KiB', Uint8Array.from({ length: 300 * 1024 }, (_, i) => (i * 7) % 256)],
    ['none', new Uint8Array()],
  ] as const)('bytes are kept exactly: %s', async ([, bytes]) => {
    const store = await open();
    await store.write([putNew(anItem('p', 's', { bytes }))]);
    const found = await store.get({ pk: 'p', sk: 's' });
    expect(found?.bytes?.length).toBe(bytes.length);
    expect(Buffer.compare(found?.bytes ?? Buffer.alloc(0), bytes)).toBe(0);
  });

  test('a next version replaces all of the one before, also what it lacks', async () => {
    const store = await open();
    const full = { bytes: Uint8Array.of(1), due: { pk: 'd', sk: '1' }, list: { pk: 'l', sk: '1' }, expiresAt: 5 };
    await store.write([putNew(anItem('p', 's', full))]);
    await store.write([putNext(1, anItem('p', 's'))]);
    expect(await store.get({ pk: 'p', sk: 's' })).toEqual(anItem('p', 's', { version: 2 }));
  });

  test.for<[string, readonly Write[]]>([
    ['nothing at all', []],
    ['more than 100 parts', Array.from({ length: 101 }, (_, i) => removal('p', `${i}`))],
    ['two parts on one key', [putNew(anItem('p', 's')), removal('p', 's')]],
    ['nothing but a look', [{ check: { pk: 'p', sk: 's' }, ifVersion: 0 }]],
    ['a put and a look on one key', [putNew(anItem('p', 's')), { check: { pk: 'p', sk: 's' }, ifVersion: 0 }]],
    ['a version that does not follow from the condition', [{ put: anItem('p', 's', { version: 7 }), ifVersion: 0 }]],
    ['a condition on half a version', [{ put: anItem('p', 's', { version: 1.5 }), ifVersion: 0.5 }]],
    ['an empty key', [putNew(anItem('p', ''))]],
    ['a key that is no Unicode text', [putNew(anItem('p', '\ud800'))]],
    ['a time that is no whole number', [putNew(anItem('p', 's', { expiresAt: Number.NaN }))]],
    ['data that is no JSON', [putNew(anItem('p', 's', { data: undefined }))]],
  ])('%s is our own mistake, and harms no other write', async ([, wrong]) => {
    const store = await open();
    const beside = store.write([putNew(anItem('p', 'beside'))]);
    await expect(store.write(wrong)).rejects.toThrow(TypeError);
    expect(await beside).toEqual({ ok: true });
    expect(await store.get({ pk: 'p', sk: 's' })).toBeUndefined();
  });

  test('what expired may be removed, what did not stays', async () => {
    const store = await open();
    for (let i = 0; i < 12; i++) {
      const writes = Array.from({ length: 100 }, (_, j) => putNew(anItem('old', `${i}/${j}`, { expiresAt: 10 })));
      await store.write(writes);
    }
    await store.write([putNew(anItem('p', 'new', { expiresAt: 30 })), putNew(anItem('p', 'ever'))]);
    await store.removeExpired(20);
    expect((await store.query('p', { limit: 10 })).map(({ sk }) => sk)).toEqual(['ever', 'new']);
  });

  test('a healthy store checks out, and the check changes nothing', async () => {
    const store = await open();
    await store.write([putNew(anItem('p', 's'))]);
    await expect(store.check()).resolves.toBeUndefined();
    expect(await store.get({ pk: 'p', sk: 's' })).toEqual(anItem('p', 's'));
  });
};

const writeContract = (open: OpenStore): void => {
  test('a put on nothing fails where something is, and tells what', async () => {
    const store = await open();
    const first = anItem('p', 's', { data: 'first', bytes: Uint8Array.of(7) });
    await store.write([putNew(first)]);
    const second = await store.write([putNew(anItem('p', 's', { data: 'second' }))]);
    expect(second).toMatchObject({ ok: false, index: 0, actual: { data: 'first', version: 1 } });
  });

  test.for([
    ['an older version', 1],
    ['a version to come', 3],
  ] as const)('a put on %s fails, tells what is there and changes nothing', async ([, ifVersion]) => {
    const store = await open();
    await store.write([putNew(anItem('p', 's'))]);
    await store.write([putNext(1, anItem('p', 's', { data: 'two' }))]);
    const stale = await store.write([putNext(ifVersion, anItem('p', 's', { data: 'stale' }))]);
    expect(stale).toMatchObject({ ok: false, index: 0, actual: { version: 2, data: 'two' } });
    expect(await store.get({ pk: 'p', sk: 's' })).toMatchObject({ version: 2, data: 'two' });
  });

  test('a put on a version of what is not there fails', async () => {
    const store = await open();
    const failed = await store.write([putNext(1, anItem('p', 's'))]);
    expect(failed).toEqual({ ok: false, index: 0, actual: undefined });
  });

  test('of 50 that race on one version exactly one wins, and the others are told of it', async () => {
    const store = await open();
    await store.write([putNew(anItem('p', 's'))]);
    const racers = Array.from({ length: 50 }, (_, racer) =>
      store.write([putNext(1, anItem('p', 's', { data: racer }))]),
    );
    const outcomes = await Promise.all(racers);
    const winners = outcomes.flatMap(({ ok }, racer) => (ok ? [racer] : []));
    expect(winners).toHaveLength(1);
    expect(await store.get({ pk: 'p', sk: 's' })).toMatchObject({ version: 2, data: winners[0] });
    for (const outcome of outcomes) if (!outcome.ok) expect(outcome.actual).toMatchObject({ data: winners[0] });
  });

  test('several writes are all there or none, and the first that failed is named', async () => {
    const store = await open();
    await store.write([putNew(anItem('p', 'here')), putNew(anItem('p', 'taken')), putNew(anItem('p', 'taken too'))]);
    const failed = await store.write([
      putNew(anItem('p', 'a')),
      removal('p', 'here'),
      putNew(anItem('p', 'taken')),
      putNew(anItem('p', 'taken too')),
    ]);
    expect(failed).toMatchObject({ ok: false, index: 2, actual: { sk: 'taken' } });
    expect((await store.query('p', { limit: 10 })).map(({ sk }) => sk)).toEqual(['here', 'taken', 'taken too']);
    const done = await store.write([putNew(anItem('p', 'a')), putNew(anItem('q', 'b')), removal('p', 'here')]);
    expect(done).toEqual({ ok: true });
    expect((await store.query('p', { limit: 10 })).map(({ sk }) => sk)).toEqual(['a', 'taken', 'taken too']);
    expect(await store.get({ pk: 'q', sk: 'b' })).toBeDefined();
  });

  test.for([
    ['what is not there', 'not there', 0, 1],
    ['the version that is there', 'there', 1, 2],
  ] as const)('a look at %s lets the others be written, and leaves it as it is', async ([, sk, right, wrong]) => {
    const store = await open();
    await store.write([putNew(anItem('p', 'there'))]);
    const look = (ifVersion: number): Write => ({ check: { pk: 'p', sk }, ifVersion });
    for (const writes of [
      [look(wrong), putNew(anItem('q', 'a'))],
      [putNew(anItem('q', 'a')), look(wrong)],
    ]) {
      const index = writes.findIndex((one) => 'check' in one);
      const actual = sk === 'there' ? anItem('p', 'there') : undefined;
      expect(await store.write(writes)).toEqual({ ok: false, index, actual });
    }
    expect(await store.write([look(right), putNew(anItem('q', 'a'))])).toEqual({ ok: true });
    expect(await store.write([putNew(anItem('q', 'b')), look(right), removal('q', 'a')])).toEqual({ ok: true });
    expect((await store.query('q', { limit: 10 })).map((item) => item.sk)).toEqual(['b']);
    expect((await store.query('p', { limit: 10 })).map((item) => item.version)).toEqual([1]);
  });

  test('100 parts make one write', async () => {
    const store = await open();
    const parts = Array.from({ length: 100 }, (_, i) => putNew(anItem('p', `${i}`)));
    expect(await store.write(parts)).toEqual({ ok: true });
    expect(await store.query('p', { limit: 1_000 })).toHaveLength(100);
  });

  test('a write that fails takes no other down that was asked for at the same time', async () => {
    const store = await open();
    await store.write([putNew(anItem('p', 'taken'))]);
    const outcomes = await Promise.all([
      store.write([putNew(anItem('p', 'a'))]),
      store.write([putNew(anItem('p', 'lost')), putNew(anItem('p', 'taken'))]),
      store.write([putNew(anItem('p', 'b'))]),
    ]);
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true]);
    expect((await store.query('p', { limit: 10 })).map(({ sk }) => sk)).toEqual(['a', 'b', 'taken']);
  });

  test('an item can be made anew after its removal, and removing what is not there is fine', async () => {
    const store = await open();
    expect(await store.write([removal('p', 's')])).toEqual({ ok: true });
    await store.write([putNew(anItem('p', 's', { bytes: Uint8Array.of(1) }))]);
    await store.write([removal('p', 's')]);
    expect(await store.get({ pk: 'p', sk: 's' })).toBeUndefined();
    expect(await store.write([putNew(anItem('p', 's'))])).toEqual({ ok: true });
    expect(await store.get({ pk: 'p', sk: 's' })).toEqual(anItem('p', 's'));
  });
};
