import { AppError } from '../domain/errors.ts';
import type { Item, Key, Store, Write } from './store.ts';

/** A record with the version that a change of it must find. */
export interface Versioned<T> {
  readonly value: T;
  readonly version: number;
}

/** Small records of one kind, such as the keys of a tenant: a partition each, told apart by their sort key. */
export interface Records<T> {
  get(key: Key): Promise<Versioned<T> | undefined>;
  /** By sort key, from the one after `after` on. */
  list(partition: string, page: { readonly limit: number; readonly after?: string | undefined }): Promise<readonly T[]>;
  /** For a transaction with others. */
  writeOf(key: Key, value: T, ifVersion: number): Write;
  /** @throws AppError 'conflict' when something is there already */
  add(key: Key, value: T, alongside?: readonly Write[]): Promise<void>;
  /**
   * Reads, changes and stores, again when someone else was faster. Undefined when nothing is there; a change that gives
   * undefined leaves all as it is.
   * @throws AppError 'conflict' when others were faster each time
   */
  change(key: Key, change: (value: T) => T | undefined, alongside?: readonly Write[]): Promise<T | undefined>;
  remove(key: Key, alongside?: readonly Write[]): Promise<void>;
}

const MOST_TRIES = 5;

/** When a record may be removed, and where it is in the indexes. */
type Place = Pick<Item, 'expiresAt' | 'due' | 'list'>;

/** @param placeOf default: kept for ever, and in no index */
export const makeRecords = <T>(store: Store, placeOf: (value: T) => Place = () => ({})): Records<T> => {
  const writeOf = (key: Key, value: T, ifVersion: number): Write => ({
    put: {
      ...key,
      version: ifVersion + 1,
      data: value,
      ...placeOf(value),
    },
    ifVersion,
  });
  return {
    async get(key) {
      const item = await store.get(key);
      return item && { value: item.data as T, version: item.version };
    },

    async list(partition, { limit, after }) {
      // From the first key behind it: nothing sorts between a text and the same with a NUL at its end.
      const from = after === undefined ? {} : { from: `${after}\0` };
      return (await store.query(partition, { limit, ...from })).map(({ data }) => data as T);
    },

    writeOf,

    async add(key, value, alongside = []) {
      const written = await store.write([writeOf(key, value, 0), ...alongside]);
      if (!written.ok) throw new AppError('conflict', `There is a ${key.sk} already.`);
    },

    async change(key, change, alongside = []) {
      for (let tries = 1; tries <= MOST_TRIES; tries++) {
        const item = await store.get(key);
        if (!item) return undefined;
        const next = change(item.data as T);
        if (next === undefined) return item.data as T;
        if ((await store.write([writeOf(key, next, item.version), ...alongside])).ok) return next;
      }
      throw new AppError('conflict', `${key.sk} is being changed by others. Try again.`);
    },

    async remove(key, alongside = []) {
      await store.write([{ remove: key }, ...alongside]);
    },
  };
};
