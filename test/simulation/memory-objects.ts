import { AppError } from '../../shared/domain/errors.ts';
import { type Objects, requireKey, requirePrefix, requireRange } from '../../shared/objects/objects.ts';
import type { Faults } from './faults.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** Blobs, once for all processes. */
export type Blobs = Map<string, Uint8Array>;

/** The blobs as one process reaches them. */
export const objectsOf = (
  life: Life,
  { world, faults, blobs }: { readonly world: World; readonly faults: Faults; readonly blobs: Blobs },
): Objects => {
  const call = <T>(what: string, act: () => T): Promise<T> =>
    life.call(what, (answer) => {
      const isRefused = faults.strikes('store-refuses');
      const isLost = !isRefused && faults.strikes('store-answer-lost');
      world.after(world.rng.between(1, 20), () => {
        if (!isRefused) act();
        if (isRefused || isLost) answer.reject(new AppError('unavailable', 'The simulated objects cannot be used.'));
        else answer.resolve(act());
      });
    });
  return {
    put: async (key, bytes) => {
      const kept = new Uint8Array(bytes);
      await call(`objects.put ${requireKey(key)}`, () => void blobs.set(key, kept));
    },
    get: async (key, range) => {
      const { offset, length } = range ? requireRange(range) : { offset: 0, length: Number.POSITIVE_INFINITY };
      const found = await call(`objects.get ${requireKey(key)}`, () => blobs.get(key));
      if (!found) throw new AppError('unavailable', `There is no object ${key}.`);
      return found.slice(offset, offset + length);
    },
    removeAll: (prefix) =>
      call(`objects.removeAll ${requirePrefix(prefix)}`, () => {
        for (const key of [...blobs.keys()]) if (key.startsWith(prefix)) blobs.delete(key);
      }),
  };
};
