import type { Store } from '../../shared/store/store.ts';

class Killed extends Error {}

/** The store of a process that dies right after so many writes: from then on nothing of it is answered. */
export const dyingStore = (store: Store, writes: number, died = () => {}): Store => {
  let left = writes;
  const alive = () => {
    if (left > 0) return;
    died();
    throw new Killed();
  };
  return {
    ...store,
    async get(key) {
      alive();
      return store.get(key);
    },
    async write(parts) {
      alive();
      left--;
      const written = await store.write(parts);
      alive();
      return written;
    },
  };
};
