import type { Clock, Random } from '../domain/clock.ts';
import type { TenantId } from '../domain/ids.ts';
import type { KeptKey, WebhookId } from '../domain/webhooks.ts';
import { SealBroken, type Vault } from '../secrets/vault.ts';
import { toSecretText } from './standard-webhooks.ts';

/** The keys by which webhooks sign: made here, kept in the vault beside the tenant's secrets. */
export interface SigningKeys {
  /** A new key, and its text, which is shown once. */
  make(tenant: TenantId, id: WebhookId): Promise<{ readonly key: KeptKey; readonly text: string }>;
  /** Their bytes, in the same order; undefined when one is not in the vault, or cannot be opened. @throws AppError 'unavailable' */
  read(tenant: TenantId, id: WebhookId, kept: readonly KeptKey[]): Promise<readonly Uint8Array[] | undefined>;
  /** Of some that sign no more. */
  drop(tenant: TenantId, id: WebhookId, kept: readonly KeptKey[]): Promise<void>;
  /** All of a webhook that is gone. */
  remove(tenant: TenantId, id: WebhookId): Promise<void>;
}

/** Standard Webhooks asks for 24 to 64. */
const KEY_BYTES = 32;
/** A vault may charge for each look; what a value names never changes. */
const MOST_REMEMBERED = 1_000;

export const makeSigningKeys = (parts: {
  readonly vault: Vault;
  readonly random: Pick<Random, 'hex'>;
  readonly clock: Pick<Clock, 'now'>;
}): SigningKeys => {
  const { vault, random, clock } = parts;
  const remembered = new Map<string, Uint8Array>();

  const readOne = async (tenant: TenantId, id: WebhookId, value: string): Promise<Uint8Array | undefined> => {
    const known = remembered.get(value);
    if (known) return known;
    const bytes = await vault.get({ tenant, name: nameOf(id), value }).catch((error: unknown) => {
      if (error instanceof SealBroken) return undefined;
      throw error;
    });
    if (bytes) remembered.set(value, bytes);
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size > MOST_REMEMBERED) remembered.delete(oldest);
    return bytes;
  };

  return {
    async make(tenant, id) {
      const bytes = Buffer.from(random.hex(KEY_BYTES), 'hex');
      const key = { value: random.hex(16), createdAt: clock.now() };
      await vault.put({ tenant, name: nameOf(id), value: key.value }, bytes);
      return { key, text: toSecretText(bytes) };
    },

    async read(tenant, id, kept) {
      const found = await Promise.all(kept.map(({ value }) => readOne(tenant, id, value)));
      const present = found.filter((one) => one !== undefined);
      return present.length === kept.length ? present : undefined;
    },

    async drop(tenant, id, kept) {
      for (const { value } of kept) {
        remembered.delete(value);
        await vault.drop({ tenant, name: nameOf(id), value });
      }
    },

    remove: (tenant, id) => vault.remove({ tenant, name: nameOf(id) }),
  };
};

/** In the vault. No secret of a tenant's has a slash in its name, so that the two can be told apart, also by AWS. */
export const nameOf = (id: WebhookId): string => `webhooks/${id}`;
