/**
 * Immutable blobs, for bytes too large for the store.
 * A key is names of letters, digits, `_`, `.` and `-` with slashes between them, none beginning with `.` or `-`; no key
 * is the folder of another (`a` and `a/b`). Anything else is a mistake of ours, and a TypeError.
 */
export interface Objects {
  /** Stores `bytes` durably. A second put of the same key with the same bytes is the same as one. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * The bytes from `offset` on, at most `length` of them; without a range all of them.
   * @throws AppError 'unavailable' when the object is missing or cannot be read.
   */
  get(key: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  /** Removes every object whose key begins with `prefix`, which ends with a slash. None there is fine. */
  removeAll(prefix: string): Promise<void>;
}
