import { describe, expect, test } from 'vitest';
import {
  parseSecretText,
  type Received,
  sign,
  toSecretText,
  verify,
} from '../../../shared/webhooks/standard-webhooks.ts';

/** The vector of the specification's reference libraries. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const VECTOR = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestampSeconds: 1_614_265_330,
  body: Buffer.from('{"test": 2432232314}'),
};
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const key = parseSecretText(SECRET) as Uint8Array;
const other = Buffer.alloc(32, 7);
const NOW = VECTOR.timestampSeconds;

const received = (changes: Partial<Received> = {}): Received => ({
  id: VECTOR.id,
  timestamp: String(VECTOR.timestampSeconds),
  signature: SIGNATURE,
  body: VECTOR.body,
  ...changes,
});
const reasonOf = (verdict: ReturnType<typeof verify>) => (verdict.ok ? 'ok' : verdict.reason);

describe('Standard Webhooks', () => {
  test('the official vector is signed and verified', () => {
    expect(sign(key, VECTOR)).toBe(SIGNATURE);
    expect(verify([key], received(), NOW)).toEqual({ ok: true, id: VECTOR.id, timestampSeconds: NOW });
  });

  test.each<[string, Partial<Received>, string]>([
    ['no id', { id: undefined }, 'headers-missing'],
    ['no timestamp', { timestamp: undefined }, 'headers-missing'],
    ['no signature', { signature: undefined }, 'headers-missing'],
    ['an empty signature', { signature: '' }, 'headers-missing'],
    ['a timestamp that is no number', { timestamp: 'hello' }, 'headers-malformed'],
    ['a timestamp that goes on after the number', { timestamp: `${NOW} ` }, 'headers-malformed'],
    ['a timestamp with a zero before it', { timestamp: `0${NOW}` }, 'headers-malformed'],
    ['an id with a dot, which could be read as a timestamp', { id: 'msg.1' }, 'headers-malformed'],
    ['more signatures than anybody sends', { signature: `${SIGNATURE} `.repeat(21) }, 'headers-malformed'],
    ['another id', { id: 'msg_other' }, 'forged'],
    ['another timestamp', { timestamp: String(NOW + 1) }, 'forged'],
    ['another body', { body: Buffer.from('{"test": 2432232315}') }, 'forged'],
    ['an empty body', { body: Buffer.alloc(0) }, 'forged'],
    ['a part of the signature', { signature: SIGNATURE.slice(0, -8) }, 'forged'],
    ['a signature of another version', { signature: SIGNATURE.replace('v1,', 'v2,') }, 'forged'],
    ['a signature without its version', { signature: SIGNATURE.slice(3) }, 'forged'],
    ['a signature by another key', { signature: sign(other, VECTOR) }, 'forged'],
  ])('refused: %s', (_, changes, reason) => {
    expect(reasonOf(verify([key], received(changes), NOW))).toBe(reason);
  });

  test.each([
    ['five minutes old', 300, 'ok'],
    ['a second more', 301, 'too-old'],
    ['five minutes ahead', -300, 'ok'],
    ['a second more ahead', -301, 'too-new'],
  ])('a message that is %s', (_, later, outcome) => {
    expect(reasonOf(verify([key], received(), NOW + later))).toBe(outcome);
  });

  test('whoever cannot sign is not told that the time is off', () => {
    expect(reasonOf(verify([other], received(), NOW + 10_000))).toBe('forged');
  });

  test('one good signature among others is enough, also by the key before', () => {
    const signature = `v1a,abc v2,def v1,${'A'.repeat(44)} ${SIGNATURE}`;
    expect(verify([key], received({ signature }), NOW).ok).toBe(true);
    expect(verify([other, key], received(), NOW).ok).toBe(true);
    expect(verify([], received(), NOW).ok).toBe(false);
  });

  test('bytes are signed as they are, also those that are no text', () => {
    const body = Buffer.from([0xff, 0x00, 0xfe]);
    const signature = sign(key, { ...VECTOR, body });
    expect(verify([key], received({ body, signature }), NOW).ok).toBe(true);
    expect(verify([key], received({ body: Buffer.from(body.toString()), signature }), NOW).ok).toBe(false);
  });

  test('a secret is read with its prefix and without, and shown with it', () => {
    expect(parseSecretText(SECRET.slice('whsec_'.length))).toEqual(key);
    expect(toSecretText(key)).toBe(SECRET);
    const long = Buffer.alloc(32, 1);
    expect(parseSecretText(toSecretText(long))).toEqual(long);
  });

  test.each([
    ['nothing', ''],
    ['only the prefix', 'whsec_'],
    ['23 bytes', toSecretText(Buffer.alloc(23))],
    ['65 bytes', toSecretText(Buffer.alloc(65))],
    ['what is no base 64', `whsec_${'*'.repeat(40)}`],
  ])('no secret: %s', (_, text) => {
    expect(parseSecretText(text)).toBeUndefined();
  });
});
