import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type * as z from 'zod';
import { openEmbedded } from '../../local/embedded.ts';
import { makeGateway } from '../../local/gateway.ts';
import { advanceCommand } from '../../shared/app/advance-command.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import type { SecretList, StoredSecretView } from '../../shared/contract/secret-schemas.ts';
import { AppError } from '../../shared/domain/errors.ts';
import { ROLES, type RoleName } from '../../shared/domain/permissions.ts';
import type { Vault } from '../../shared/secrets/vault.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { saidOpenly } from '../support/canaries/leaks.ts';
import { owner, testWorker } from '../support/deps.ts';
import { type Errand, openErrand, problemOf, sh } from '../support/errand.ts';
import { settle } from '../support/fake-clock.ts';
import { scriptedProvider } from '../support/scripted-provider.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { testVault } from '../support/vault.ts';

const SECRET = 'hunter2-is-no-password';
const put = (errand: Errand, name: string, value: string) => errand.request('PUT', `/v1/secrets/${name}`, { value });
const listed = async (errand: Errand) =>
  (await (await errand.request('GET', '/v1/secrets')).json()) as z.output<typeof SecretList>;
const stored = async (errand: Errand, name: string, value: string) =>
  (await (await put(errand, name, value)).json()) as z.output<typeof StoredSecretView>;
const base64 = (text: string): string => Buffer.from(text).toString('base64');
/** Prints a digest of a variable, so that a test can tell what it holds and nothing else can. */
const printDigest = (name: string): readonly string[] => [
  process.execPath,
  '-e',
  `console.log(require('node:crypto').hash('sha256', process.env.${name}))`,
];
const digestOf = (text: string): string => `${createHash('sha256').update(text).digest('hex')}\n`;

const open = async () => {
  const errand = await openErrand();
  expect((await put(errand, 'token', SECRET)).status).toBe(200);
  return errand;
};

describe('secrets over HTTP', () => {
  test('are stored, listed page by page and removed; no answer ever holds a value', async () => {
    const errand = await open();
    await put(errand, 'another', 'the other value');
    const again = await put(errand, 'token', `${SECRET}2`);
    const stored = await again.text();
    expect(JSON.parse(stored)).toMatchObject({
      name: 'token',
      version: 2,
      bytes: 23,
      updatedBy: 'owner',
      warnings: [],
    });
    const first = await (await errand.request('GET', '/v1/secrets?limit=1')).text();
    const { items, nextCursor } = JSON.parse(first);
    expect(items).toMatchObject([{ name: 'another', version: 1 }]);
    const second = await (await errand.request('GET', `/v1/secrets?limit=1&cursor=${nextCursor}`)).text();
    expect(JSON.parse(second).items).toMatchObject([{ name: 'token', version: 2 }]);
    expect(stored + first + second).not.toMatch(/hunter|other value/);
    for (const _ of ['once', 'twice']) {
      expect((await errand.request('DELETE', '/v1/secrets/token')).status).toBe(204);
    }
    expect((await listed(errand)).items).toHaveLength(1);
    expect((await errand.request('GET', '/v1/secrets/token')).status).toBe(405);
  });

  test.for<[string, unknown, string]>([
    ['no value', {}, '/value'],
    ['two values', { value: 'a', valueBase64: 'YQ==' }, '/value'],
    ['an empty value', { value: '' }, '/value'],
    ['no bytes', { valueBase64: '' }, '/valueBase64'],
    ['what is no base 64', { valueBase64: `${SECRET}!` }, '/valueBase64'],
    ['half a character', { value: `${SECRET}\ud800` }, '/value'],
    ['an unknown field', { value: SECRET, version: 3 }, '/version'],
    ['a byte too many', { value: 'x'.repeat(64 * 1024 + 1) }, '/value'],
    ['a number', { value: 7 }, '/value'],
  ])('refuse %s with 400 and its place, and do not repeat it', async ([, body, pointer]) => {
    const errand = await openErrand();
    const response = await errand.request('PUT', '/v1/secrets/token', body);
    const text = await response.clone().text();
    expect([response.status, (await problemOf(response)).errors?.[0]?.pointer]).toEqual([400, pointer]);
    expect(text).not.toContain(SECRET);
    expect((await listed(errand)).items).toEqual([]);
  });

  test.for(['-a', 'a-', 'a/b', '..', 'a b', 'ä', 'x'.repeat(64), '%00', 'a%2Fb'])(
    'refuse the name %s',
    async (name) => {
      const errand = await openErrand();
      expect((await put(errand, name.includes('%') ? name : encodeURIComponent(name), 'value')).status).toBeOneOf([
        400, 404,
      ]);
    },
  );

  test('the longest value is taken, and one below 6 bytes with the warning that it is not masked', async () => {
    const errand = await openErrand();
    const most = await put(errand, 'most', 'x'.repeat(64 * 1024));
    expect(await most.json()).toMatchObject({ bytes: 64 * 1024, warnings: [] });
    expect((await stored(errand, 'short', '12345')).warnings).toEqual([expect.stringContaining('not masked')]);
    expect((await stored(errand, 'short', '123456')).warnings).toEqual([]);
    await put(errand, 'short', '12345');
    const command = await errand.submit(sh('echo "$PIN"', { secrets: { PIN: 'secret:short' } }));
    expect(command).toMatchObject({ stdout: '12345\n', result: { redactions: 0 } });
  });

  test('the vault key is the user’s alone, made with the first secret, and refused when others can read it', async () => {
    const errand = await openErrand();
    const file = join(errand.dataDirectory, 'vault.key');
    expect(readdirSync(errand.dataDirectory)).not.toContain('vault.key');
    await put(errand, 'token', SECRET);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await errand.close();
    chmodSync(file, 0o640);
    await expect(openEmbedded({ dataDirectory: errand.dataDirectory, work: true })).rejects.toThrow(/vault.*chmod 600/);
  });
});

