import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Signature } from '../domain/triggers.ts';
import { parseSecretText, toSecretText, verify as verifyStandard } from './standard-webhooks.ts';

/** A request as it came. */
export interface Signed {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

/** Whose a delivery is: the sender's name for it, and what makes another the same one; undefined where each is one of its own. */
export interface Genuine {
  readonly delivery: string | undefined;
  readonly identity: string | undefined;
}

/**
 * Whether a request was made by somebody who knows one of the secrets; undefined when not, without a word on why. Secrets are compared in
 * constant time.
 */
export const verifySignature = (
  signature: Signature,
  secrets: readonly Uint8Array[],
  { headers, body }: Signed,
  nowSeconds: number,
): Genuine | undefined => {
  switch (signature.kind) {
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    case 'github': {
      const given = headers['x-hub-signature-256'] ?? '';
      const isGood = someOf(secrets, (key) => `sha256=${createHmac('sha256', key).update(body).digest('hex')}`, given);
      if (!isGood) return undefined;
      const delivery = headers['x-github-delivery'];
      if (signature.identifiedBy === 'delivery') return { delivery, identity: delivery };
      return { delivery, identity: createHash('sha256').update(body).digest('hex') };
    }
    case 'standard-webhooks': {
      const keys = secrets.flatMap((secret) => parseSecretText(Buffer.from(secret).toString('utf8')) ?? []);
      const id = headers['webhook-id'];
      const { 'webhook-timestamp': timestamp, 'webhook-signature': given } = headers;
      const verdict = verifyStandard(keys, { id, timestamp, signature: given, body }, nowSeconds);
      return verdict.ok ? { delivery: verdict.id, identity: verdict.id } : undefined;
    }
    case 'shared-token': {
      const { header, deliveryHeader } = signature;
      const sent = headers[header] ?? '';
      const given = header === 'authorization' ? sent.replace(/^Bearer +/i, '') : sent;
      if (!someOf(secrets, (secret) => Buffer.from(secret).toString('utf8'), given)) return undefined;
      const delivery = deliveryHeader === undefined ? undefined : headers[deliveryHeader];
      return { delivery, identity: delivery === '' ? undefined : delivery };
    }
  }
};

/** All are looked at, by digests of one length, so that the time tells nothing of either. */
const someOf = (secrets: readonly Uint8Array[], expected: (secret: Uint8Array) => string, given: string): boolean => {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  let isGood = false;
  for (const secret of secrets) if (timingSafeEqual(digest(expected(secret)), digest(given))) isGood = true;
  return isGood;
};

const SECRET_BYTES = 32;
const LEAST_SECRET_CHARACTERS = 16;

/** A secret of the kind that the signature needs, as text to be given to the sender. */
export const makeSecret = ({ kind }: Signature, hex: (bytes: number) => string): string =>
  kind === 'standard-webhooks' ? toSecretText(Buffer.from(hex(SECRET_BYTES), 'hex')) : hex(SECRET_BYTES);

/** What is wrong with a secret that somebody brings, for a person; undefined when nothing is. */
export const faultOfSecret = ({ kind }: Signature, secret: string): string | undefined => {
  if (kind === 'standard-webhooks') {
    return parseSecretText(secret) ? undefined : 'must be whsec_ and 24 to 64 bytes in base 64';
  }
  // A header loses spaces at its ends.
  const isText = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(secret);
  return isText && secret.length >= LEAST_SECRET_CHARACTERS
    ? undefined
    : `must be at least ${LEAST_SECRET_CHARACTERS} printable ASCII characters, without spaces at its ends`;
};
