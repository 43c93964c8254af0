import {
  assertWrites,
  type IndexEntry,
  type IndexName,
  type Item,
  type Key,
  keyOfWrite,
  type Range,
  type Write,
  type Written,
} from '../../shared/store/store.ts';

/** What is stored, once for all processes. Every method happens at one moment. */
export interface Memory {
  get(key: Key): Item | undefined;
  write(writes: readonly Write[]): Written;
  query(pk: string, range: Range): readonly Item[];
  queryIndex(index: IndexName, pk: string, range: Range): readonly IndexEntry[];
  removeExpired(now: number): void;
}

interface MemoryOptions {
  /** Makes a change of an index visible, at once or later; changes of one item in their order. @default at once */
  readonly show?: (change: () => void) => void;
  /** Told of each item that was put, and of what it took the place of. */
  readonly onPut?: (item: Item, before: Item | undefined) => void;
}

/** By sort key, in the order of UTF-8; in an index, several under one of them by their own keys. */
type Partition<T> = { readonly sk: string; readonly own: string; readonly value: T }[];

export const makeMemory = ({ show = (change) => change(), onPut }: MemoryOptions = {}): Memory => {
  const items = new Map<string, Partition<Item>>();
  const expiring = new Map<string, Item>();
  const indexes: Record<IndexName, Map<string, Partition<IndexEntry>>> = { due: new Map(), list: new Map() };

  const get = ({ pk, sk }: Key): Item | undefined => {
    const partition = items.get(pk) ?? [];
    const found = partition[placeOf(partition, sk)];
    return found?.sk === sk ? found.value : undefined;
  };

  const reindex = (before: Item | undefined, after: Item | undefined): void => {
    for (const index of ['due', 'list'] as const) {
      const [from, to] = [before?.[index], after?.[index]];
      if (from?.pk === to?.pk && from?.sk === to?.sk) continue;
      show(() => {
        if (from && before) remove(indexes[index], from, nameOf(before));
        if (to && after) put(indexes[index], to, nameOf(after), { key: { pk: after.pk, sk: after.sk }, indexKey: to });
      });
    }
  };

  return {
    get,

    write(writes) {
      assertWrites(writes);
      const made = writes.map((write) => ('put' in write ? toStored(write.put) : undefined));
      for (const [index, write] of writes.entries()) {
        if ('remove' in write) continue;
        const actual = get(keyOfWrite(write));
        if ((actual?.version ?? 0) !== write.ifVersion) return { ok: false, index, actual };
      }
      for (const [i, write] of writes.entries()) {
        if ('check' in write) continue;
        const item = made[i];
        const key = keyOfWrite(write);
        const before = get(key);
        reindex(before, item);
        if (item) put(items, key, '', item);
        else remove(items, key, '');
        if (item?.expiresAt !== undefined) expiring.set(nameOf(key), item);
        else expiring.delete(nameOf(key));
        if (item) onPut?.(item, before);
      }
      return { ok: true };
    },

    query: (pk, range) => within(items.get(pk) ?? [], range),
    queryIndex: (index, pk, range) => within(indexes[index].get(pk) ?? [], range),

    removeExpired(now) {
      for (const value of [...expiring.values()]) {
        if ((value.expiresAt ?? now) > now) continue;
        expiring.delete(nameOf(value));
        reindex(value, undefined);
        remove(items, value, '');
      }
    },
  };
};

/** As it will be read: plain JSON, that nobody can change. */
const toStored = ({ bytes, ...item }: Item): Item => {
  const data = toJson(item.data);
  if (data === undefined) throw new TypeError('Not a write: data that is no JSON');
  return { ...item, data, ...(bytes ? { bytes: new Uint8Array(bytes) } : {}) };
};

/** What JSON would make of it, which it is the quicker for not having been text. */
const toJson = (value: unknown): unknown => {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : null;
    case 'object':
      // What is frozen was read from here, as most of what is written.
      if (value === null || Object.isFrozen(value)) return value;
      // A date, a buffer, a map: rarely here, and rarely meant.
      return isPlain(value) ? copyOf(value) : toJson(JSON.parse(JSON.stringify(value)));
    case 'bigint':
      throw new TypeError('Not a write: a bigint is no JSON');
    default:
      return undefined;
  }
};

const copyOf = (value: object): object =>
  Object.freeze(Array.isArray(value) ? value.map((one) => toJson(one) ?? null) : fieldsOf(value));

const isPlain = (value: object): boolean =>
  Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));

const fieldsOf = (value: object): object => {
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    const one = toJson((value as Record<string, unknown>)[name]);
    if (one !== undefined) copy[name] = one;
  }
  return copy;
};

const nameOf = ({ pk, sk }: Key): string => `${pk} ${sk}`;
/** Sorts after every own key. */
const LAST = '\u{10ffff}';

const within = <T>(partition: Partition<T>, { from, to, limit, reverse = false }: Range): T[] => {
  // Most of an index has nothing that is due.
  if (partition.length === 0) return [];
  const first = from === undefined ? 0 : placeOf(partition, from);
  const last = to === undefined ? partition.length : placeOf(partition, to, LAST);
  const found = partition.slice(first, Math.max(first, last));
  return (reverse ? found.reverse() : found).slice(0, limit).map(({ value }) => value);
};

const put = <T>(partitions: Map<string, Partition<T>>, { pk, sk }: Key, own: string, value: T): void => {
  const partition = partitions.get(pk) ?? [];
  partitions.set(pk, partition);
  const place = placeOf(partition, sk, own);
  partition.splice(place, isAt(partition, place, sk, own) ? 1 : 0, { sk, own, value });
};

const remove = <T>(partitions: Map<string, Partition<T>>, { pk, sk }: Key, own: string): void => {
  const partition = partitions.get(pk) ?? [];
  const place = placeOf(partition, sk, own);
  if (isAt(partition, place, sk, own)) partition.splice(place, 1);
};

const isAt = (partition: Partition<unknown>, place: number, sk: string, own: string): boolean =>
  partition[place]?.sk === sk && partition[place].own === own;

/** Of the first that is not before it. */
const placeOf = (partition: Partition<unknown>, sk: string, own = ''): number => {
  let low = 0;
  let high = partition.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const there = partition[middle];
    const isEarlier = there && (there.sk === sk ? isBefore(there.own, own) : isBefore(there.sk, sk));
    if (isEarlier) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** In the order of UTF-8, which is not that of UTF-16: there, surrogates come before U+E000 to U+FFFF. */
const isBefore = (a: string, b: string): boolean => {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rankOf(x) < rankOf(y);
  }
  return a.length < b.length;
};

const rankOf = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
