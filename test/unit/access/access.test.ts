import { describe, expect, test } from 'vitest';
import { keyAccess, ownerAccess } from '../../../shared/access/access.ts';

const KEY = 'a-key-of-the-owner-that-is-long-enough';

describe('access by the owner’s key', () => {
  test('lets in who has the key', async () => {
    expect(await keyAccess(async () => KEY).authenticate(KEY)).toEqual({ id: 'owner', tenant: 'default' });
  });

  test.for([
    ['no key', undefined],
    ['an empty key', ''],
    ['another key', `${KEY}x`],
    ['a part of the key', KEY.slice(0, -1)],
    ['the key in upper case', KEY.toUpperCase()],
  ] as const)('refuses %s with 401 and without a word of the key', async ([, token]) => {
    const refusal = await keyAccess(async () => KEY)
      .authenticate(token)
      .catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'unauthenticated', headers: { 'www-authenticate': 'Bearer' } });
    expect(String(refusal)).not.toContain(KEY.slice(0, 8));
  });

  test('reads the key once, and again after a read that failed', async () => {
    let reads = 0;
    const access = keyAccess(async () => {
      if (++reads === 1) throw new Error('the secret is away');
      return KEY;
    });
    await expect(access.authenticate(KEY)).rejects.toThrow('away');
    await Promise.all([access.authenticate(KEY), access.authenticate(KEY)]);
    await access.authenticate(KEY);
    expect(reads).toBe(2);
  });
});

test('the embedded server takes whoever reaches it for its owner', async () => {
  expect(await ownerAccess.authenticate(undefined)).toEqual({ id: 'owner', tenant: 'default' });
});
