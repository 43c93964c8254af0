/** Immutable blobs, for bytes too large for the store. */
export interface Objects {
  /** Stores `bytes` durably. A second put of the same key with the same bytes is the same as one. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * The bytes from `offset` on, at most `length` of them.
   * @throws AppError 'unavailable' when the object is missing or cannot be read.
   */
  get(key: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  /** Removes every object whose key begins with `prefix`. None there is fine. */
  removeAll(prefix: string): Promise<void>;
}
