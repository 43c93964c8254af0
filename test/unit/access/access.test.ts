import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../../machine/system-clock.ts';
import { type Access, makeAccess } from '../../../shared/access/access.ts';
import { makeApiKey } from '../../../shared/access/api-key.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { ROLES } from '../../../shared/domain/permissions.ts';
import type { ApiKey, Member } from '../../../shared/domain/principals.ts';
import { makePrincipals, type Principals } from '../../../shared/store/principals.ts';
import { keys } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import { type FakeClock, fakeClock } from '../../support/fake-clock.ts';

const OWNER_KEY = 'a-key-of-the-owner-that-is-long-enough';
const acme = toTenantId('acme');
const operator: Member = {
  id: 'mem_0123456789abcdef',
  kind: 'person',
  name: 'Ada',
  role: 'operator',
  scope: {},
  disabled: false,
  createdAt: 0,
  createdBy: 'owner',
};

interface Site {
  readonly access: Access;
  readonly principals: Principals;
  readonly clock: FakeClock;
}

const site = (): Site => {
  const clock = fakeClock();
  const principals = makePrincipals(sqliteStore({ file: ':memory:' }));
  return { clock, principals, access: makeAccess({ principals, clock, readOwnerKey: async () => OWNER_KEY }) };
};

/** The key's text. */
const addKey = async ({ principals, clock }: Site, member: Member, terms: Partial<ApiKey> = {}): Promise<string> => {
  const { id, hash, text } = makeApiKey(acme, systemRandom);
  const key: ApiKey = { id, hash, name: 'k', member: member.id, scope: {}, createdAt: clock.now(), createdBy: 'owner' };
  await principals.apiKeys.add(keys.apiKey(acme, id), { ...key, ...terms });
  if (!(await principals.members.get(keys.member(acme, member.id)))) await principals.addMember(acme, member);
  return text;
};

const refusalOf = (access: Access, token: string | undefined): Promise<unknown> =>
  access.authenticate(token).catch((error: unknown) => error);

describe('the owner’s key', () => {
  test('lets in whoever has it, as the owner of the default tenant', async () => {
    expect(await site().access.authenticate(OWNER_KEY)).toMatchObject({
      id: 'owner',
      tenant: 'default',
      role: 'owner',
    });
  });

  test.for([
    ['no key', undefined],
    ['an empty key', ''],
    ['another key', `${OWNER_KEY}x`],
    ['a part of the key', OWNER_KEY.slice(0, -1)],
    ['the key in upper case', OWNER_KEY.toUpperCase()],
  ] as const)('refuses %s with 401 and without a word of the key', async ([, token]) => {
    const refusal = await refusalOf(site().access, token);
    expect(refusal).toMatchObject({ code: 'unauthenticated', headers: { 'www-authenticate': 'Bearer' } });
    expect(String(refusal)).not.toContain(OWNER_KEY.slice(0, 8));
  });

  test('is read once, and again after a read that failed', async () => {
    let reads = 0;
    const readOwnerKey = async () => {
      if (++reads === 1) throw new Error('the secret is away');
      return OWNER_KEY;
    };
    const access = makeAccess({ ...site(), readOwnerKey });
    await expect(access.authenticate(OWNER_KEY)).rejects.toThrow('away');
    await Promise.all([access.authenticate(OWNER_KEY), access.authenticate(OWNER_KEY)]);
    await access.authenticate(OWNER_KEY);
    expect(reads).toBe(2);
  });
});

