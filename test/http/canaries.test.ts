import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemRandom } from '../../machine/system-clock.ts';
import { makeApiKey } from '../../shared/access/api-key.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { leaksInFolder, leaksInWords, plantSecret, saidOpenly } from '../support/canaries/leaks.ts';
import { CANARIES, CANARY_ENVIRONMENT, formsOf } from '../support/canaries/values.ts';
import { cli } from '../support/cli.ts';
import { openErrand, openWatched, sh } from '../support/errand.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/* That the search over all tests finds what it is there for: leaks made on purpose, in folders that it does not watch. */

const unwatched = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};
const said = (text: string | Buffer) => [{ where: 'it', bytes: Buffer.from(text as string) }];
const ASCII = CANARIES.ASCII.toString();

describe('a canary', () => {
  test.for(Object.entries(CANARIES).map(([name, value]) => [name, value] as const))(
    '%s is found in a file in each of its forms, wherever it lies',
    ([name, value]) => {
      const folder = unwatched();
      const forms = [...formsOf(value)];
      expect(forms.length).toBeGreaterThanOrEqual(9);
      for (const [how, form] of forms) {
        const found = (before: number) => {
          writeFileSync(join(folder, 'file'), Buffer.concat([Buffer.alloc(before, '.'), form, Buffer.from('.')]));
          return leaksInFolder(folder);
        };
        expect(found(3)).toContain(`the canary ${name} (${how}) in file`);
        // Files are read in pieces of 4 MiB.
        expect(found(4 * 1024 * 1024 - 5)).toContain(`the canary ${name} (${how}) in file`);
      }
    },
  );

  test('is in the environment of this process, where no command may see it', () => {
    expect(process.env).toMatchObject(CANARY_ENVIRONMENT);
    expect(Object.keys(CANARY_ENVIRONMENT)).toHaveLength(6);
  });

  test('that a command says is found in the store and in the answer', async () => {
    const dataDirectory = unwatched();
    const errand = await openWatched({ dataDirectory, work: true });
    const body = JSON.stringify(sh(`echo ${ASCII}`));
    const headers = { 'content-type': 'application/json', prefer: 'wait=60' };
    await errand.fetch(`${errand.url}/v1/commands`, { method: 'POST', body, headers });
    await expect(errand.close()).rejects.toThrow('the canary ASCII (value, raw) in the answer to POST');
    expect(leaksInFolder(dataDirectory)).toContain('the canary ASCII (value, raw) in errand.db');
  });

  test.fails('in the folder of a test fails the test', () => {
    writeFileSync(join(tempDirectory(), 'file'), CANARIES.PEM);
  });

  test.fails('in an answer of the Errand of a test fails the test', async () => {
    const errand = await openErrand(unwatched());
    await errand.request('GET', `/v1/${ASCII}`);
  });

  test.fails('in what the CLI writes fails the test', async () => {
    await cli(['run', '-n', '--', 'echo', ASCII], { dataDirectory: unwatched() });
  });
});

describe('what else must be nowhere', () => {
  const HEX = 'd3adb33f'.repeat(8);

  test.for(['owner.key', 'vault.key', 'audit.key'])('the key in %s is found elsewhere, and not there', (name) => {
    const folder = unwatched();
    writeFileSync(join(folder, name), `${HEX}\n`);
    expect(leaksInFolder(folder)).toEqual([]);
    writeFileSync(join(folder, 'log'), Buffer.from(HEX, 'hex'));
    expect(leaksInFolder(folder)).toEqual([expect.stringMatching(/the bytes of the key of .* \(value, raw\) in log/)]);
    expect(leaksInWords(said(`Bearer ${HEX}`), { folder })).toContainEqual(expect.stringContaining('the key of'));
  });

  test('an API key is found, but where a new one is shown', () => {
    const { text } = makeApiKey(toTenantId('acme'), systemRandom);
    expect(leaksInWords(said(`key=${text}&`))).toEqual(['an API key in it']);
    expect(leaksInWords(said(text), { mayHoldApiKeys: true })).toEqual([]);
    expect(leaksInWords(said(text.slice(0, -1)))).toEqual([]);
  });

  test('a secret that a test stores is found, unless its caller says it openly', async () => {
    const errand = await openErrand();
    const value = 'stored-by-a-test';
    expect(leaksInWords(said(value))).toEqual([]);
    await errand.request('PUT', '/v1/secrets/token', { value });
    expect(leaksInWords(said(value))).toContain('the secret token (value, raw) in it');
    saidOpenly(value);
    expect(leaksInWords(said(value))).toEqual([]);
    plantSecret('short', Buffer.from('1234567'));
    expect(leaksInWords(said('1234567'))).toEqual([]);
  });
});
