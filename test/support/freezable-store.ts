import type { Store } from '../../shared/store/store.ts';

/** A store for a process that can be frozen: what it asks meanwhile is done once it thaws, or never. */
export const freezableStore = (store: Store): { readonly store: Store; freeze(): void; thaw(): void } => {
  let frozen: Promise<void> | undefined;
  let thaw = () => {};
  const slowly =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      await frozen;
      const answer = await call(...given);
      await frozen;
      return answer;
    };
  return {
    store: {
      ...store,
      get: slowly(store.get),
      getAll: slowly(store.getAll),
      write: slowly(store.write),
      query: slowly(store.query),
      queryIndex: slowly(store.queryIndex),
    },
    freeze() {
      frozen = new Promise((resolve) => {
        thaw = resolve;
      });
    },
    thaw() {
      frozen = undefined;
      thaw();
    },
  };
};
