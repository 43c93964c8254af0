import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';

/** Names one value of one secret. A new value has a new `value`, so that what is stored never changes. */
export interface SecretPlace {
  readonly tenant: TenantId;
  readonly name: string;
  /** 32 hex digits. */
  readonly value: string;
}

/** What is kept cannot be opened: it was changed, moved from another place, or sealed with another key. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken';
}

/**
 * Keeps the values of secrets, and nothing else does. What secrets there are, and which value is the present one, the
 * store knows. Any method rejects with AppError 'unavailable' when the vault cannot be reached.
 */
export interface Vault {
  /** Resolves once the value is on stable storage. 1 byte to 64 KiB. */
  put(place: SecretPlace, bytes: Uint8Array): Promise<void>;
  /** Undefined when there is no such value (any more). @throws SealBroken */
  get(place: SecretPlace): Promise<Uint8Array | undefined>;
  /** Drops a value that was replaced. None there is fine. */
  drop(place: SecretPlace): Promise<void>;
  /** Drops every value of a secret. None there is fine. */
  remove(secret: Omit<SecretPlace, 'value'>): Promise<void>;
  /** Drops every value of every secret of a tenant, also of those that the store does not know (any more). None there is fine. */
  removeAll(tenant: TenantId): Promise<void>;
}

/** A vault that is opened when the first secret is used: most processes never need one. */
export const lazyVault = (open: () => Promise<Vault>): Vault => {
  let opening: Promise<Vault> | undefined;
  const vault = (): Promise<Vault> => (opening ??= open());
  return {
    put: async (place, bytes) => (await vault()).put(place, bytes),
    get: async (place) => (await vault()).get(place),
    drop: async (place) => (await vault()).drop(place),
    remove: async (secret) => (await vault()).remove(secret),
    removeAll: async (tenant) => (await vault()).removeAll(tenant),
  };
};

/** What a vault does for a secret, whose failure is that of the vault. @throws AppError 'unavailable' */
export const guarded = async <T>({ name }: Pick<SecretPlace, 'name'>, act: () => Promise<T>): Promise<T> =>
  guardedFor(`the secret ${name}`, act);

/** The same for a whole tenant's. @throws AppError 'unavailable' */
export const guardedFor = async <T>(whose: string, act: () => Promise<T>): Promise<T> => {
  try {
    return await act();
  } catch (cause) {
    throw new AppError('unavailable', `The vault cannot be used for ${whose} right now.`, { cause });
  }
};
