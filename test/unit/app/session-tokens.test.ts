import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../../machine/system-clock.ts';
import { makeAccess } from '../../../shared/access/access.ts';
import { makeApiKey } from '../../../shared/access/api-key.ts';
import { withChecksum } from '../../../shared/access/secret-text.ts';
import { refreshSessionToken } from '../../../shared/app/refresh-session-token.ts';
import {
  createSessionToken,
  listSessionTokens,
  type NewSessionToken,
  revokeSessionToken,
} from '../../../shared/app/session-tokens.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { GIVES_ACCESS, ROLES } from '../../../shared/domain/permissions.ts';
import type { ApiKey, Member } from '../../../shared/domain/principals.ts';
import { inProcessChanges } from '../../../shared/events/changes.ts';
import { makeAuditLog } from '../../../shared/store/audit-log.ts';
import { makePrincipals } from '../../../shared/store/principals.ts';
import { keys } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const acme = toTenantId('acme');
const ada: Member = {
  ...{ id: 'mem_0123456789abcdef', kind: 'person', name: 'Ada', role: 'operator', scope: {} },
  ...{ disabled: false, createdAt: 0, createdBy: 'owner' },
};
const identity = { issuer: 'https://login.example.com/', subject: 'ada' };
const JWT = 'eyJhbGciOiJSUzI1NiJ9.e30.x';
const OWNER_KEY = 'a-key-of-the-owner-that-is-long-enough';
const LIFE_MS = LIMITS.sessionTokenSeconds * 1_000;
const FAMILY_MS = LIMITS.sessionRefreshSeconds * 1_000;
const OVERLAP_MS = LIMITS.sessionOverlapSeconds * 1_000;

/** A store with Ada and her key, the use cases on it, and a session token for the key. */
const openSite = async (terms: Partial<ApiKey> = {}) => {
  const clock = fakeClock();
  const store = sqliteStore({ file: ':memory:' });
  const principals = makePrincipals(store);
  const auditLog = makeAuditLog(store, clock, systemRandom, inProcessChanges(clock));
  const site = { ownerKey: OWNER_KEY, jwtExpiresAt: clock.now() + 3_600_000 };
  const accessOf = () =>
    makeAccess({
      ...{ principals, clock },
      readOwnerKey: async () => site.ownerKey,
      tokens: async () => ({
        issuers: [],
        verify: async () =>
          clock.now() < site.jwtExpiresAt
            ? { tenant: acme, identity, id: 'jti', expiresAt: site.jwtExpiresAt }
            : undefined,
      }),
    });
  const access = accessOf();
  const deps = { access, principals, clock, auditLog, random: systemRandom, log: silentLog };
  await principals.addMember(acme, { ...ada, identity });
  const { id: keyId, hash, text: key } = makeApiKey(acme, systemRandom);
  const stored: ApiKey = { id: keyId, hash, name: 'k', member: ada.id, scope: {}, createdAt: 0, createdBy: 'owner' };
  await principals.apiKeys.add(keys.apiKey(acme, keyId), { ...stored, ...terms });
  const trade = async (credential = key, wanted: Parameters<typeof createSessionToken>[2] = {}) =>
    createSessionToken(deps, await access.authenticate(credential), wanted);
  const refresh = (refreshToken: string) => refreshSessionToken(deps, { refreshToken });
  const changeKey = (change: (latest: ApiKey) => ApiKey) => principals.apiKeys.change(keys.apiKey(acme, keyId), change);
  const changeMember = (change: Partial<Member>) =>
    principals.members.change(keys.member(acme, ada.id), (latest) => ({ ...latest, ...change }));
  const events = async () => (await auditLog.pending(acme, 100)).map(({ event }) => event);
  const whoIs = (token: string) => access.authenticate(token);
  return {
    ...{ site, store, clock, principals, deps, accessOf, key, trade, refresh, whoIs },
    changeKey,
    changeMember,
    events,
  };
};
type Site = Awaited<ReturnType<typeof openSite>>;

const isRefused = async (answer: Promise<unknown>): Promise<void> => {
  await expect(answer).rejects.toMatchObject({ code: 'unauthenticated' });
};
const isDead = async ({ whoIs, refresh }: Site, { accessToken, refreshToken }: NewSessionToken): Promise<void> => {
  await isRefused(whoIs(accessToken));
  await isRefused(refresh(refreshToken));
};

