import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Objects } from '../../shared/objects/objects.ts';

const MiB = 1024 * 1024;

/** What every object store promises; each adapter runs it. */
export const objectsContract = (
  name: string,
  open: () => Promise<Objects>,
  { largestBytes = 16 * MiB }: { readonly largestBytes?: number } = {},
): void => {
  describe(`objects contract: ${name}`, () => {
    test.for([0, 1, 65_536, 6 * MiB, largestBytes])('%i bytes come back as they were', async (length) => {
      const objects = await open();
      const bytes = randomBytes(length);
      await objects.put('t/cmd/output/1', bytes);
      expect(Buffer.compare(await objects.get('t/cmd/output/1'), bytes)).toBe(0);
    });

    test('a range gives those bytes, as far as there are any', async () => {
      const objects = await open();
      await objects.put('a', Buffer.from('0123456789'));
      const read = async (offset: number, length: number) =>
        Buffer.from(await objects.get('a', { offset, length })).toString();
      expect(await read(2, 3)).toBe('234');
      expect(await read(8, 10)).toBe('89');
      expect(await read(10, 10)).toBe('');
      expect(await read(3, 0)).toBe('');
      expect(await read(0, Number.MAX_SAFE_INTEGER)).toBe('0123456789');
      await objects.put('empty', Buffer.from(''));
      expect(await objects.get('empty', { offset: 0, length: 10 })).toHaveLength(0);
    });

    test('a put twice is the same as once', async () => {
      const objects = await open();
      await Promise.all([objects.put('a/b', Buffer.from('same')), objects.put('a/b', Buffer.from('same'))]);
      expect(Buffer.from(await objects.get('a/b')).toString()).toBe('same');
    });

    test.for([undefined, { offset: 0, length: 10 }, { offset: 0, length: 0 }])(
      'what is missing says so, asked for the range %j',
      async (range) => {
        await expect((await open()).get('a/none', range)).rejects.toMatchObject({ code: 'unavailable' });
      },
    );

    test.for([
      '../a',
      'a/../b',
      '/a',
      'a//b',
      'a\0',
      '.hidden',
      'a/.hidden',
      '-a',
      'ä',
      'a b',
      '',
      `${'a/'.repeat(600)}a`,
    ])('the key %j leads nowhere', async (key) => {
      const objects = await open();
      await expect(objects.put(key, Buffer.from(''))).rejects.toThrow(TypeError);
      await expect(objects.get(key)).rejects.toThrow(TypeError);
      await expect(objects.removeAll(`${key}/`)).rejects.toThrow(TypeError);
    });

    test.for(['', '/', 'a', 'a/b'])('%j is no prefix of whole names', async (prefix) => {
      await expect((await open()).removeAll(prefix)).rejects.toThrow(TypeError);
    });

    test.for([
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, Number.POSITIVE_INFINITY],
      [Number.NaN, 1],
    ] as const)('%j is no range', async ([offset, length]) => {
      const objects = await open();
      await objects.put('a', Buffer.from('0123456789'));
      await expect(objects.get('a', { offset, length })).rejects.toThrow(TypeError);
    });

    test('all below a prefix are removed, and nothing beside it', async () => {
      const objects = await open();
      for (const key of ['t/1/a', 't/1/b/c', 't/10/a']) await objects.put(key, Buffer.from(key));
      await objects.removeAll('t/1/');
      await objects.removeAll('t/none/');
      await expect(objects.get('t/1/a')).rejects.toThrow();
      await expect(objects.get('t/1/b/c')).rejects.toThrow();
      expect(Buffer.from(await objects.get('t/10/a')).toString()).toBe('t/10/a');
    });
  });
};