describe('a command with secrets', () => {
  test('has them in its environment, and the record only what they are called', async () => {
    const errand = await open();
    const command = await errand.submit({
      argv: printDigest('TOKEN'),
      env: { OTHER: 'x' },
      secrets: { TOKEN: 'secret:token' },
    });
    expect(command).toMatchObject({
      status: 'succeeded',
      stdout: digestOf(SECRET),
      envNames: ['OTHER'],
      secrets: { TOKEN: 'secret:token' },
      result: { redactions: 0 },
    });
    expect(JSON.stringify(command)).not.toContain(SECRET);
  });

  test('without any, the record says nothing of them', async () => {
    const errand = await openErrand();
    const command = await errand.submit(sh('echo plain', { secrets: {} }));
    expect(command.secrets).toBeUndefined();
    expect(command.result).not.toHaveProperty('redactions');
  });

  test('that are no text has their base 64, and neither form is in its output', async () => {
    const errand = await openErrand();
    const bytes = Buffer.from([0, 255, 254, 253, 1, 2, 3, 4, 5, 6]);
    await errand.request('PUT', '/v1/secrets/binary', { valueBase64: bytes.toString('base64') });
    const secrets = { B: 'secret:binary' };
    const command = await errand.submit(sh('echo "it is $B"; echo "$B" | base64 -d', { secrets }));
    expect(command).toMatchObject({ stdout: 'it is ***\n***', result: { redactions: 2, stdoutBytes: 13 } });
    expect(await errand.submit({ argv: printDigest('B'), secrets })).toMatchObject({
      stdout: digestOf(bytes.toString('base64')),
    });
  });

  test('masks both streams, what it echoes of its input, and counts; what is stored is what is counted', async () => {
    const errand = await openErrand();
    const value = 'said-in-its-input-too';
    await put(errand, 'token', value);
    saidOpenly(value);
    const command = await errand.submit(
      sh('cat; echo "out $TOKEN"; echo "err $TOKEN" >&2; printf %s "$TOKEN" | base64', {
        secrets: { TOKEN: 'secret:token' },
        stdin: `in ${value}\n`,
      }),
    );
    expect(command).toMatchObject({
      stdout: expect.stringMatching(/^in \*\*\*\nout \*\*\*\n\*\*\*=*\n$/),
      stderr: 'err ***\n',
      result: { redactions: 4, stdoutBytes: command.stdout.length, stderrBytes: 8, droppedBytes: 0 },
    });
    const raw = await errand.request('GET', `/v1/commands/${command.id}/output?stream=stdout`);
    expect(await raw.text()).toBe(command.stdout);
  });

  test('shows only masked bytes to who follows it live, a secret written in pieces too', async () => {
    const errand = await open();
    const { id } = await errand.submit(
      sh(
        'i=1; while [ $i -le 22 ]; do printf %s "$TOKEN" | cut -c$i | tr -d "\\n"; sleep 0.02; i=$((i+1)); done; echo; echo end',
        {
          secrets: { TOKEN: 'secret:token' },
        },
      ),
      {},
    );
    const live = await errand.request('GET', `/v1/commands/${id}/output`, undefined, { accept: 'text/event-stream' });
    const events = [...(await live.text()).matchAll(/^data: (.*)$/gm)].map(([, data = '{}']) => JSON.parse(data));
    const text = events.map(({ data }) => (typeof data === 'string' ? Buffer.from(data, 'base64').toString() : ''));
    expect(text.join('')).toBe('***\nend\n');
  });

  test('masks the shell’s own words of a program that is not there', async () => {
    const errand = await open();
    const command = await errand.submit(sh('"$TOKEN"', { secrets: { TOKEN: 'secret:token' } }));
    expect(command).toMatchObject({ status: 'failed', result: { exitCode: 127, redactions: 1 } });
    expect(command.stderr).toContain('***');
  });

  test('masks what is held back when it is stopped by its time-out', async () => {
    const errand = await open();
    const command = await errand.submit(
      sh('printf "%s hunter" "$TOKEN"; sleep 60', { secrets: { TOKEN: 'secret:token' }, timeoutSeconds: 1 }),
    );
    expect(command).toMatchObject({ status: 'timed_out', stdout: '*** hunter', result: { redactions: 1 } });
  });

  test.for<[string, object, string]>([
    ['that is not there', { secrets: { TOKEN: 'secret:nothing' } }, '/secrets/TOKEN'],
    ['for a variable that env has too', { secrets: { A: 'secret:token' }, env: { A: 'b' } }, '/secrets/A'],
    ['that is no reference', { secrets: { TOKEN: 'token' } }, '/secrets/TOKEN'],
    ['by its value', { secrets: { TOKEN: SECRET } }, '/secrets/TOKEN'],
    ['for no variable’s name', { secrets: { 'A B': 'secret:token' } }, '/secrets/A B'],
    ['for a variable of ours', { secrets: { ERRAND_X: 'secret:token' } }, '/secrets/ERRAND_X'],
    ['twice of 40 KiB', { secrets: { A: 'secret:large', B: 'secret:large' } }, '/secrets'],
  ])('is refused with one %s', async ([, fields, pointer]) => {
    const errand = await open();
    await put(errand, 'large', 'x'.repeat(40 * 1024));
    const response = await errand.request('POST', '/v1/commands', { argv: ['true'], ...fields });
    expect([response.status, (await problemOf(response)).errors?.[0]?.pointer]).toEqual([400, pointer]);
  });

  test.for<[RoleName, boolean]>([
    ['viewer', false],
    ['agent', false],
    ['operator', true],
    ['admin', true],
  ])('of a caller whose role is %s: %s', async ([role, allowed]) => {
    const deps = await testWorker();
    await deps.secrets.put(owner.tenant, 'token', { bytes: Buffer.from(SECRET), by: 'owner' });
    const actor = { ...owner, role, permissions: new Set(ROLES[role]) };
    const submit = (name: string) =>
      submitCommand(deps, actor, { body: { argv: ['true'], secrets: { A: `secret:${name}` } } }).catch(
        (error: AppError) => error,
      );
    if (allowed) expect(await submit('token')).toHaveProperty('command');
    // The same for one that is there and one that is not.
    else {
      const [there, absent] = [await submit('token'), await submit('nothing')];
      expect(there).toMatchObject({ code: 'forbidden' });
      expect((absent as AppError).message).toBe((there as AppError).message);
    }
  });

  test('whose secret was removed meanwhile fails, says why, and is never executed', async () => {
    const deps = await testWorker({ work: false });
    await deps.secrets.put(owner.tenant, 'token', { bytes: Buffer.from(SECRET), by: 'owner' });
    const body = { argv: ['/bin/sh', '-c', 'echo ran'], secrets: { TOKEN: 'secret:token' } };
    const { command } = await submitCommand(deps, owner, { body });
    await deps.secrets.remove(owner.tenant, 'token');
    const reference = referenceOf(owner.tenant, command.id);
    await advanceCommand(deps, reference);
    expect((await deps.commands.find(reference))?.command).toMatchObject({
      status: 'failed',
      result: {
        reason: 'provider-error',
        stdoutBytes: 0,
        detail: 'The secret token, for TOKEN, is not there any more. Nothing was executed.',
      },
    });
  });

  test('whose secret does not open fails, and is never executed', async () => {
    const errand = await open();
    const folder = join(errand.dataDirectory, 'secrets', 'default');
    for (const file of readdirSync(folder)) writeFileSync(join(folder, file), 'something else');
    const command = await errand.submit(sh('echo ran', { secrets: { TOKEN: 'secret:token' } }));
    expect(command).toMatchObject({ status: 'failed', stdout: '', result: { reason: 'provider-error' } });
    expect(command.result?.detail).toContain('cannot be opened');
    rmSync(folder, { recursive: true });
    const gone = await errand.submit(sh('echo ran', { secrets: { TOKEN: 'secret:token' } }));
    expect(gone).toMatchObject({ status: 'failed', stdout: '', result: { reason: 'provider-error' } });
  });

  test('waits, with nothing executed, while the vault is away', async () => {
    const directory = tempDirectory();
    let isAway = true;
    const vault: Vault = {
      ...testVault(directory),
      get: (place) => (isAway ? Promise.reject(new AppError('unavailable', 'away')) : testVault(directory).get(place)),
    };
    const deps = await testWorker({ directory, vault });
    await deps.secrets.put(owner.tenant, 'token', { bytes: Buffer.from(SECRET), by: 'owner' });
    const body = { argv: ['/bin/sh', '-c', 'echo "$TOKEN"'], secrets: { TOKEN: 'secret:token' } };
    const { command } = await submitCommand(deps, owner, { body });
    const now = async () => (await deps.commands.find(referenceOf(owner.tenant, command.id)))?.command;
    while (!(await now())?.attempts.some(({ status }) => status === 'expired')) await settle();
    expect(await now()).toMatchObject({ status: 'queued', attempts: [{ detail: expect.stringContaining('vault') }] });
    isAway = false;
    while (!(await now())?.result) await deps.clock.advance(1_000);
    expect(await now()).toMatchObject({ status: 'succeeded', result: { redactions: 1, stdoutBytes: 4 } });
  });

  test('is replayed with the present value, and may be given another secret instead', async () => {
    const errand = await open();
    const given = { argv: printDigest('TOKEN'), secrets: { TOKEN: 'secret:token' } };
    const { id } = await errand.submit(given);
    await put(errand, 'token', 'a-new-value');
    await put(errand, 'other', 'another-value');
    const replay = async (changes: object) =>
      (await errand.request('POST', `/v1/commands/${id}/replay`, changes, { prefer: 'wait=60' })).json();
    expect(await replay({})).toMatchObject({ stdout: digestOf('a-new-value') });
    const other = { secrets: { TOKEN: 'secret:other' } };
    expect(await replay(other)).toMatchObject({ stdout: digestOf('another-value'), secrets: other.secrets });
    expect(await replay({ env: { TOKEN: 'x' } })).toMatchObject({
      status: 400,
      errors: [{ pointer: '/secrets/TOKEN' }],
    });
    await errand.request('DELETE', '/v1/secrets/token');
    expect(await replay({})).toMatchObject({ status: 400, errors: [{ pointer: '/secrets/TOKEN' }] });
  });
});

