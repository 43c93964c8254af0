import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Embedded, openEmbedded } from '../../local/embedded.ts';

let embedded: Embedded;
beforeAll(async () => {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'errand-test-'));
  embedded = await openEmbedded({ dataDirectory, work: false });
  return async () => {
    await embedded.close();
    rmSync(dataDirectory, { recursive: true });
  };
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & { readonly accessToken: string; readonly refreshToken: string };
}

const call = async (method: string, path: string, body?: unknown, token?: string): Promise<Answer> => {
  const response = await embedded.fetch(`${embedded.url}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const { status, headers } = response;
  return { status, headers, body: JSON.parse((await response.text()) || '{}') };
};
const refresh = (refreshToken: unknown) => call('POST', '/v1/session-tokens/refresh', { refreshToken });

describe('POST /v1/session-tokens', () => {
  test('answers both tokens and when they end, to be kept in no cache', async () => {
    const { status, headers, body } = await call('POST', '/v1/session-tokens', { name: 'console' });
    expect(status).toBe(201);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({ name: 'console', member: 'owner', expiresInSeconds: 900, revokedAt: null });
    expect(body.accessToken).toMatch(/^errand_session_default_[0-9a-f]{16}_[0-9a-f]{72}$/);
    expect(body.refreshToken).toMatch(/^errand_refresh_default_[0-9a-f]{16}_[0-9a-f]{104}$/);
    const lives = (at: unknown) => Date.parse(at as string) - Date.parse(body['createdAt'] as string);
    expect([lives(body['expiresAt']), lives(body['refreshExpiresAt'])]).toEqual([900_000, 43_200_000]);
  });

  test.for<[string, unknown, string]>([
    ['an unknown field', { expiresAt: '2030-01-01T00:00:00Z' }, '/expiresAt'],
    ['an unknown permission', { permissions: ['everything'] }, '/permissions/0'],
    ['no permission at all', { permissions: [] }, '/permissions'],
    ['a name with a line break', { name: 'a\nb' }, '/name'],
  ])('with %s is a problem with a pointer to it', async ([, body, pointer]) => {
    const answer = await call('POST', '/v1/session-tokens', body);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ in: 'body', pointer }] } });
  });

  test('counts as a change of its caller, as the making of a key does', async () => {
    const { body } = await call('POST', '/v1/api-keys', { name: 'k' });
    const { headers } = await call('POST', '/v1/session-tokens', {}, body['key'] as string);
    expect(headers.get('ratelimit')).toMatch(/^"change";r=\d+/);
  });
});

describe('POST /v1/session-tokens/refresh', () => {
  test('takes the refresh token alone, and gives the next two', async () => {
    const first = (await call('POST', '/v1/session-tokens')).body;
    const { status, body } = await refresh(first.refreshToken);
    expect([status, body['id']]).toEqual([200, first['id']]);
    expect((await call('GET', '/v1/whoami', undefined, body.accessToken)).body).toMatchObject({
      id: 'owner',
      credential: { kind: 'session-token', id: first['id'] },
    });
    expect((await call('GET', '/v1/session-tokens', undefined, body.accessToken)).body['items']).toMatchObject([
      { id: first['id'], refreshedAt: expect.any(String) },
    ]);
  });

  test.for<[string, unknown, number]>([
    ['no text', 7, 400],
    ['an empty text', '', 400],
    ['a text too long', 'x'.repeat(513), 400],
    ['nonsense', 'nonsense', 401],
  ])('with %s is refused', async ([, refreshToken, status]) => {
    const answer = await refresh(refreshToken);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null);
  });

  test('with one that was used long ago ends it, and the audit log says so', async () => {
    const first = (await call('POST', '/v1/session-tokens')).body;
    const second = (await refresh(first.refreshToken)).body;
    const third = (await refresh(second.refreshToken)).body;
    expect((await refresh(first.refreshToken)).status).toBe(401);
    expect((await refresh(third.refreshToken)).status).toBe(401);
    expect((await call('GET', '/v1/whoami', undefined, third.accessToken)).status).toBe(401);
    const { body } = await call('GET', '/v1/audit?type=security.alert');
    expect(body['items']).toMatchObject([{ entry: { subject: first['id'], details: { kind: 'refresh-reuse' } } }]);
  });
});
