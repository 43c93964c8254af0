import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../machine/system-clock.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { makeSecrets, type Secrets } from '../../shared/secrets/secrets.ts';
import type { Vault } from '../../shared/secrets/vault.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../shared/store/store.ts';
import { fakeClock } from '../support/fake-clock.ts';

const ours = toTenantId('ours');
const theirs = toTenantId('theirs');

/** What holds of secrets in every vault. */
export const secretsContract = (name: string, makeVault: () => Promise<Vault>): void => {
  const open = async () => {
    const store = sqliteStore({ file: ':memory:' });
    const vault = await makeVault();
    const clock = fakeClock();
    const withStore = (own: Store): Secrets => makeSecrets({ store: own, vault, clock, random: systemRandom });
    return { ...withStore(store), store, vault, clock, withStore };
  };
  const put = (secrets: Secrets, secret: string, text: string | Uint8Array, tenant = ours) =>
    secrets.put(tenant, secret, { bytes: Buffer.from(text as string), by: 'mem_1' });
  const textOf = async (secrets: Secrets, secret: string, tenant = ours) => {
    const bytes = await secrets.get(tenant, secret);
    return bytes && Buffer.from(bytes).toString();
  };

  describe(`secrets in ${name}`, () => {
    test('a value comes back as it was put, and a new one takes its place with the next version', async () => {
      const secrets = await open();
      const first = await put(secrets, 'token', 'one');
      await secrets.clock.advance(5_000);
      const second = await put(secrets, 'token', 'two');
      expect(await textOf(secrets, 'token')).toBe('two');
      expect(second).toMatchObject({ name: 'token', version: 2, bytes: 3, updatedBy: 'mem_1' });
      expect([second.createdAt, second.updatedAt - first.updatedAt]).toEqual([first.createdAt, 5_000]);
      expect(await secrets.vault.get({ tenant: ours, name: 'token', value: 'f'.repeat(32) })).toBeUndefined();
    });

    test.for<[string, Buffer]>([
      ['one byte', Buffer.of(0)],
      ['every byte there is', Buffer.from(Array.from({ length: 256 }, (_, n) => n))],
      ['the most', randomBytes(64 * 1024)],
    ])('%s comes back exactly', async ([, bytes]) => {
      const secrets = await open();
      await put(secrets, 'bytes', bytes);
      expect(bytes.equals((await secrets.get(ours, 'bytes')) ?? Buffer.of())).toBe(true);
    });

    test('names that file systems or paths would take for one another are different secrets', async () => {
      const secrets = await open();
      const names = ['token', 'Token', 'token.1', 'token-1', 't0ken', 'a..b', 'x'.repeat(63)];
      for (const one of names) await put(secrets, one, `value of ${one}`);
      for (const one of names) expect(await textOf(secrets, one)).toBe(`value of ${one}`);
      expect((await secrets.list(ours, { limit: 100 })).map((secret) => secret.name)).toEqual(names.toSorted());
    });

    test('a tenant sees nothing of another’s secret of the same name', async () => {
      const secrets = await open();
      await put(secrets, 'token', 'ours');
      expect(await secrets.find(theirs, 'token')).toBeUndefined();
      expect(await secrets.get(theirs, 'token')).toBeUndefined();
      await put(secrets, 'token', 'theirs', theirs);
      await secrets.remove(theirs, 'token');
      expect(await textOf(secrets, 'token')).toBe('ours');
      expect(await secrets.list(theirs, { limit: 10 })).toEqual([]);
    });

    test('what is removed is nowhere, twice is the same as once, and the name is free again', async () => {
      const secrets = await open();
      const { value } = await put(secrets, 'token', 'one');
      await secrets.remove(ours, 'token');
      await secrets.remove(ours, 'token');
      expect(await secrets.get(ours, 'token')).toBeUndefined();
      expect(await secrets.vault.get({ tenant: ours, name: 'token', value })).toBeUndefined();
      expect(await put(secrets, 'token', 'two')).toMatchObject({ version: 1 });
      expect(await textOf(secrets, 'token')).toBe('two');
    });

    test('all of a tenant’s values are removed at once, also what the store does not know of; twice is once, and others stay', async () => {
      const secrets = await open();
      const stored = [];
      for (const one of ['a', 'b', 'c', 'd', 'e.f']) stored.push(await put(secrets, one, one));
      await put(secrets, 'a', 'theirs', theirs);
      await put(secrets, 'a', 'of another', toTenantId('ours-2'));
      const unknown = { tenant: ours, name: 'unknown', value: '0'.repeat(32) };
      await secrets.vault.put(unknown, Buffer.from('nobody knows'));
      await secrets.removeValues(ours);
      await secrets.removeValues(ours);
      for (const { name: one, value } of [...stored, unknown]) {
        expect(await secrets.vault.get({ tenant: ours, name: one, value })).toBeUndefined();
      }
      expect(await textOf(secrets, 'a', theirs)).toBe('theirs');
      expect(await textOf(secrets, 'a', toTenantId('ours-2'))).toBe('of another');
    });

    test('of many that put at once, each gets its own version, and the last one’s value stands', async () => {
      const secrets = await open();
      await put(secrets, 'token', 'first');
      const values = ['a', 'b', 'c'];
      const stored = await Promise.all(values.map((value) => put(secrets, 'token', value)));
      expect(stored.map(({ version }) => version).toSorted()).toEqual([2, 3, 4]);
      const last = values[stored.findIndex(({ version }) => version === 4)];
      expect(await textOf(secrets, 'token')).toBe(last);
    });

    test('a read between a new value and the end of the old one finds one of them', async () => {
      const secrets = await open();
      await put(secrets, 'token', 'old');
      const get = secrets.store.get.bind(secrets.store);
      let replaced = false;
      // Whoever reads has seen the old record, and is overtaken right then.
      const slow: Store = {
        ...secrets.store,
        async get(key) {
          const seen = await get(key);
          if (!replaced) {
            replaced = true;
            await put(secrets, 'token', 'new');
          }
          return seen;
        },
      };
      expect(['old', 'new']).toContain(await textOf(secrets.withStore(slow), 'token'));
      expect(replaced).toBe(true);
    });

    test('nothing changes for readers when the store takes no write', async () => {
      const secrets = await open();
      await put(secrets, 'token', 'old');
      const full: Store = { ...secrets.store, write: () => Promise.reject(new Error('disk full')) };
      await expect(put(secrets.withStore(full), 'token', 'new')).rejects.toThrow('disk full');
      expect(await textOf(secrets, 'token')).toBe('old');
    });
  });
};