describe('a command with secrets whose runner is elsewhere', () => {
  const RUNNER = 'a'.repeat(32);
  const openRemote = async (vaultOf: (vault: Vault) => Vault = (vault) => vault) => {
    const provider = scriptedProvider({ leavesBehind: false });
    const directory = tempDirectory();
    const deps = await testWorker({ provider, directory, vault: vaultOf(testVault(directory)) });
    await deps.secrets.put(owner.tenant, 'token', { bytes: Buffer.from(SECRET), by: 'owner' });
    const body = { argv: ['true'] as [string], env: { PLAIN: 'x' }, secrets: { TOKEN: 'secret:token' } };
    const { command } = await submitCommand(deps, owner, { body });
    while (provider.starts.length === 0) await settle();
    await settle();
    const gateway = makeGateway(deps);
    const redeem = async (runner = RUNNER) => {
      const reply = await gateway({
        method: 'POST',
        target: '/runner/v1/redeem',
        headers: { authorization: `Bearer ${provider.starts[0]?.token}`, 'content-type': 'application/json' },
        body: (async function* () {
          yield Buffer.from(JSON.stringify({ runner, can: ['secrets'] }));
        })(),
        sourceIp: '',
      });
      return { status: reply.statusCode, body: JSON.parse(String(reply.body)) };
    };
    const now = async () => (await deps.commands.find(referenceOf(owner.tenant, command.id)))?.command;
    return { deps, provider, redeem, now };
  };

  test('nothing of them is told to the provider; the one that redeems the ticket gets them, no other', async () => {
    const { provider, redeem, now } = await openRemote();
    expect(JSON.stringify(provider.starts)).not.toContain(SECRET);
    expect(await redeem()).toMatchObject({
      status: 200,
      body: { env: { PLAIN: 'x' }, secrets: { TOKEN: base64(SECRET) } },
    });
    expect(await redeem()).toMatchObject({ status: 200, body: { secrets: { TOKEN: base64(SECRET) } } });
    const other = await redeem('b'.repeat(32));
    expect(other.status).toBe(409);
    expect(JSON.stringify(other.body)).not.toContain(base64(SECRET));
    expect(JSON.stringify(await now())).not.toMatch(new RegExp(`${SECRET}|${base64(SECRET)}`));
  });

  test('one that was removed meanwhile: nothing may be executed, and the command fails and says why', async () => {
    const { deps, redeem, now } = await openRemote();
    await deps.secrets.remove(owner.tenant, 'token');
    expect((await redeem()).status).toBe(409);
    expect(await now()).toMatchObject({
      status: 'failed',
      result: { reason: 'provider-error', detail: expect.stringContaining('is not there any more') },
    });
  });

  test('one that was removed after another runner redeemed: the other’s run goes on', async () => {
    const { deps, redeem, now } = await openRemote();
    await redeem();
    await deps.secrets.remove(owner.tenant, 'token');
    expect((await redeem('b'.repeat(32))).status).toBe(409);
    expect(await now()).toMatchObject({ status: 'running' });
  });

  test('a vault that is away leaves the ticket to be asked for again', async () => {
    let isAway = true;
    const { redeem, now } = await openRemote((vault) => ({
      ...vault,
      get: (place) => (isAway ? Promise.reject(new AppError('unavailable', 'away')) : vault.get(place)),
    }));
    expect((await redeem()).status).toBe(503);
    expect(await now()).toMatchObject({ status: 'starting' });
    isAway = false;
    expect(await redeem()).toMatchObject({ status: 200, body: { secrets: { TOKEN: base64(SECRET) } } });
  });
});
