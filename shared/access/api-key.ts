import type { Random } from '../domain/clock.ts';
import { isTenantId, type TenantId } from '../domain/ids.ts';
import { hashOf, isWhole, withChecksum } from './secret-text.ts';

/** What a key says of itself. Whether it is good is in the store. */
export interface ApiKeyText {
  readonly tenant: TenantId;
  readonly id: string;
}

/** A key that was just made. `text` is shown once and kept nowhere. */
export interface NewApiKey extends ApiKeyText {
  readonly text: string;
  readonly hash: string;
}

const ID_BYTES = 8;
const SECRET_BYTES = 32;
const FORM = /^errand_([a-z0-9-]{1,63})_([0-9a-f]{16})_[0-9a-f]{72}$/;

/**
 * `errand_<tenant>_<id>_<secret><checksum>`: a prefix that scanners for leaked secrets can look for, 256 random bits, and a
 * checksum, by which what was cut or mistyped is refused without a look at the store.
 */
export const makeApiKey = (tenant: TenantId, random: Random): NewApiKey => {
  const id = random.hex(ID_BYTES);
  const text = withChecksum(`errand_${tenant}_${id}_${random.hex(SECRET_BYTES)}`);
  return { tenant, id, text, hash: hashOf(text) };
};

/** What the text says, or undefined when it is no key of ours. */
export const parseApiKey = (text: string): ApiKeyText | undefined => {
  const [, tenant = '', id = ''] = FORM.exec(text) ?? [];
  return isTenantId(tenant) && isWhole(text) ? { tenant, id } : undefined;
};
