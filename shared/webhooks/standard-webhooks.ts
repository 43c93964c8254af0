import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Standard Webhooks, symmetric signatures (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 * Written here since the published library reads the clock by itself and turns bytes into text before it signs them: a body that is no
 * UTF-8 would be signed as another.
 */

/** How far a sender's clock, and a message on its way, may be off. */
const TOLERANCE_SECONDS = 5 * 60;

const PREFIX = 'whsec_';
/** Of a key, as the specification asks. */
const KEY_BYTES = { least: 24, most: 64 };
/** Several signatures are there while a secret is changed; nobody sends more. */
const MOST_SIGNATURES = 20;

/** What is signed. */
export interface Message {
  /** `webhook-id`: the same for each try of one message. Without a dot. */
  readonly id: string;
  /** `webhook-timestamp`: of this try, since 1970. */
  readonly timestampSeconds: number;
  /** As it is sent, byte by byte. */
  readonly body: Uint8Array;
}

/** A received message, its headers as they came. */
export interface Received {
  readonly id: string | undefined;
  readonly timestamp: string | undefined;
  readonly signature: string | undefined;
  readonly body: Uint8Array;
}

export type Verdict =
  | { readonly ok: true; readonly id: string; readonly timestampSeconds: number }
  /** For a log of ours: a sender that is not known is told nothing. */
  | { readonly ok: false; readonly reason: 'headers-missing' | 'headers-malformed' | 'too-old' | 'too-new' | 'forged' };

/** The `webhook-signature` by one key: `v1,` and base 64. By several keys: all of them with a space between. */
export const sign = (key: Uint8Array, { id, timestampSeconds, body }: Message): string =>
  `v1,${createHmac('sha256', key).update(`${id}.${timestampSeconds}.`).update(body).digest('base64')}`;

/** Whether any of the keys signed it, within the tolerance of `nowSeconds`. In constant time for each signature. */
export const verify = (
  keys: readonly Uint8Array[],
  { id, timestamp, signature, body }: Received,
  nowSeconds: number,
): Verdict => {
  if (!id || !timestamp || !signature) return { ok: false, reason: 'headers-missing' };
  const given = signature.split(' ').filter((one) => one !== '');
  if (!/^[\x21-\x2d\x2f-\x7e]{1,256}$/.test(id) || !/^\d{1,12}$/.test(timestamp) || given.length > MOST_SIGNATURES) {
    return { ok: false, reason: 'headers-malformed' };
  }
  const timestampSeconds = Number(timestamp);
  // What was signed is the header's text: a number that is written otherwise is another message.
  if (String(timestampSeconds) !== timestamp) return { ok: false, reason: 'headers-malformed' };
  const message = { id, timestampSeconds, body };
  const expected = keys.map((key) => Buffer.from(sign(key, message)));
  let good = false;
  for (const one of given.map((text) => Buffer.from(text))) {
    for (const each of expected) if (one.length === each.length && timingSafeEqual(one, each)) good = true;
  }
  if (!good) return { ok: false, reason: 'forged' };
  // After the signature: who cannot sign does not learn what time it is here.
  if (timestampSeconds < nowSeconds - TOLERANCE_SECONDS) return { ok: false, reason: 'too-old' };
  if (timestampSeconds > nowSeconds + TOLERANCE_SECONDS) return { ok: false, reason: 'too-new' };
  return { ok: true, id, timestampSeconds };
};

/** A key as a person is shown it: `whsec_` and base 64. */
export const toSecretText = (key: Uint8Array): string => PREFIX + Buffer.from(key).toString('base64');

/** The key in such a text, with its prefix or without; undefined when it is none, or not of 24 to 64 bytes. */
export const parseSecretText = (text: string): Uint8Array | undefined => {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const key = Buffer.from(base64, 'base64');
  const isWhole = key.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  return isWhole && key.length >= KEY_BYTES.least && key.length <= KEY_BYTES.most ? key : undefined;
};
