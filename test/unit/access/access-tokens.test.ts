import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type AccessTokens,
  IssuerConfig,
  makeAccessTokens,
  parseIssuers,
} from '../../../shared/access/access-tokens.ts';
import type { Egress } from '../../../shared/egress/egress.ts';
import { EgressError, makeEgress } from '../../../shared/egress/egress.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import { type FakeClock, fakeClock } from '../../support/fake-clock.ts';

/*
 * Tokens are made by hand here, of node:crypto, so that what is wrong with them can be anything (RFC 7515, section 5.1;
 * attacks: RFC 8725, section 2).
 */
const ISSUER = 'https://login.example.com/';
const OTHER = 'https://other.example.com/';
const AUDIENCE = 'https://errand.example.com';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
/** Of the other tenant's issuer alone. */
const theirs = generateKeyPairSync('rsa', { modulusLength: 2048 });

const b64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
type Header = Record<string, unknown>;
const HEADER: Header = { alg: 'RS256', typ: 'at+jwt', kid: 'rsa' };

const signRsa = (input: string, key: KeyObject = rsa.privateKey): string =>
  sign('sha256', Buffer.from(input), key).toString('base64url');
const signPss = (input: string): string =>
  sign('sha256', Buffer.from(input), {
    key: rsa.privateKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: 32,
  }).toString('base64url');
const signEc = (input: string): string =>
  sign('sha256', Buffer.from(input), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');

let clock: FakeClock;
let tokens: AccessTokens;
let asked: string[];
let logged: string[];
let keySet: Record<string, unknown>[];
let isAway: boolean;

const seconds = (): number => Math.floor(clock.now() / 1_000);
const claims = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  ...{ iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: seconds(), exp: seconds() + 300, jti: 'one' },
  ...over,
});
/** A token of the issuer's, with what is wrong with it. */
const token = (
  over: {
    readonly header?: Header;
    readonly claims?: Record<string, unknown>;
    readonly sign?: (input: string) => string;
  } = {},
): string => {
  const input = `${b64({ ...HEADER, ...over.header })}.${b64(claims(over.claims))}`;
  return `${input}.${(over.sign ?? signRsa)(input)}`;
};
const without = (name: string): Record<string, unknown> => ({ [name]: undefined });

beforeEach(() => {
  clock = fakeClock();
  [asked, logged, isAway] = [[], [], false];
  const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig' });
  keySet = [jwk(rsa.publicKey, 'rsa'), jwk(ec.publicKey, 'ec')];
  const egress: Pick<Egress, 'send'> = {
    async send({ url }) {
      asked.push(url);
      if (isAway) throw new EgressError('unreachable');
      const keys = url === `${OTHER}keys` ? [...keySet, jwk(theirs.publicKey, 'theirs')] : keySet;
      return { status: 200, headers: {}, body: Buffer.from(JSON.stringify({ keys })) };
    },
  };
  const note = (message: string, fields = {}) => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const issuer = (url: string, tenant: string) =>
    IssuerConfig.parse({ issuer: url, audience: AUDIENCE, tenant, jwksUrl: `${url}keys` });
  tokens = makeAccessTokens({
    issuers: [issuer(ISSUER, 'acme'), issuer(OTHER, 'other')],
    ...{ egress, clock },
    log: { debug: note, info: note, warn: note, error: note },
  });
});

describe('a good token', () => {
  test.for<[string, () => string]>([
    ['by RS256', () => token()],
    ['by PS256', () => token({ header: { alg: 'PS256' }, sign: signPss })],
    ['by ES256', () => token({ header: { alg: 'ES256', kid: 'ec' }, sign: signEc })],
    ['with several audiences', () => token({ claims: { aud: ['https://elsewhere.example.com', AUDIENCE] } })],
    ['issued by a clock that is 5 s ahead', () => token({ claims: { iat: seconds() + 5, nbf: seconds() + 5 } })],
    ['that ended 4 s ago by ours', () => token({ claims: { exp: seconds() - 4 } })],
  ])('%s says who it speaks of, in the tenant that its issuer is for', async ([, make]) => {
    const made = make();
    const { exp } = JSON.parse(Buffer.from(made.split('.')[1] ?? '', 'base64url').toString()) as { exp: number };
    expect(await tokens.verify(made)).toEqual({
      tenant: 'acme',
      identity: { issuer: ISSUER, subject: 'ada' },
      id: 'one',
      expiresAt: exp * 1_000,
    });
    expect(asked).toEqual([`${ISSUER}keys`]);
  });

  test('cannot choose its tenant', async () => {
    expect(await tokens.verify(token({ claims: { tenant: 'other', tid: 'other' } }))).toMatchObject({ tenant: 'acme' });
  });
});

