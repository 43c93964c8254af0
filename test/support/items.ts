import type { Item, Key, Store, Write } from '../../shared/store/store.ts';

/** An item of version 1 that knows its key by heart. */
export const anItem = (pk: string, sk: string, over: Partial<Item> = {}): Item => ({
  pk,
  sk,
  version: 1,
  data: { pk, sk },
  ...over,
});

export const putNew = (put: Item): Write => ({ put, ifVersion: 0 });
/** Puts the version after `ifVersion`. */
export const putNext = (ifVersion: number, item: Item): Write => ({
  put: { ...item, version: ifVersion + 1 },
  ifVersion,
});
export const removal = (pk: string, sk: string): Write => ({ remove: { pk, sk } });
export const keyOf = ({ pk, sk }: Key): Key => ({ pk, sk });

/** Makes an empty store and sees to its end. */
export type OpenStore = () => Promise<Store>;