describe('the key of a member', () => {
  test('speaks for the member, with what its role may do', async () => {
    const here = site();
    const text = await addKey(here, operator);
    const actor = await here.access.authenticate(text);
    expect(actor).toMatchObject({ id: operator.id, tenant: 'acme', role: 'operator', scope: {} });
    expect([...actor.permissions]).toEqual(ROLES.operator);
  });

  test('may do what both the role and the key allow, and no more', async () => {
    const here = site();
    const text = await addKey(here, operator, { permissions: ['commands:read', 'audit:read'] });
    expect([...(await here.access.authenticate(text)).permissions]).toEqual(['commands:read']);
  });

  test.for<[string, Member['scope'], ApiKey['scope'], Member['scope']]>([
    ['the member’s alone', { targets: ['a'] }, {}, { targets: ['a'] }],
    ['the key’s alone', {}, { labels: { team: 'x' } }, { labels: { team: 'x' } }],
    ['the targets of both', { targets: ['a', 'b'] }, { targets: ['b', 'c'] }, { targets: ['b'] }],
    ['the labels of both', { labels: { a: '1' } }, { labels: { b: '2' } }, { labels: { a: '1', b: '2' } }],
    [
      'nothing, where labels contradict',
      { labels: { a: '1' } },
      { labels: { a: '2' } },
      { targets: [], labels: { a: '2' } },
    ],
  ])('is limited to %s', async ([, ofMember, ofKey, expected]) => {
    const here = site();
    const text = await addKey(here, { ...operator, scope: ofMember }, { scope: ofKey });
    expect((await here.access.authenticate(text)).scope).toEqual(expected);
  });

  test('a role of the tenant’s own counts as it is now, and nothing once it is gone', async () => {
    const here = site();
    const text = await addKey(here, { ...operator, role: 'deployer' });
    expect((await here.access.authenticate(text)).permissions.size).toBe(0);
    await here.principals.roles.add(keys.role(acme, 'deployer'), {
      name: 'deployer',
      description: '',
      permissions: ['commands:submit'],
    });
    expect([...(await here.access.authenticate(text)).permissions]).toEqual(['commands:submit']);
  });

  test('its last use is noted to the hour', async () => {
    const here = site();
    const text = await addKey(here, operator);
    const [begin, noted] = [
      here.clock.now(),
      () => here.principals.apiKeys.list(keys.apiKey(acme, '').pk, { limit: 1 }),
    ];
    await here.access.authenticate(text);
    await here.clock.advance(3_599_000);
    await here.access.authenticate(text);
    expect(await noted()).toMatchObject([{ lastUsedAt: begin }]);
    await here.clock.advance(1_000);
    await here.access.authenticate(text);
    expect(await noted()).toMatchObject([{ lastUsedAt: begin + 3_600_000 }]);
  });

  test.for<[string, (here: Site, id: string) => Promise<unknown>]>([
    [
      'was revoked',
      ({ principals }, id) => principals.apiKeys.change(keys.apiKey(acme, id), (key) => ({ ...key, revokedAt: 1 })),
    ],
    [
      'has expired',
      ({ principals, clock }, id) =>
        principals.apiKeys.change(keys.apiKey(acme, id), (key) => ({ ...key, expiresAt: clock.now() })),
    ],
    ['was removed', ({ principals }, id) => principals.apiKeys.remove(keys.apiKey(acme, id))],
    ['has lost its member', ({ principals }) => principals.removeMember(acme, operator)],
    [
      'is of a member that is disabled',
      ({ principals }) =>
        principals.members.change(keys.member(acme, operator.id), (member) => ({ ...member, disabled: true })),
    ],
    [
      'is of a tenant that is suspended',
      ({ principals }) =>
        principals.tenants.add(keys.tenant(acme), { id: acme, name: 'Acme', suspended: true, createdAt: 0 }),
    ],
    [
      'says it is the owner’s of another tenant',
      ({ principals }, id) => principals.apiKeys.change(keys.apiKey(acme, id), (key) => ({ ...key, member: 'owner' })),
    ],
  ])('that %s is refused from then on, in the same words as one that never was', async ([, break_]) => {
    const here = site();
    const text = await addKey(here, operator);
    await here.access.authenticate(text);
    await break_(here, text.split('_')[2] ?? '');
    const unknown = await refusalOf(here.access, makeApiKey(acme, systemRandom).text);
    expect(await refusalOf(here.access, text)).toEqual(unknown);
  });

  test.for<[string, (text: string) => string]>([
    [
      'another secret',
      (text) => text.replace(/_[0-9a-f]{16}_./, (found) => `${found.slice(0, -1)}${found.endsWith('0') ? '1' : '0'}`),
    ],
    ['another tenant', (text) => text.replace('_acme_', '_default_')],
    ['a character less', (text) => text.slice(0, -1)],
    ['a character more', (text) => `${text}0`],
    ['upper case', (text) => text.toUpperCase()],
  ])('with %s is refused', async ([, change]) => {
    const here = site();
    const text = await addKey(here, operator);
    expect(await refusalOf(here.access, change(text))).toMatchObject({ code: 'unauthenticated' });
  });

  test('is not in the store, nor any part of its secret', async () => {
    const here = site();
    const text = await addKey(here, operator);
    const stored = JSON.stringify(await here.principals.apiKeys.list(keys.apiKey(acme, '').pk, { limit: 10 }));
    expect(stored).not.toContain(text.slice(-72, -40));
  });
});

describe('an access token', () => {
  const identity = { issuer: 'https://login.example.com/', subject: 'ada' };
  const withToken = (good: boolean): Site => {
    const here = site();
    const tokens = async () => ({
      issuers: [],
      verify: async () =>
        good ? { tenant: acme, identity, id: 'one', expiresAt: here.clock.now() + 300_000 } : undefined,
    });
    return { ...here, access: makeAccess({ ...here, readOwnerKey: async () => OWNER_KEY, tokens }) };
  };
  const TOKEN = 'eyJhbGciOiJSUzI1NiJ9.e30.x';

  test('speaks for the member with its identity', async () => {
    const here = withToken(true);
    await here.principals.addMember(acme, { ...operator, identity, scope: { targets: ['a'] } });
    expect(await here.access.authenticate(TOKEN)).toMatchObject({
      id: operator.id,
      tenant: 'acme',
      role: 'operator',
      scope: { targets: ['a'] },
      credential: { kind: 'access-token', id: 'one' },
    });
  });

  test('of nobody who is a member is answered 403, and says whom an admin would have to add', async () => {
    expect(await refusalOf(withToken(true).access, TOKEN)).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('ada of https://login.example.com/'),
    });
  });

  test.for<[string, (here: Site) => Promise<unknown>]>([
    [
      'of a member that is disabled',
      ({ principals }) => principals.addMember(acme, { ...operator, identity, disabled: true }),
    ],
    [
      'of a tenant that is suspended',
      async ({ principals }) => {
        await principals.addMember(acme, { ...operator, identity });
        await principals.tenants.add(keys.tenant(acme), { id: acme, name: 'Acme', suspended: true, createdAt: 0 });
      },
    ],
  ])('%s is refused', async ([, make]) => {
    const here = withToken(true);
    await make(here);
    expect(await refusalOf(here.access, TOKEN)).toMatchObject({ code: 'unauthenticated' });
  });

  test('that is not good is refused, as is any where no issuer is configured', async () => {
    expect(await refusalOf(withToken(false).access, TOKEN)).toMatchObject({ code: 'unauthenticated' });
    expect(await refusalOf(site().access, TOKEN)).toMatchObject({ code: 'unauthenticated' });
  });

  test('two members cannot have one identity', async () => {
    const { principals } = site();
    await principals.addMember(acme, { ...operator, identity });
    const second = { ...operator, id: 'mem_ffffffffffffffff', identity };
    await expect(principals.addMember(acme, second)).rejects.toMatchObject({ code: 'conflict' });
    expect(await principals.members.get(keys.member(acme, second.id))).toBeUndefined();
  });
});
