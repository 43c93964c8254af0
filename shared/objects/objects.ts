/**
 * Immutable blobs, for bytes too large for the store.
 * A key is names of letters, digits, `_`, `.` and `-` with slashes between them, none beginning with `.` or `-`, 1,024
 * characters in all; no key is the folder of another (`a` and `a/b`). Anything else is a mistake of ours, and a
 * TypeError.
 */
export interface Objects {
  /** Stores `bytes` durably. A second put of the same key with the same bytes is the same as one. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * The bytes from `offset` on, at most `length` of them; without a range all of them.
   * @throws AppError 'unavailable' when the object is missing or cannot be read.
   */
  get(key: string, range?: ByteRange): Promise<Uint8Array>;
  /** Removes every object whose key begins with `prefix`, which ends with a slash. None there is fine. */
  removeAll(prefix: string): Promise<void>;
}

/** Objects that are opened when the first one is needed: most commands never need one. */
export const lazyObjects = (open: () => Promise<Objects>): Objects => {
  let opening: Promise<Objects> | undefined;
  const objects = (): Promise<Objects> => (opening ??= open());
  return {
    put: async (key, bytes) => (await objects()).put(key, bytes),
    get: async (key, range) => (await objects()).get(key, range),
    removeAll: async (prefix) => (await objects()).removeAll(prefix),
  };
};

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** A name of at most 255 bytes, the most that file systems take; none begins with a dot, so `..` is not among them. */
const SAFE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/;
/** The longest that S3 takes. */
const LONGEST_KEY = 1_024;

export const isObjectKey = (key: string): boolean =>
  key.length <= LONGEST_KEY && key.split('/').every((name) => SAFE_NAME.test(name));

/** What each adapter asks before it does anything. @throws TypeError when `key` is not an object's key. */
export const requireKey = (key: string): string => {
  if (!isObjectKey(key)) throw new TypeError(`Not an object key: ${JSON.stringify(key)}`);
  return key;
};

/** @throws TypeError when `prefix` is not the beginning of keys that ends with a whole name and its slash. */
export const requirePrefix = (prefix: string): string => {
  if (!prefix.endsWith('/')) throw new TypeError(`Not a prefix of whole names: ${JSON.stringify(prefix)}`);
  requireKey(prefix.slice(0, -1));
  return prefix;
};

/** @throws TypeError when `range` is not one of whole bytes. */
export const requireRange = (range: ByteRange): ByteRange => {
  const { offset, length } = range;
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0) return range;
  throw new TypeError(`Not a range: ${JSON.stringify(range)}`);
};
