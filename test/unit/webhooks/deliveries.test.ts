import { describe, expect, test } from 'vitest';
import type { Condition, Signature } from '../../../shared/domain/triggers.ts';
import { verifyFilters } from '../../../shared/webhooks/filters.ts';
import { readDelivery, UnreadableBody } from '../../../shared/webhooks/read-delivery.ts';
import { faultOfSecret, makeSecret, verifySignature } from '../../../shared/webhooks/signatures.ts';
import { GITHUB_PUSH, GITHUB_SECRET, githubHeaders, standardHeaders } from '../../support/webhooks.ts';

const github: Signature = { kind: 'github', identifiedBy: 'body' };
const standard: Signature = { kind: 'standard-webhooks' };
const token: Signature = { kind: 'shared-token', header: 'x-gitlab-token', deliveryHeader: 'x-gitlab-event-uuid' };
const secret = Buffer.from(GITHUB_SECRET);
const WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const NOW = 1_800_000_000;

describe('a signature of GitHub', () => {
  // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
  test('of the documented example is good', () => {
    const body = Buffer.from('Hello, World!');
    const headers = {
      'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
      'x-github-delivery': 'd',
    };
    expect(verifySignature(github, [secret], { headers, body }, NOW)).toMatchObject({ delivery: 'd' });
  });

  test('of a push, made by openssl, is good', () => {
    const { body, signature } = GITHUB_PUSH;
    expect(githubHeaders(body)['x-hub-signature-256']).toBe(signature);
    expect(
      verifySignature(github, [secret], { headers: { 'x-hub-signature-256': signature }, body }, NOW),
    ).toBeDefined();
  });

  const good = githubHeaders(GITHUB_PUSH.body);
  test.for<[what: string, headers: Record<string, string>, body?: Buffer]>([
    ['without one', { ...good, 'x-hub-signature-256': '' }],
    ['by SHA-1 alone', { 'x-hub-signature': 'sha1=0123456789012345678901234567890123456789' }],
    ['by another secret', githubHeaders(GITHUB_PUSH.body, {}, 'another secret, as long')],
    ['by the empty secret', githubHeaders(GITHUB_PUSH.body, {}, '')],
    ['cut', { ...good, 'x-hub-signature-256': GITHUB_PUSH.signature.slice(0, -1) }],
    ['in capitals', { ...good, 'x-hub-signature-256': GITHUB_PUSH.signature.toUpperCase() }],
    ['of another body', good, Buffer.concat([GITHUB_PUSH.body, Buffer.from(' ')])],
  ])('%s is none', ([, headers, body = GITHUB_PUSH.body]) => {
    expect(verifySignature(github, [secret], { headers, body }, NOW)).toBeUndefined();
  });

  test('none is good where there is no secret', () => {
    expect(verifySignature(github, [], { headers: good, body: GITHUB_PUSH.body }, NOW)).toBeUndefined();
  });

  test('two are the same delivery by what is signed, or by GitHub’s own name for it', () => {
    const identityOf = (signature: Signature, id: string) =>
      verifySignature(
        signature,
        [secret],
        { headers: { ...good, 'x-github-delivery': id }, body: GITHUB_PUSH.body },
        NOW,
      )?.identity;
    expect(identityOf(github, 'a')).toBe(identityOf(github, 'b'));
    const byDelivery: Signature = { kind: 'github', identifiedBy: 'delivery' };
    expect([identityOf(byDelivery, 'a'), identityOf(byDelivery, 'b')]).toEqual(['a', 'b']);
  });
});

test('a signature of Standard Webhooks is good for five minutes, by each secret that is', () => {
  const body = Buffer.from('{}');
  const headers = standardHeaders(WHSEC, body, { id: 'msg_7', at: NOW * 1_000 });
  const secrets = [Buffer.from(makeSecret(standard, (bytes) => 'ab'.repeat(bytes))), Buffer.from(WHSEC)];
  const at = (later: number) => verifySignature(standard, secrets, { headers, body }, NOW + later);
  expect(at(300)).toEqual({ delivery: 'msg_7', identity: 'msg_7' });
  expect([at(301), at(-301)]).toEqual([undefined, undefined]);
  expect(verifySignature(standard, secrets.slice(0, 1), { headers, body }, NOW)).toBeUndefined();
});

test('a shared token is one header, compared whole', () => {
  const verify = (signature: Signature, headers: Record<string, string>) =>
    verifySignature(signature, [Buffer.from('sixteen-or-more-1')], { headers, body: Buffer.alloc(0) }, NOW);
  expect(verify(token, { 'x-gitlab-token': 'sixteen-or-more-1' })).toEqual({
    delivery: undefined,
    identity: undefined,
  });
  expect(verify(token, { 'x-gitlab-token': 'sixteen-or-more-1', 'x-gitlab-event-uuid': 'u' })).toEqual({
    delivery: 'u',
    identity: 'u',
  });
  for (const given of ['', 'sixteen-or-more-', 'sixteen-or-more-12', 'SIXTEEN-or-more-1']) {
    expect(verify(token, { 'x-gitlab-token': given })).toBeUndefined();
  }
  expect(verify(token, { 'x-other-token': 'sixteen-or-more-1' })).toBeUndefined();
  const bearer: Signature = { kind: 'shared-token', header: 'authorization' };
  expect(verify(bearer, { authorization: 'Bearer sixteen-or-more-1' })).toBeDefined();
  expect(verify(bearer, { authorization: 'Basic sixteen-or-more-1' })).toBeUndefined();
});

