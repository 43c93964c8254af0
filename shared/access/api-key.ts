import { createHash, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Random } from '../domain/clock.ts';
import { isTenantId, type TenantId } from '../domain/ids.ts';

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
const FORM = /^errand_([a-z0-9-]{1,63})_([0-9a-f]{16})_([0-9a-f]{64})([0-9a-f]{8})$/;

/**
 * `errand_<tenant>_<id>_<secret><checksum>`: a prefix that scanners for leaked secrets can look for, 256 random bits, and a
 * CRC-32 of all before it, by which what was cut or mistyped is refused without a look at the store.
 */
export const makeApiKey = (tenant: TenantId, random: Random): NewApiKey => {
  const id = random.hex(ID_BYTES);
  const body = `errand_${tenant}_${id}_${random.hex(SECRET_BYTES)}`;
  const text = body + checksum(body);
  return { tenant, id, text, hash: hashOf(text) };
};

/** What the text says, or undefined when it is no key of ours. */
export const parseApiKey = (text: string): ApiKeyText | undefined => {
  const [, tenant = '', id = '', , sum] = FORM.exec(text) ?? [];
  return isTenantId(tenant) && sum === checksum(text.slice(0, -8)) ? { tenant, id } : undefined;
};

/** Of a random text of 256 bits a plain digest is enough: there is nothing to guess from (no password hash is needed). */
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** In constant time. */
export const hasHash = (text: string, hash: string): boolean =>
  timingSafeEqual(Buffer.from(hashOf(text), 'hex'), Buffer.from(hash, 'hex'));

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