describe('a session token', () => {
  test('speaks for the member, with all that the key may do but give access', async () => {
    const { trade, whoIs } = await openSite();
    const { accessToken, id, expiresInSeconds } = await trade();
    const actor = await whoIs(accessToken);
    expect(actor).toMatchObject({ id: ada.id, tenant: 'acme', credential: { kind: 'session-token', id } });
    expect([...actor.permissions]).toEqual(ROLES.operator.filter((one) => !GIVES_ACCESS.includes(one)));
    expect(expiresInSeconds).toBe(LIMITS.sessionTokenSeconds);
  });

  test('may make keys only if that was asked for by name', async () => {
    const { trade, whoIs } = await openSite();
    const { accessToken } = await trade(undefined, { permissions: ['keys:own'] });
    expect([...(await whoIs(accessToken)).permissions]).toEqual(['keys:own']);
  });

  test('is limited as was asked for, and never less than its key', async () => {
    const { trade, whoIs } = await openSite({
      scope: { targets: ['a', 'b'] },
      permissions: ['commands:read', 'usage:read'],
    });
    const { accessToken } = await trade(undefined, { permissions: ['commands:read'], scope: { targets: ['b'] } });
    const { permissions, scope } = await whoIs(accessToken);
    expect([[...permissions], scope]).toEqual([['commands:read'], { targets: ['b'] }]);
    await expect(trade(undefined, { permissions: ['commands:submit'] })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(trade(undefined, { scope: { targets: ['c'] } })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(trade(undefined, { scope: {} })).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('is not traded for another, so that nothing lives longer than twelve hours', async () => {
    const { trade } = await openSite();
    const { accessToken } = await trade();
    await expect(trade(accessToken)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('ends after fifteen minutes, and can be renewed for twelve hours at most', async () => {
    const here = await openSite();
    let latest = await here.trade();
    await here.clock.advance(LIFE_MS - 1);
    await here.whoIs(latest.accessToken);
    await here.clock.advance(1);
    await isRefused(here.whoIs(latest.accessToken));
    while (here.clock.now() + LIFE_MS < Date.parse(latest.refreshExpiresAt)) {
      latest = await here.refresh(latest.refreshToken);
      await here.clock.advance(LIFE_MS);
    }
    latest = await here.refresh(latest.refreshToken);
    expect(latest.expiresAt).toBe(latest.refreshExpiresAt);
    await here.clock.advance(Date.parse(latest.refreshExpiresAt) - here.clock.now());
    await isDead(here, latest);
  });

  test('never outlives the key or the access token that it was traded for', async () => {
    const { trade, clock, site } = await openSite({ expiresAt: fakeClock().now() + 60_000 });
    const inAMinute = new Date(clock.now() + 60_000).toISOString();
    expect(await trade()).toMatchObject({ expiresAt: inAMinute, refreshExpiresAt: inAMinute, expiresInSeconds: 60 });
    site.jwtExpiresAt = clock.now() + 60_000;
    expect(await trade(JWT)).toMatchObject({ expiresAt: inAMinute, refreshExpiresAt: inAMinute });
  });

  test('is in no store and no event, and neither is its refresh token', async () => {
    const { trade, refresh, store, events } = await openSite();
    const first = await trade();
    const second = await refresh(first.refreshToken);
    const stored = JSON.stringify([await store.query('acme/session-tokens', { limit: 10 }), await events()]);
    for (const { accessToken, refreshToken } of [first, second]) {
      for (const text of [accessToken, refreshToken]) expect(stored).not.toContain(text.slice(-72, -8));
    }
    expect(stored).not.toContain(first.refreshToken.split('_')[4]?.slice(0, 32));
  });

  test('vanishes from the store when it can be renewed no more', async () => {
    const { trade, store, clock } = await openSite();
    await trade();
    await store.removeExpired(clock.now() + FAMILY_MS - 1);
    expect(await store.query('acme/session-tokens', { limit: 10 })).toHaveLength(1);
    await store.removeExpired(clock.now() + FAMILY_MS);
    expect(await store.query('acme/session-tokens', { limit: 10 })).toEqual([]);
  });
});

/** What is made of a good token by whoever tries. */
const flip = (text: string, at: number): string => {
  const other = text.at(at) === '0' ? '1' : '0';
  return withChecksum(`${text.slice(0, at)}${other}${text.slice(at + 1)}`.slice(0, -8));
};
const ATTACKS: readonly (readonly [string, (text: string, here: Site) => string])[] = [
  ['a character less', (text) => text.slice(0, -1)],
  ['half of it', (text) => text.slice(0, text.length / 2)],
  ['a character more', (text) => `${text}0`],
  ['upper case', (text) => text.toUpperCase()],
  ['a wrong checksum', (text) => `${text.slice(0, -8)}00000000`],
  ['another secret, with a good checksum', (text) => flip(text, text.length - 20)],
  [
    'another id, with a good checksum',
    (text) => withChecksum(text.replace(/_[0-9a-f]{16}_/, '_0000000000000000_').slice(0, -8)),
  ],
  ['another tenant, with a good checksum', (text) => withChecksum(text.replace('_acme_', '_default_').slice(0, -8))],
  ['a line break', (text) => `${text}\n`],
  [
    'the other’s name',
    (text) =>
      withChecksum(
        text.replace(/_(session|refresh)_/, (name) => (name === '_session_' ? '_refresh_' : '_session_')).slice(0, -8),
      ),
  ],
  ['the name of a key', (text) => withChecksum(text.replace(/_(session|refresh)_/, '_').slice(0, -8))],
];

describe('a token that is not as it was made', () => {
  test.for(ATTACKS)('with %s is refused as a session token, as a refresh token and as a key', async ([, change]) => {
    const here = await openSite();
    const { accessToken, refreshToken } = await here.trade();
    for (const text of [change(accessToken, here), change(refreshToken, here)]) {
      await isRefused(here.whoIs(text));
      await isRefused(here.refresh(text));
    }
  });

  test('a refresh token is no session token, a session token no refresh token, and a key neither', async () => {
    const here = await openSite();
    const { accessToken, refreshToken } = await here.trade();
    await isRefused(here.whoIs(refreshToken));
    await isRefused(here.refresh(accessToken));
    await isRefused(here.refresh(here.key));
    // None of it counted as reuse.
    await here.whoIs(accessToken);
    await here.refresh(refreshToken);
  });

  test('who knows only the id has nobody’s revoked: a guess is no reuse', async () => {
    const here = await openSite();
    const { accessToken, refreshToken, id } = await here.trade();
    await isRefused(here.refresh(withChecksum(`errand_refresh_acme_${id}_${'0'.repeat(96)}`)));
    await here.whoIs(accessToken);
    await here.refresh(refreshToken);
    expect((await here.events()).map(({ type }) => type)).not.toContain('security.alert');
  });
});

describe('a renewal', () => {
  test('replaces both; the session token before is good for the requests under way, and no longer', async () => {
    const { trade, refresh, whoIs, clock } = await openSite();
    const first = await trade();
    await clock.advance(60_000);
    const second = await refresh(first.refreshToken);
    expect(second.id).toBe(first.id);
    expect(second.refreshExpiresAt).toBe(first.refreshExpiresAt);
    expect(new Set([first.accessToken, first.refreshToken, second.accessToken, second.refreshToken]).size).toBe(4);
    await whoIs(second.accessToken);
    await clock.advance(OVERLAP_MS - 1);
    await whoIs(first.accessToken);
    await clock.advance(1);
    await isRefused(whoIs(first.accessToken));
    await whoIs(second.accessToken);
  });

  test('that lets the session token before live no longer than it would have', async () => {
    const { trade, refresh, whoIs, clock } = await openSite();
    const first = await trade();
    await clock.advance(LIFE_MS - 1_000);
    await refresh(first.refreshToken);
    await clock.advance(1_000);
    await isRefused(whoIs(first.accessToken));
  });

  test('whose answer was lost gives the same two again, within the overlap', async () => {
    const { trade, refresh, whoIs, clock } = await openSite();
    const first = await trade();
    const lost = await refresh(first.refreshToken);
    await clock.advance(OVERLAP_MS - 1);
    const again = await refresh(first.refreshToken);
    expect([again.accessToken, again.refreshToken]).toEqual([lost.accessToken, lost.refreshToken]);
    expect(again.expiresAt).toBe(lost.expiresAt);
    await whoIs(again.accessToken);
    await refresh(again.refreshToken);
  });

  test('of many at once gives all of them the same two, and the one line goes on', async () => {
    const { trade, refresh, whoIs, events } = await openSite();
    const first = await trade();
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(first.refreshToken)));
    expect(new Set(answers.map(({ refreshToken }) => refreshToken)).size).toBe(1);
    expect(new Set(answers.map(({ accessToken }) => accessToken)).size).toBe(1);
    await whoIs(answers[0]?.accessToken ?? '');
    await refresh(answers[0]?.refreshToken ?? '');
    expect((await events()).map(({ type }) => type)).toEqual(['session-token.created']);
  });

  test('by a clock that is some seconds behind the one that renewed is no reuse', async () => {
    const { trade, deps, refresh, whoIs } = await openSite();
    const first = await trade();
    const ahead = { ...deps, clock: fakeClock('2030-01-01T00:00:05Z') };
    const second = await refreshSessionToken(ahead, { refreshToken: first.refreshToken });
    expect((await refresh(first.refreshToken)).refreshToken).toBe(second.refreshToken);
    await whoIs(second.accessToken);
  });

  test.for<[string, (here: Site, first: NewSessionToken) => Promise<NewSessionToken>]>([
    [
      'after the overlap',
      async ({ refresh, clock }, first) => {
        const second = await refresh(first.refreshToken);
        await clock.advance(OVERLAP_MS);
        return second;
      },
    ],
    [
      'after the next was used too, however soon',
      async ({ refresh }, first) => refresh((await refresh(first.refreshToken)).refreshToken),
    ],
    [
      'hours later',
      async ({ refresh, clock }, first) => {
        let latest = first;
        for (let i = 0; i < 20; i++) {
          latest = await refresh(latest.refreshToken);
          await clock.advance(LIFE_MS);
        }
        return refresh(latest.refreshToken);
      },
    ],
  ])('by a refresh token that was used, %s, ends it for everyone, and is an alert', async ([, use]) => {
    const here = await openSite();
    const first = await here.trade();
    const latest = await use(here, first);
    await here.whoIs(latest.accessToken);
    await isRefused(here.refresh(first.refreshToken));
    await isDead(here, latest);
    // Once is enough.
    await isRefused(here.refresh(first.refreshToken));
    const events = await here.events();
    expect(events.map(({ type }) => type).toSorted()).toEqual([
      'security.alert',
      'session-token.created',
      'session-token.reused',
    ]);
    expect(events.find(({ type }) => type === 'security.alert')).toMatchObject({
      actor: { id: ada.id, credential: { kind: 'session-token', id: first.id } },
      subject: first.id,
      details: { kind: 'refresh-reuse' },
    });
    // Others of the same key are not touched.
    await here.whoIs((await here.trade()).accessToken);
  });
});

describe('what it was traded for', () => {
  test.for<[string, (here: Site) => Promise<unknown>]>([
    ['its key was revoked', ({ changeKey }) => changeKey((key) => ({ ...key, revokedAt: 1 }))],
    ['its key has expired', ({ changeKey, clock }) => changeKey((key) => ({ ...key, expiresAt: clock.now() }))],
    [
      'its key is gone',
      ({ principals, changeKey }) =>
        changeKey((key) => key).then((key) => principals.apiKeys.remove(keys.apiKey(acme, key?.id ?? ''))),
    ],
    ['its member is disabled', ({ changeMember }) => changeMember({ disabled: true })],
    ['its member is gone', ({ principals }) => principals.removeMember(acme, { ...ada, identity })],
    [
      'its tenant is suspended',
      ({ principals }) =>
        principals.tenants.add(keys.tenant(acme), { id: acme, name: 'Acme', suspended: true, createdAt: 0 }),
    ],
  ])('is not good any more, as %s: it is not good at the next request, and cannot be renewed', async ([, end]) => {
    const here = await openSite();
    const made = await here.trade();
    await here.whoIs(made.accessToken);
    await end(here);
    await isDead(here, made);
  });

  test('may do less: so may it', async () => {
    const { trade, whoIs, changeMember, changeKey } = await openSite();
    const { accessToken } = await trade();
    await changeMember({ role: 'viewer', scope: { targets: ['a'] } });
    const { role, permissions, scope } = await whoIs(accessToken);
    expect([role, permissions.has('commands:submit'), scope]).toEqual(['viewer', false, { targets: ['a'] }]);
    await changeKey((key) => ({ ...key, permissions: ['usage:read'] }));
    expect([...(await whoIs(accessToken)).permissions]).toEqual(['usage:read']);
  });

  test('may do more: it may not', async () => {
    const { trade, whoIs, changeMember } = await openSite();
    await changeMember({ role: 'viewer' });
    const { accessToken } = await trade();
    await changeMember({ role: 'admin' });
    expect([...(await whoIs(accessToken)).permissions]).not.toContain('commands:submit');
  });

  test('is an access token: it ends with that, and with its member', async () => {
    const here = await openSite();
    const made = await here.trade(JWT);
    expect(made.tradedFor).toEqual({ kind: 'access-token', id: 'jti' });
    expect(await here.whoIs(made.accessToken)).toMatchObject({ id: ada.id, role: 'operator' });
    await here.changeMember({ disabled: true });
    await isDead(here, made);
    await here.changeMember({ disabled: false });
    await here.clock.advance(3_600_000);
    await isDead(here, made);
  });

  test('is the installation’s key: another in its place ends it', async () => {
    const here = await openSite();
    const made = await here.trade(OWNER_KEY);
    expect(await here.whoIs(made.accessToken)).toMatchObject({ id: 'owner', tenant: 'default', role: 'owner' });
    here.site.ownerKey = 'another-key-of-the-owner-that-is-long-enough';
    const access = here.accessOf();
    await isRefused(access.authenticate(made.accessToken));
    await isRefused(refreshSessionToken({ ...here.deps, access }, { refreshToken: made.refreshToken }));
  });
});

describe('revoking', () => {
  test('holds at once, for both, and is written down once', async () => {
    const here = await openSite();
    const made = await here.trade();
    const actor = await here.whoIs(made.accessToken);
    await revokeSessionToken(here.deps, actor, made.id);
    await isDead(here, made);
    await revokeSessionToken(here.deps, await here.whoIs(here.key), made.id);
    expect((await here.events()).map(({ type }) => type).toSorted()).toEqual([
      'session-token.created',
      'session-token.revoked',
    ]);
  });

  test.for<[string, Partial<ApiKey>, Member['role'], boolean]>([
    ['a key with keys:own of the same member', {}, 'operator', true],
    ['a key without it', { permissions: ['commands:read'] }, 'operator', false],
    ['who manages keys', { member: 'mem_ffffffffffffffff' }, 'admin', true],
    ['another member', { member: 'mem_ffffffffffffffff' }, 'operator', false],
  ])('and listing by %s', async ([, terms, role, mayIt]) => {
    const { deps, trade, whoIs } = await openSite();
    const made = await trade();
    await deps.principals.addMember(acme, { ...ada, id: 'mem_ffffffffffffffff', role });
    const { id, hash, text } = makeApiKey(acme, systemRandom);
    const other: ApiKey = {
      id,
      hash,
      name: 'o',
      member: ada.id,
      scope: {},
      createdAt: 0,
      createdBy: 'owner',
      ...terms,
    };
    await deps.principals.apiKeys.add(keys.apiKey(acme, id), other);
    const actor = await whoIs(text);
    const { items } = await listSessionTokens(deps, actor, {});
    expect(items.map((one) => one.id)).toEqual(mayIt ? [made.id] : []);
    const revoking = revokeSessionToken(deps, actor, made.id);
    if (mayIt) await revoking;
    else await expect(revoking).rejects.toMatchObject({ code: 'not-found' });
  });

  test('a session token lists itself alone, with nothing that could be sent', async () => {
    const { deps, trade, whoIs, clock } = await openSite();
    const made = await trade(undefined, { name: 'laptop' });
    await trade();
    const actor = await whoIs(made.accessToken);
    const { items } = await listSessionTokens(deps, actor, {});
    expect(items).toMatchObject([{ id: made.id, name: 'laptop', refreshedAt: null, revokedAt: null }]);
    expect(JSON.stringify(items)).not.toMatch(/errand_(session|refresh)/);
    await clock.advance(FAMILY_MS);
    expect((await listSessionTokens(deps, actor, {})).items).toEqual([]);
  });
});
