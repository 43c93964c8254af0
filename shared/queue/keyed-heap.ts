/** Values in order, each under a key of its own. Every method takes O(log n) at most. */
export interface KeyedHeap<T> {
  /** The first in order. */
  peek(): T | undefined;
  get(key: string): T | undefined;
  /** Puts a value in its place; a value that was there under the key goes. */
  set(key: string, value: T): void;
  delete(key: string): T | undefined;
  clear(): void;
}

/** A binary heap that knows where each key is. */
export const keyedHeap = <T>(isBefore: (a: T, b: T) => boolean): KeyedHeap<T> => {
  const entries: { readonly key: string; readonly value: T }[] = [];
  const places = new Map<string, number>();

  const place = (entry: (typeof entries)[number], at: number): void => {
    entries[at] = entry;
    places.set(entry.key, at);
  };

  /** Finds the place of an entry that is to stand at `at` or above or below it. */
  const settle = (entry: (typeof entries)[number], at: number): void => {
    let hole = at;
    for (let parent = (hole - 1) >> 1; hole > 0; parent = (hole - 1) >> 1) {
      const above = entries[parent];
      if (!above || !isBefore(entry.value, above.value)) break;
      place(above, hole);
      hole = parent;
    }
    for (;;) {
      const [left, right] = [entries[2 * hole + 1], entries[2 * hole + 2]];
      const goesRight = left !== undefined && right !== undefined && isBefore(right.value, left.value);
      const below = goesRight ? right : left;
      if (!below || !isBefore(below.value, entry.value)) break;
      place(below, hole);
      hole = 2 * hole + (goesRight ? 2 : 1);
    }
    place(entry, hole);
  };

  return {
    peek: () => entries[0]?.value,
    get(key) {
      const at = places.get(key);
      return at === undefined ? undefined : entries[at]?.value;
    },
    set: (key, value) => settle({ key, value }, places.get(key) ?? entries.length),
    delete(key) {
      const at = places.get(key);
      const last = entries.at(-1);
      if (at === undefined || !last) return undefined;
      const removed = entries[at];
      entries.pop();
      places.delete(key);
      if (last !== removed) settle(last, at);
      return removed?.value;
    },
    clear() {
      entries.length = 0;
      places.clear();
    },
  };
};
