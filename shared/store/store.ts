import type { Instant } from '../domain/clock.ts';

/** Where an item lives. The partition key begins with the tenant. */
export interface Key {
  readonly pk: string;
  readonly sk: string;
}

export type IndexName = 'due' | 'list';

/**
 * One stored item. The model is DynamoDB's: a partition key, a sort key, and sparse indexes that hold only the
 * items that carry their key.
 */
export interface Item extends Key {
  /** 1 when first put; whoever writes sets the next number, `ifVersion + 1`. */
  readonly version: number;
  /** Plain JSON: what `JSON.parse(JSON.stringify(data))` leaves of it is stored. */
  readonly data: unknown;
  readonly bytes?: Uint8Array;
  /** Keys in the sparse indexes. Absent: not in that index. */
  readonly due?: Key;
  readonly list?: Key;
  /** When the item may be removed. Readers must not count on its being gone by then. */
  readonly expiresAt?: Instant;
}

/** An item's place in an index. */
export interface IndexEntry {
  /** The item's own key. */
  readonly key: Key;
  readonly indexKey: Key;
}

export type Write =
  /** Puts the item if nothing is there (`ifVersion: 0`), or if the stored version is `ifVersion`. */
  | { readonly put: Item; readonly ifVersion: number }
  /** Deletes whatever is there. */
  | { readonly remove: Key }
  /** Leaves what is there as it is: the others are written only if nothing is there (`ifVersion: 0`), or this version. */
  | { readonly check: Key; readonly ifVersion: number };

/** The item that a write is about. */
export const keyOfWrite = (write: Write): Key =>
  'put' in write ? write.put : 'remove' in write ? write.remove : write.check;

/**
 * The outcome of a conditional write. `index` is the first of `writes` whose condition failed, `actual` the item that
 * stood in its way, undefined when missing.
 */
export type Written =
  | { readonly ok: true }
  | { readonly ok: false; readonly index: number; readonly actual: Item | undefined };

export interface Range {
  /** Sort keys from this one on (inclusive). */
  readonly from?: string;
  /** Sort keys up to this one (inclusive). */
  readonly to?: string;
  /** Most items to return. */
  readonly limit: number;
  /** Highest sort key first. @default false */
  readonly reverse?: boolean;
}

/**
 * The truth. Strongly consistent by key; index queries may lag.
 * Every resolved write is on stable storage. Any method rejects with AppError 'unavailable' when the store cannot
 * be reached or is full: then nothing of the write is there, or all of it, and the caller finds out by reading.
 */
export interface Store {
  /**
   * What it costs to have several writes all or none: nothing, or as much again as the writes themselves. Whoever can make
   * do with one after the other asks this first.
   */
  readonly atomicWrites: 'free' | 'costly';
  get(key: Key): Promise<Item | undefined>;
  /** As many gets at once, in the order in which they were asked for. */
  getAll(keys: readonly Key[]): Promise<readonly (Item | undefined)[]>;
  /**
   * All of `writes` (1 to 100, no two on one key) or none of them. What they hold must not change until it resolves.
   * @throws TypeError when `assertWrites` does
   */
  write(writes: readonly Write[]): Promise<Written>;
  query(pk: string, range: Range): Promise<readonly Item[]>;
  /**
   * Keys of items, by an index. An index holds nothing else, so that an update which leaves the keys alone costs nothing in
   * it; `getAll` brings the items.
   */
  queryIndex(index: IndexName, pk: string, range: Range): Promise<readonly IndexEntry[]>;
  /** Removes items whose `expiresAt` has passed, where the store does not do so by itself. Readers and writers go on meanwhile. */
  removeExpired(now: Instant): Promise<void>;
  /** Rejects when the store cannot take a write right now. */
  check(): Promise<void>;
  close(): Promise<void>;
}

const MOST_WRITES = 100;

/**
 * What every adapter asks of a write before it touches anything: a mistake of ours must not look like a store that is down.
 * @throws TypeError when it is none that the port allows
 */
export const assertWrites = (writes: readonly Write[]): void => {
  const fail = (fault: string): never => {
    throw new TypeError(`Not a write: ${fault}`);
  };
  if (writes.every((write) => 'check' in write)) fail('nothing to write');
  if (writes.length === 0 || writes.length > MOST_WRITES) fail(`${writes.length} parts, not 1 to ${MOST_WRITES}`);
  const seen = new Set<string>();
  for (const write of writes) {
    const key = keyOfWrite(write);
    const name = JSON.stringify([key.pk, key.sk]);
    if (key.pk === '' || key.sk === '') fail(`an empty key, ${name}`);
    if (!key.pk.isWellFormed() || !key.sk.isWellFormed()) fail(`a key that is no Unicode text, ${name}`);
    if (seen.has(name)) fail(`two parts on one key, ${name}`);
    seen.add(name);
    if ('remove' in write) continue;
    const { ifVersion } = write;
    if (!Number.isSafeInteger(ifVersion) || ifVersion < 0) fail(`a condition on version ${ifVersion} of ${name}`);
    if ('check' in write) continue;
    const { put } = write;
    if (put.version !== ifVersion + 1) fail(`version ${put.version} of ${name} where ${ifVersion + 1} must follow`);
    if (put.expiresAt !== undefined && !Number.isSafeInteger(put.expiresAt)) {
      fail(`${name} expires at ${put.expiresAt}, not a whole number of milliseconds`);
    }
  }
};
