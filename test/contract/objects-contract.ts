import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Objects } from '../../shared/objects/objects.ts';

/** What every object store promises; each adapter runs it. */
export const objectsContract = (name: string, open: () => Promise<Objects>): void => {
  describe(`objects contract: ${name}`, () => {
    test.for([0, 1, 65_536, 16 * 1024 * 1024])('%i bytes come back as they were', async (length) => {
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
    });

    test('a put twice is the same as once', async () => {
      const objects = await open();
      await Promise.all([objects.put('a/b', Buffer.from('same')), objects.put('a/b', Buffer.from('same'))]);
      expect(Buffer.from(await objects.get('a/b')).toString()).toBe('same');
    });

    test('what is missing says so', async () => {
      await expect((await open()).get('a/none')).rejects.toMatchObject({ code: 'unavailable' });
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
