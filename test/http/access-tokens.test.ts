import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { makeGateway } from '../../local/gateway.ts';
import { makeAccess } from '../../shared/access/access.ts';
import { IssuerConfig, makeAccessTokens } from '../../shared/access/access-tokens.ts';
import type { Endpoint } from '../../shared/contract/endpoint.ts';
import { type EndpointName, endpoints } from '../../shared/contract/endpoints.ts';
import { makePrincipals } from '../../shared/store/principals.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { testWorker } from '../support/deps.ts';
import { fakeClock } from '../support/fake-clock.ts';

/* Every endpoint of the table, by access tokens that are not good. What is not good of a token has more rows in access-tokens.test.ts. */

const ISSUER = 'https://login.example.com/';
const AUDIENCE = 'https://errand.example.com';
const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const clock = fakeClock();
const logged: string[] = [];

const b64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (over: object = {}, key: KeyObject = own.privateKey): string => {
  const now = Math.floor(clock.now() / 1_000);
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: now, exp: now + 300, ...over };
  const input = `${b64({ alg: 'ES256', typ: 'at+jwt', kid: 'own' })}.${b64(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
};
const ago = (seconds: number): number => Math.floor(clock.now() / 1_000) - seconds;
const BAD: readonly (readonly [string, () => string])[] = [
  ['for another audience', () => token({ aud: 'https://elsewhere.example.com' })],
  ['for an audience that begins so', () => token({ aud: `${AUDIENCE}.evil.example` })],
  ['that has expired', () => token({ exp: ago(60) })],
  ['that is not good yet', () => token({ nbf: ago(-60) })],
  ['of another issuer', () => token({ iss: 'https://evil.example/' })],
  ['signed by a stranger', () => token({}, stranger.privateKey)],
  ['without its signature', () => `${token().split('.').slice(0, 2).join('.')}.`],
];

const ask = async (name: EndpointName, authorization: string) => {
  const { method, path } = endpoints[name];
  const target = path.replace(/\{\w+\}/, 'x');
  const reply = await gateway({ method, target, headers: { authorization }, body: undefined, sourceIp: '' });
  const text = await new Response(reply.body as unknown as string).text();
  return { status: reply.statusCode, headers: reply.headers, text };
};

let gateway: ReturnType<typeof makeGateway>;
// A worker belongs to a test.
const open = async () => {
  const store = sqliteStore({ file: ':memory:' });
  const jwk = { ...own.publicKey.export({ format: 'jwk' }), kid: 'own', use: 'sig' };
  const tokens = makeAccessTokens({
    issuers: [IssuerConfig.parse({ issuer: ISSUER, audience: AUDIENCE, tenant: 'acme', jwksUrl: `${ISSUER}keys` })],
    egress: { send: async () => ({ status: 200, headers: {}, body: Buffer.from(JSON.stringify({ keys: [jwk] })) }) },
    clock,
    log,
  });
  const principals = makePrincipals(store);
  const readOwnerKey = async () => 'k'.repeat(64);
  const access = makeAccess({ principals, clock, readOwnerKey, tokens: async () => tokens });
  gateway = makeGateway(await testWorker({ store, clock, access, log, work: false }));
};
const note = (message: string, fields = {}) => void logged.push(`${message} ${JSON.stringify(fields)}`);
const log = { debug: note, info: note, warn: note, error: note };

const guarded = (Object.keys(endpoints) as EndpointName[]).filter(
  (name) => !['anyone', 'runner'].includes((endpoints[name] as Endpoint).access ?? ''),
);

/** Agents are told where tokens are to be had (RFC 9728, section 5.1). */
const CHALLENGES: Partial<Record<EndpointName, string>> = {
  callMcp: 'Bearer resource_metadata="http://localhost/.well-known/oauth-protected-resource/mcp"',
};

describe('an access token', () => {
  test.for(guarded)('%s: 401 for one that is not good, 403 for one of nobody here', async (name) => {
    await open();
    const nobody = await ask(name, `Bearer ${token()}`);
    expect([nobody.status, JSON.parse(nobody.text).code]).toEqual([403, 'forbidden']);
    const answers = new Set<string>();
    for (const [what, make] of BAD) {
      const text = make();
      const { status, headers, text: body } = await ask(name, `Bearer ${text}`);
      expect([what, status, headers['www-authenticate']]).toEqual([what, 401, CHALLENGES[name] ?? 'Bearer']);
      answers.add(body.replace(/"requestId":"[^"]+"/, ''));
      for (const part of text.split('.').filter((one) => one.length > 8)) {
        expect(logged.join('\n') + body).not.toContain(part);
      }
    }
    // Who guesses learns nothing.
    expect(answers.size).toBe(1);
  });
});