const rsaPem = rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const hmac = (key: string | Buffer) => (input: string) => createHmac('sha256', key).update(input).digest('base64url');
/** A token whose header or claims are this text, signed as it should be. */
const signedText = (parts: { readonly header?: string; readonly claims?: string }): string => {
  const input = `${b64(parts.header ?? HEADER)}.${b64(parts.claims ?? claims())}`;
  return `${input}.${signRsa(input)}`;
};
const twice = (name: string, value: unknown): string =>
  signedText({ claims: JSON.stringify(claims()).replace('{', `{${JSON.stringify(name)}:${JSON.stringify(value)},`) });
const ATTACKS: [string, () => string][] = [
  ...['none', 'None', 'nOnE', '', 'HS256'].map((alg): [string, () => string] => [
    `with alg ${JSON.stringify(alg)} and no signature`,
    () => `${b64({ ...HEADER, alg })}.${b64(claims())}.`,
  ]),
  ['without alg', () => token({ header: without('alg') })],
  ['with a list as alg', () => token({ header: { alg: ['RS256'] } })],
  ['by HS256 with the public key as PEM', () => token({ header: { alg: 'HS256' }, sign: hmac(rsaPem) })],
  ['by HS256 with the PEM without its line end', () => token({ header: { alg: 'HS256' }, sign: hmac(rsaPem.trim()) })],
  [
    'by HS256 with the public key as DER',
    () => token({ header: { alg: 'HS256' }, sign: hmac(rsa.publicKey.export({ format: 'der', type: 'spki' })) }),
  ],
  ['that says RS256 and is signed by PS256', () => token({ sign: signPss })],
  ['that says PS256 and is signed by RS256', () => token({ header: { alg: 'PS256' } })],
  [
    'by an algorithm that is not configured',
    () =>
      token({
        header: { alg: 'RS512' },
        sign: (input) => sign('sha512', Buffer.from(input), rsa.privateKey).toString('base64url'),
      }),
  ],
  ['by ES256 with the kid of the RSA key', () => token({ header: { alg: 'ES256' }, sign: signEc })],
  [
    'by ES256 with r = s = 0',
    () => token({ header: { alg: 'ES256', kid: 'ec' }, sign: () => Buffer.alloc(64).toString('base64url') }),
  ],
  [
    'by ES256 as DER',
    () =>
      token({
        header: { alg: 'ES256', kid: 'ec' },
        sign: (input) => sign('sha256', Buffer.from(input), ec.privateKey).toString('base64url'),
      }),
  ],
  ['signed by a stranger', () => token({ sign: (input) => signRsa(input, stranger.privateKey) })],
  [
    'signed by a stranger who brings the key',
    () =>
      token({
        header: { jwk: stranger.publicKey.export({ format: 'jwk' }), kid: undefined },
        sign: (input) => signRsa(input, stranger.privateKey),
      }),
  ],
  [
    'with the signature of other claims',
    () => `${b64(HEADER)}.${b64(claims({ sub: 'eve' }))}.${token().split('.')[2]}`,
  ],
  ['with a signature cut short', () => token().slice(0, -20)],
  ['with an empty signature', () => token({ sign: () => '' })],
  ['with a critical extension that nobody knows', () => token({ header: { crit: ['x'], x: 1 } })],
  ['with a payload that is not encoded', () => token({ header: { b64: false, crit: ['b64'] } })],
  ['that is an ID token (typ JWT)', () => token({ header: { typ: 'JWT' } })],
  ['without typ', () => token({ header: without('typ') })],
  ...['iss', 'aud', 'sub', 'exp', 'iat'].map((name): [string, () => string] => [
    `without ${name}`,
    () => token({ claims: without(name) }),
  ]),
  ['that has expired', () => token({ claims: { exp: seconds() - 6 } })],
  ['with exp as text', () => token({ claims: { exp: String(seconds() + 300) } })],
  ['with exp below 0', () => token({ claims: { exp: -1 } })],
  ['with exp between two seconds', () => token({ claims: { exp: seconds() + 300.5 } })],
  ['with exp beyond all time', () => token({ claims: { exp: 1e99 } })],
  [
    'with exp beyond all numbers',
    () => signedText({ claims: JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999') }),
  ],
  ...[
    ['aud', 'https://elsewhere.example.com'],
    ['iss', OTHER],
    ['sub', 'eve'],
    ['exp', 0],
  ].map(([name, value]): [string, () => string] => [`with ${name} twice`, () => twice(`${name}`, value)]),
  [
    'with sub twice, once in other letters',
    () => signedText({ claims: JSON.stringify(claims()).replace('{', '{"s\\u0075b":"eve",') }),
  ],
  ['with alg twice', () => signedText({ header: `{"alg":"none",${JSON.stringify(HEADER).slice(1)}` })],
  [
    'with the kid of another tenant’s issuer, by its key',
    () => token({ header: { kid: 'theirs' }, sign: (input) => signRsa(input, theirs.privateKey) }),
  ],
  ['with a kid of a megabyte', () => token({ header: { kid: 'k'.repeat(1_000_000) } })],
  ['that is not good yet', () => token({ claims: { nbf: seconds() + 6 } })],
  ['issued in the future', () => token({ claims: { iat: seconds() + 6 } })],
  ['with iat as text', () => token({ claims: { iat: String(seconds()) } })],
  ['for another audience', () => token({ claims: { aud: 'https://elsewhere.example.com' } })],
  ['for an audience that begins so', () => token({ claims: { aud: `${AUDIENCE}.evil.example` } })],
  ['for nobody', () => token({ claims: { aud: [] } })],
  ['with a number as audience', () => token({ claims: { aud: 1 } })],
  ['of an issuer with another end', () => token({ claims: { iss: ISSUER.slice(0, -1) } })],
  ['of an issuer in upper case', () => token({ claims: { iss: ISSUER.toUpperCase() } })],
  ['of an issuer that nobody configured', () => token({ claims: { iss: 'https://evil.example/' } })],
  ['with a list as issuer', () => token({ claims: { iss: [ISSUER] } })],
  ['with an empty subject', () => token({ claims: { sub: '' } })],
  ['with a number as subject', () => token({ claims: { sub: 1 } })],
  [
    'with a list of claims',
    () => {
      const input = `${b64(HEADER)}.${b64([claims()])}`;
      return `${input}.${signRsa(input)}`;
    },
  ],
  [
    'with claims that are no JSON',
    () => {
      const input = `${b64(HEADER)}.${b64('{')}`;
      return `${input}.${signRsa(input)}`;
    },
  ],
  ['of two parts', () => token().split('.').slice(0, 2).join('.')],
  ['of four parts', () => `${token()}.${b64('more')}`],
  ['of five parts', () => `${b64({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d`],
  ['with padding', () => `${token()}==`],
  ['with white space', () => token().replace('.', '. ')],
  ['with a line end', () => `${token()}\n`],
  [
    'in plain base64',
    () =>
      token({ claims: { x: '???>>>' } })
        .replaceAll('-', '+')
        .replaceAll('_', '/')
        .replace(/^/, ' '),
  ],
  ['with a header of a megabyte', () => token({ header: { x: 'x'.repeat(1_000_000) } })],
  ['that is empty', () => ''],
  ['that is dots', () => '..'],
];

describe('a token', () => {
  test.for(ATTACKS)('%s is not good', async ([, make]) => {
    const text = make();
    expect(await tokens.verify(text)).toBeUndefined();
    // Nothing but the configured address is ever asked.
    expect(asked.filter((url) => url !== `${ISSUER}keys`)).toEqual([]);
    for (const part of text.split('.').filter((one) => one.length > 8)) expect(logged.join()).not.toContain(part);
  });

  test('whose last character stands for the same bytes in another way is not good', async () => {
    const text = token();
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    // 256 bytes leave four bits of the last character unused.
    const at = alphabet.indexOf(text.slice(-1));
    const twin = text.slice(0, -1) + alphabet[at ^ 1];
    expect(Buffer.from(twin.split('.')[2] ?? '', 'base64url')).toEqual(
      Buffer.from(text.split('.')[2] ?? '', 'base64url'),
    );
    expect(await tokens.verify(twin)).toBeUndefined();
    expect(await tokens.verify(text)).toBeDefined();
  });

  test.for<[string, Header]>([
    ['jku', { jku: 'https://evil.example/keys' }],
    ['x5u', { x5u: 'https://evil.example/cert' }],
    ['x5c', { x5c: [stranger.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')] }],
    ['jwk', { jwk: stranger.publicKey.export({ format: 'jwk' }) }],
    ['a kid that is a path', { kid: '../../dev/null' }],
    ['a kid that is SQL', { kid: "' union select 1 --" }],
    ['a kid with a NUL', { kid: 'rsa\0' }],
  ])('that points elsewhere by %s leads nowhere', async ([, header]) => {
    const signed = token({ header, sign: (input) => signRsa(input, stranger.privateKey) });
    expect(await tokens.verify(signed)).toBeUndefined();
    expect(new Set(asked)).toEqual(new Set([`${ISSUER}keys`]));
  });

  test('of one tenant’s issuer is not one of another’s', async () => {
    expect(await tokens.verify(token({ claims: { iss: OTHER } }))).toMatchObject({ tenant: 'other' });
    keySet = [];
    expect(await tokens.verify(token())).toBeUndefined();
  });
});

describe('an issuer’s keys', () => {
  test('are asked for once, however many tokens come', async () => {
    await Promise.all([tokens.verify(token()), tokens.verify(token())]);
    await tokens.verify(token());
    expect(asked).toHaveLength(1);
  });

  test('that are unknown do not make us ask again and again', async () => {
    await tokens.verify(token());
    for (let n = 0; n < 20; n++) await tokens.verify(token({ header: { kid: `unknown-${n}` } }));
    expect(asked).toHaveLength(1);
  });

  test('that were rotated out make no token good once they are asked for again', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await tokens.verify(token())).toBeDefined();
    keySet = [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'its next', use: 'sig' }];
    vi.setSystemTime(Date.now() + 600_001);
    expect(await tokens.verify(token())).toBeUndefined();
    expect(await tokens.verify(token({ header: { kid: 'its next' } }))).toBeDefined();
  });

  test('that cannot be had make no token good, and once known they stay so for a while', async () => {
    isAway = true;
    expect(await tokens.verify(token())).toBeUndefined();
    isAway = false;
    expect(await tokens.verify(token())).toBeDefined();
    isAway = true;
    expect(await tokens.verify(token())).toBeDefined();
  });
});

describe('access.json', () => {
  const good = { issuer: ISSUER, audience: AUDIENCE, tenant: 'acme', jwksUrl: `${ISSUER}keys` };

  test('names issuers, and what is not said is strict', () => {
    expect(parseIssuers(JSON.stringify({ issuers: [good] }))).toMatchObject([
      { tokenType: 'at+jwt', leewaySeconds: 5, algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    ]);
  });

  test.for<[string, object, string]>([
    ['http', { issuer: 'http://login.example.com' }, '/issuers/0/issuer'],
    ['keys by http', { jwksUrl: 'http://login.example.com/keys' }, '/issuers/0/jwksUrl'],
    ['a shared secret', { algorithms: ['HS256'] }, '/issuers/0/algorithms/0'],
    ['no algorithm', { algorithms: [] }, '/issuers/0/algorithms'],
    ['much leeway', { leewaySeconds: 61 }, '/issuers/0/leewaySeconds'],
    ['an odd tenant', { tenant: 'Acme Inc' }, '/issuers/0/tenant'],
    ['what nobody knows', { clientSecret: 'x' }, '/issuers/0'],
  ])('with %s is refused, with a pointer', ([, over, pointer]) => {
    expect(() => parseIssuers(JSON.stringify({ issuers: [{ ...good, ...over }] }))).toThrow(pointer);
  });

  test('that is no JSON is refused', () => {
    expect(() => parseIssuers('{')).toThrow('not JSON');
  });
});

describe('an issuer without a jwksUrl', () => {
  const discovered = (metadata: unknown, status = 200) => {
    const egress: Pick<Egress, 'send'> = {
      async send({ url }) {
        asked.push(url);
        if (isAway) throw new EgressError('unreachable');
        const isMetadata = url.endsWith('/.well-known/openid-configuration');
        const value = isMetadata ? metadata : { keys: keySet };
        return { status: isMetadata ? status : 200, headers: {}, body: Buffer.from(JSON.stringify(value)) };
      },
    };
    const issuers = [IssuerConfig.parse({ issuer: ISSUER, audience: AUDIENCE, tenant: 'acme' })];
    return makeAccessTokens({ issuers, egress, clock, log: silentLog });
  };
  const METADATA = { issuer: ISSUER, jwks_uri: `${ISSUER}its-keys` };
  const where = 'https://login.example.com/.well-known/openid-configuration';

  test('says where its keys are, and is asked once', async () => {
    const found = discovered(METADATA);
    expect(await found.verify(token())).toMatchObject({ identity: { subject: 'ada' } });
    expect(await found.verify(token())).toBeDefined();
    expect(asked).toEqual([where, `${ISSUER}its-keys`]);
  });

  test.for<[what: string, metadata: unknown, status?: number]>([
    ['are another issuer’s', { ...METADATA, issuer: OTHER }],
    ['differ by a slash', { ...METADATA, issuer: ISSUER.slice(0, -1) }],
    ['name keys by http', { ...METADATA, jwks_uri: 'http://login.example.com/keys' }],
    ['name no keys', { issuer: ISSUER }],
    ['are none', 'nonsense'],
    ['are not there', METADATA, 404],
    ['are elsewhere', METADATA, 302],
  ])('whose metadata %s has no good token, and its keys are not asked for', async ([, metadata, status]) => {
    expect(await discovered(metadata, status).verify(token())).toBeUndefined();
    expect(asked).toEqual([where]);
  });

  test.for(['169.254.169.254', '127.0.0.1', '[::1]', '[fd00:ec2::254]', '0xa9fea9fe', 'metadata.internal'])(
    'whose metadata name keys at %s is asked for them by no connection',
    async (host) => {
      const connections: unknown[] = [];
      const METADATA_OF_IT = { issuer: ISSUER, jwks_uri: `https://${host}/keys` };
      const guarded = makeEgress({
        clock,
        resolve: async () => ['10.0.0.1'],
        request: ((how: unknown) => {
          connections.push(how);
          throw new Error('no network here');
        }) as never,
      });
      const egress: Pick<Egress, 'send'> = {
        send: async (request) =>
          request.url === where
            ? { status: 200, headers: {}, body: Buffer.from(JSON.stringify(METADATA_OF_IT)) }
            : guarded.send(request),
      };
      const issuers = [IssuerConfig.parse({ issuer: ISSUER, audience: AUDIENCE, tenant: 'acme' })];
      const log = { ...silentLog, info: (_: string, fields = {}) => void logged.push(JSON.stringify(fields)) };
      expect(await makeAccessTokens({ issuers, egress, clock, log }).verify(token())).toBeUndefined();
      expect(connections).toEqual([]);
      expect(logged).toEqual([JSON.stringify({ issuer: ISSUER, why: 'EgressError' })]);
    },
  );

  test('that is away is asked again after a while, not with every token', async () => {
    const found = discovered(METADATA);
    isAway = true;
    for (let i = 0; i < 5; i++) expect(await found.verify(token())).toBeUndefined();
    expect(asked).toEqual([where]);
    isAway = false;
    await clock.advance(30_000);
    expect(await found.verify(token())).toBeDefined();
  });
});
