import type { Clock, Instant, Random } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { makeRecords } from '../store/records.ts';
import { keys } from '../store/schema.ts';
import type { Store, Write } from '../store/store.ts';
import type { Vault } from './vault.ts';

/** What is known of a secret besides its value. */
export interface Secret {
  readonly name: string;
  /** From 1; each new value has the next. */
  readonly version: number;
  /** Which of the vault's values is the present one. */
  readonly value: string;
  readonly bytes: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
  readonly updatedBy: string;
}

/** The named secrets of tenants: what there is in the store, their values in the vault. */
export interface Secrets {
  /**
   * Stores a value, a new one in the place of an old one. Nothing has changed when it throws.
   * @throws AppError 'conflict' when the tenant has too many, or others are changing it; 'unavailable'
   */
  put(tenant: TenantId, name: string, value: NewValue): Promise<Secret>;
  /** Without the value. */
  find(tenant: TenantId, name: string): Promise<Secret | undefined>;
  /** By name. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<readonly Secret[]>;
  /** The present value; undefined when there is no such secret. @throws SealBroken; AppError 'unavailable' */
  get(tenant: TenantId, name: string): Promise<Uint8Array | undefined>;
  /** None there is fine. */
  remove(tenant: TenantId, name: string, alongside?: readonly Write[]): Promise<void>;
  /** Every value of a tenant, known or not. What is known of them is the store's to remove. */
  removeValues(tenant: TenantId): Promise<void>;
}

export interface NewValue {
  readonly bytes: Uint8Array;
  readonly by: string;
  /** Written in the same transaction. */
  readonly alongside?: readonly Write[];
}

export interface SecretsParts {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly random: Random;
}

const MOST_TRIES = 5;

export const makeSecrets = ({ store, vault, clock, random }: SecretsParts): Secrets => {
  const records = makeRecords<Secret>(store);

  /** The value is in the vault already, so that nobody finds a secret without one. */
  const storeFresh = async (
    tenant: TenantId,
    fresh: Secret,
    alongside: readonly Write[],
  ): Promise<{ stored: Secret; replaced?: Secret }> => {
    const key = keys.secret(tenant, fresh.name);
    let replaced: Secret | undefined;
    const changed = await records.change(
      key,
      (before) => {
        replaced = before;
        const { createdAt, version } = before;
        return { ...fresh, createdAt, version: version + 1 };
      },
      alongside,
    );
    if (changed && replaced) return { stored: changed, replaced };
    if ((await records.list(key.pk, { limit: LIMITS.secrets })).length >= LIMITS.secrets) {
      throw new AppError('conflict', `A tenant has at most ${LIMITS.secrets} secrets. Remove one first.`);
    }
    await records.add(key, fresh, alongside);
    return { stored: fresh };
  };

  return {
    async put(tenant, name, { bytes, by, alongside = [] }) {
      const value = random.hex(16);
      const now = clock.now();
      const place = { tenant, name, value };
      await vault.put(place, bytes);
      const fresh = { name, value, version: 1, bytes: bytes.length, createdAt: now, updatedAt: now, updatedBy: by };
      try {
        const { stored, replaced } = await storeFresh(tenant, fresh, alongside);
        if (replaced) await vault.drop({ ...place, value: replaced.value });
        return stored;
      } catch (error) {
        // Whether it was stored, a store that is away did not say: then it has to stay.
        if (error instanceof AppError && error.code === 'conflict') await vault.drop(place);
        throw error;
      }
    },

    find: async (tenant, name) => (await records.get(keys.secret(tenant, name)))?.value,

    list: (tenant, page) => records.list(keys.secret(tenant, '').pk, page),

    async get(tenant, name) {
      let last: string | undefined;
      for (let tries = 1; tries <= MOST_TRIES; tries++) {
        const found = (await records.get(keys.secret(tenant, name)))?.value;
        // The same as before, and not in the vault: it is gone from there.
        if (!found || found.value === last) return undefined;
        const bytes = await vault.get({ tenant, name, value: found.value });
        if (bytes) return bytes;
        // Replaced between the two looks.
        last = found.value;
      }
      throw new AppError('unavailable', `The secret ${name} is being changed by others.`);
    },

    async remove(tenant, name, alongside = []) {
      // First, so that no one finds it without its value.
      await records.remove(keys.secret(tenant, name), alongside);
      await vault.remove({ tenant, name });
    },

    removeValues: (tenant) => vault.removeAll(tenant),
  };
};
