import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemRandom } from '../../machine/system-clock.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { sealedFiles } from '../../shared/secrets/sealed-files.ts';
import { secretsManager, secretsManagerClient } from '../../shared/secrets/secrets-manager.ts';
import { SealBroken } from '../../shared/secrets/vault.ts';
import { secretsManager as secretsManagerCloud } from '../support/clouds/aws/secrets-manager.ts';
import { FAKE_CREDENTIALS } from '../support/dynamodb-local.ts';
import { AWS } from '../support/fauxqs.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { secretsContract } from './secrets-contract.ts';

const tenant = toTenantId('ours');
const place = (name: string, digit = 'a') => ({ tenant, name, value: digit.repeat(32) });
const filesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

const openFiles = (key = Buffer.alloc(32, 1)) => {
  const directory = join(tempDirectory(), 'secrets');
  return { directory, vault: sealedFiles({ directory, key: () => key, random: systemRandom }) };
};

const openCloud = async (installation = 'errand-test') => {
  const cloud = await secretsManagerCloud();
  const credentials = { accessKeyId: FAKE_CREDENTIALS.AWS_ACCESS_KEY_ID, secretAccessKey: 'fake' };
  const client = secretsManagerClient({ region: AWS.region, endpoint: cloud.url, credentials, maxAttempts: 1 });
  onTestFinished(async () => {
    client.destroy();
    await cloud.close();
  });
  return { cloud, vault: secretsManager({ client, installation }) };
};

secretsContract('sealed files', async () => openFiles().vault);
secretsContract('AWS Secrets Manager', async () => (await openCloud()).vault);

describe('sealed files', () => {
  test('hold nothing of the value, and the same value twice looks different', async () => {
    const { directory, vault } = openFiles();
    const value = Buffer.from('a value that would be seen');
    await vault.put(place('one'), value);
    await vault.put(place('two'), value);
    const [one, two] = filesIn(directory).map((file) => readFileSync(file));
    expect(one?.includes('a value')).toBe(false);
    expect(one?.subarray(12).equals(two?.subarray(12) ?? Buffer.of())).toBe(false);
    expect(one?.length).toBe(12 + 16 + value.length);
  });

  test.for<[string, (files: { one: string; two: string; later: string }) => void]>([
    ['another secret’s file in its place', ({ one, two }) => renameSync(two, one)],
    ['another value of the same secret in its place', ({ one, later }) => renameSync(later, one)],
    [
      'one bit flipped',
      ({ one }) => {
        const bytes = readFileSync(one);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        writeFileSync(one, bytes);
      },
    ],
    ['its end cut off', ({ one }) => writeFileSync(one, readFileSync(one).subarray(0, 30))],
    ['nothing in it', ({ one }) => writeFileSync(one, '')],
  ])('with %s, it does not open', async ([, tamper]) => {
    const { directory, vault } = openFiles();
    await vault.put(place('one', 'a'), Buffer.from('first value'));
    await vault.put(place('one', 'b'), Buffer.from('later value'));
    await vault.put(place('two', 'a'), Buffer.from('other value'));
    const file = (name: string, digit: string) =>
      join(directory, tenant, `${Buffer.from(name).toString('hex')}.${digit.repeat(32)}`);
    tamper({ one: file('one', 'a'), two: file('two', 'a'), later: file('one', 'b') });
    await expect(vault.get(place('one', 'a'))).rejects.toBeInstanceOf(SealBroken);
  });

  test('with another key, none opens', async () => {
    const { directory, vault } = openFiles();
    await vault.put(place('one'), Buffer.from('value'));
    const other = sealedFiles({ directory, key: () => Buffer.alloc(32, 2), random: systemRandom });
    await expect(other.get(place('one'))).rejects.toBeInstanceOf(SealBroken);
  });

  test('a name whose hex begins as another’s is not removed with it', async () => {
    const { vault } = openFiles();
    await vault.put(place('ab'), Buffer.from('short'));
    await vault.put(place('abc'), Buffer.from('long'));
    await vault.remove({ tenant, name: 'ab' });
    expect(Buffer.from((await vault.get(place('abc'))) ?? []).toString()).toBe('long');
  });

  test('a folder that cannot be used says unavailable, and nothing of the value', async () => {
    const directory = join(tempDirectory(), 'secrets');
    mkdirSync(directory);
    writeFileSync(join(directory, tenant), 'a file where a folder should be');
    const vault = sealedFiles({ directory, key: () => Buffer.alloc(32, 1), random: systemRandom });
    const fault = await vault.put(place('one'), Buffer.from('the-value')).catch((error: unknown) => error as Error);
    expect(fault).toMatchObject({ code: 'unavailable' });
    expect(String(fault)).not.toContain('the-value');
  });
});

describe('AWS Secrets Manager', () => {
  test('secrets are named by installation and tenant, below one prefix', async () => {
    const { cloud, vault } = await openCloud('errand-prod');
    await vault.put(place('deploy-token'), Buffer.from('value'));
    expect(cloud.names()).toEqual(['errand/errand-prod/ours/deploy-token']);
    await vault.remove({ tenant, name: 'deploy-token' });
    expect(cloud.names()).toEqual([]);
  });

  test('an answer that was lost is asked for again, and makes no other version', async () => {
    const { vault } = await openCloud();
    await vault.put(place('one'), Buffer.from('value'));
    await vault.put(place('one'), Buffer.from('value'));
    expect(Buffer.from((await vault.get(place('one'))) ?? []).toString()).toBe('value');
  });

  test('a value stays for as long as the store names it, however many came after it, and goes once it is dropped', async () => {
    const { vault } = await openCloud();
    for (const digit of ['a', 'b', 'c', 'd']) await vault.put(place('one', digit), Buffer.from(digit));
    for (const digit of ['a', 'b', 'c', 'd']) {
      expect(Buffer.from((await vault.get(place('one', digit))) ?? []).toString()).toBe(digit);
    }
    await vault.drop(place('one', 'a'));
    await vault.drop(place('one', 'a'));
    expect(await vault.get(place('one', 'a'))).toBeUndefined();
  });

  test('away, it says unavailable for everything, never that there is no secret', async () => {
    const { cloud, vault } = await openCloud();
    await vault.put(place('one'), Buffer.from('value'));
    cloud.fail(true);
    const unavailable = { code: 'unavailable' };
    await expect(vault.get(place('one'))).rejects.toMatchObject(unavailable);
    await expect(vault.put(place('one', 'b'), Buffer.from('x'))).rejects.toMatchObject(unavailable);
    await expect(vault.remove({ tenant, name: 'one' })).rejects.toMatchObject(unavailable);
  });
});