test('a secret is made as its kind needs it, and one that is brought is long enough', () => {
  const hex = (bytes: number) => '0f'.repeat(bytes);
  expect(makeSecret(github, hex)).toMatch(/^[0-9a-f]{64}$/);
  expect(makeSecret(standard, hex)).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  for (const signature of [github, standard, token])
    expect(faultOfSecret(signature, makeSecret(signature, hex))).toBeUndefined();
  expect(faultOfSecret(github, GITHUB_SECRET)).toBeUndefined();
  for (const bad of ['short', ' sixteen-or-more-1', 'sixteen-or-more-\n', 'sechzehn-oder-ü-1']) {
    expect([bad, faultOfSecret(token, bad)]).toEqual([bad, expect.stringContaining('16 printable')]);
  }
  expect(faultOfSecret(standard, 'sixteen-or-more-1')).toContain('whsec_');
});

describe('a body', () => {
  const read = (type: string | undefined, body: string | Buffer, signature: Signature = github) =>
    readDelivery(signature, { headers: type === undefined ? {} : { 'content-type': type }, body: Buffer.from(body) });

  test.for<[type: string | undefined, body: string, value: unknown]>([
    ['application/json', '{"a":1}', { a: 1 }],
    ['application/json; charset=utf-8', '"text"', 'text'],
    ['application/cloudevents+json', '[]', []],
    ['application/x-www-form-urlencoded', `payload=${encodeURIComponent('{"a":"ü"}')}`, { a: 'ü' }],
    ['application/x-www-form-urlencoded', 'a=1&b=2&a=3', { a: ['1', '3'], b: '2' }],
    ['text/plain', '{"a":1}', undefined],
    [undefined, '{"a":1}', undefined],
  ])('%s of %s is read', ([type, body, value]) => {
    expect(read(type, body).body).toEqual(value);
  });

  test('a form of others has its fields, whatever they are called', () => {
    expect(read('application/x-www-form-urlencoded', 'payload=x', token).body).toEqual({ payload: 'x' });
  });

  test.for<[type: string, body: string | Buffer]>([
    ['application/json', '{"secret-value'],
    ['application/json', ''],
    ['application/json', Buffer.from([0x22, 0xff, 0x22])],
    ['application/x-www-form-urlencoded', 'payload=secret-value'],
  ])('%s that is none is refused without a word of it', ([type, body]) => {
    expect(() => read(type, body)).toThrow(UnreadableBody);
    expect(() => read(type, body)).not.toThrow(/secret-value/);
  });

  test('its event is where its kind of sender says it', () => {
    const headers = { 'content-type': 'application/json', 'x-github-event': 'push' };
    const signed = { headers, body: Buffer.from('{"type":"invoice.paid"}') };
    expect(readDelivery(github, signed).event).toBe('push');
    expect(readDelivery(standard, signed).event).toBe('invoice.paid');
    expect(readDelivery(token, signed).event).toBeUndefined();
  });

  test('no template sees a header that holds a secret', () => {
    const headers = { 'x-gitlab-token': 't', 'x-pass': 'p', authorization: 'a', cookie: 'c', 'x-gitlab-event': 'Push' };
    const named: Signature = { kind: 'shared-token', header: 'x-pass' };
    expect(readDelivery(named, { headers, body: Buffer.alloc(0) }).headers).toEqual({ 'x-gitlab-event': 'Push' });
  });
});

test('conditions hold or not, each by itself', () => {
  const delivered = readDelivery(github, {
    headers: { 'content-type': 'application/json', 'x-github-event': 'push' },
    body: Buffer.from('{"ref":"refs/heads/main","n":5,"none":null,"on":true}'),
  });
  const rows: readonly (readonly [Condition, holds: boolean, found: boolean])[] = [
    [{ on: 'event', equals: 'push' }, true, true],
    [{ on: 'body.ref', equals: 'refs/heads/main' }, true, true],
    [{ on: 'body.ref', equals: 'refs/heads' }, false, true],
    [{ on: 'body.ref', glob: ['refs/tags/*', 'refs/heads/*'] }, true, true],
    [{ on: 'body.ref', glob: ['refs/tags/*'] }, false, true],
    [{ on: 'body.n', glob: ['*'] }, false, true],
    [{ on: 'body.n', equals: 5 }, true, true],
    [{ on: 'body.n', equals: '5' }, false, true],
    [{ on: 'body.n', in: [4, 5] }, true, true],
    [{ on: 'body.none', equals: null }, true, true],
    [{ on: 'body.none', exists: true }, true, true],
    [{ on: 'body.on', equals: true }, true, true],
    [{ on: 'body.nowhere', exists: true }, false, false],
    [{ on: 'body.nowhere', exists: true, not: true }, true, false],
    [{ on: 'body.nowhere', equals: 'x', not: true }, true, false],
    [{ on: 'body.ref', equals: 'refs/heads/main', not: true }, false, true],
    [{ on: 'broken(', exists: true }, false, false],
  ];
  const verified = verifyFilters(
    rows.map(([condition]) => condition),
    delivered,
  );
  expect(verified).toEqual(rows.map(([condition, holds, found]) => ({ condition, holds, found })));
});
