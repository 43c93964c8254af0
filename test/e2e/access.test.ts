import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { cli, startServer } from '../support/cli.ts';
import { isThere } from '../support/containers/daemons.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** Another data folder with a copy of the file. */
const tempDirectoryWith = (file: string): string => {
  const directory = tempDirectory();
  copyFileSync(file, join(directory, basename(file)));
  return directory;
};

const isLinux = process.platform === 'linux';
const isRoot = process.getuid?.() === 0;

/** The status of a submission, sent by a process of another user. */
const submitAs = async (uid: number, url: string, headers: Record<string, string> = {}): Promise<number> => {
  const body = JSON.stringify({ argv: ['true'] });
  const script = `fetch(${JSON.stringify(`${url}/v1/commands`)}, { method: 'POST', body: ${JSON.stringify(body)},
    headers: ${JSON.stringify({ 'content-type': 'application/json', ...headers })} }).then((r) => console.log(r.status))`;
  const options = { uid, cwd: '/', argv0: 'node', env: {} };
  return Number((await promisify(execFile)('/proc/self/exe', ['-e', script], options)).stdout);
};

const submit = (url: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}/v1/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ argv: ['true'] }),
  });

describe('the embedded server', () => {
  test.skipIf(!isLinux)('takes the user that it runs as for its owner, without a key', async () => {
    const { url } = await startServer(tempDirectory());
    expect((await submit(url)).status).toBe(202);
    expect(await (await fetch(`${url}/v1/whoami`)).json()).toMatchObject({ id: 'owner', tenant: 'default' });
  });

  test.skipIf(!isLinux || !isRoot)('takes another user of this machine for nobody, unless it has a key', async () => {
    const dataDirectory = tempDirectory();
    const { url } = await startServer(dataDirectory);
    expect(await submitAs(65_534, url)).toBe(401);
    const key = readFileSync(join(dataDirectory, 'owner.key'), 'utf8').trim();
    expect(await submitAs(65_534, url, { authorization: `Bearer ${key}` })).toBe(202);
  });

  test.for(['x-forwarded-for', 'forwarded', 'via', 'x-forwarded-proto'])(
    'takes nobody for its owner who comes by a proxy (%s)',
    async (header) => {
      const { url } = await startServer(tempDirectory());
      expect((await submit(url, { [header]: '192.0.2.1' })).status).toBe(401);
    },
  );

  test('does not fall back to its owner when the key that is shown is not good', async () => {
    const { url } = await startServer(tempDirectory());
    for (const authorization of ['Bearer nonsense', 'Bearer ', '', 'Basic b3duZXI6']) {
      expect([authorization, (await submit(url, { authorization })).status]).toEqual([authorization, 401]);
    }
  });

  test('takes no token of an issuer whose keys it cannot get, and does not start with one that it cannot trust', async () => {
    const dataDirectory = tempDirectory();
    const file = join(dataDirectory, 'access.json');
    const issuer = { issuer: 'https://login.invalid/', audience: 'errand', tenant: 'default' };
    writeFileSync(file, JSON.stringify({ issuers: [issuer] }));
    const { url } = await startServer(dataDirectory);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: issuer.issuer, aud: 'errand', sub: 'ada', iat: 1, exp: 9_999_999_999 };
    const token = `${part({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })}.${part(claims)}.${part({})}`;
    expect((await submit(url, { authorization: `Bearer ${token}` })).status).toBe(401);
    writeFileSync(file, JSON.stringify({ issuers: [{ ...issuer, issuer: 'http://login.invalid/' }] }));
    const refused = await cli(['run', '--', 'true'], { dataDirectory, env: { ERRAND_DATA: tempDirectoryWith(file) } });
    expect(refused).toMatchObject({ exit: 125, stderr: expect.stringContaining('/issuers/0/issuer') });
  });

  test('its owner’s key is in no log, and no command sees it', async () => {
    const dataDirectory = tempDirectory();
    const { url } = await startServer(dataDirectory);
    const key = readFileSync(join(dataDirectory, 'owner.key'), 'utf8').trim();
    const client = makeClient({ url, apiKey: key });
    const { stdout } = await client.submit({ argv: ['env'] }, { waitSeconds: 60 });
    expect(stdout).toContain('PATH=');
    expect(stdout).not.toContain(key);
  });

  test('the command line uses it by itself', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const ran = await cli(['run', '--', 'echo', 'hello'], { dataDirectory });
    expect([ran.exit, ran.stdout]).toEqual([0, 'hello\n']);
  });

  test('a key that was made is good in another process at once, and not any more once it was revoked', async () => {
    const dataDirectory = tempDirectory();
    const { url } = await startServer(dataDirectory);
    const made = await fetch(`${url}/v1/api-keys`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'ci', permissions: ['commands:submit', 'commands:read'] }),
    });
    const { id, key } = (await made.json()) as { id: string; key: string };
    const authorization = `Bearer ${key}`;
    expect((await submit(url, { authorization })).status).toBe(202);
    expect((await fetch(`${url}/v1/api-keys`, { headers: { authorization } })).status).toBe(403);
    await fetch(`${url}/v1/api-keys/${id}`, { method: 'DELETE' });
    expect((await submit(url, { authorization })).status).toBe(401);
  });
});

describe('errand key', () => {
  test('makes, lists, rotates and revokes keys, without a server or with one', async () => {
    const dataDirectory = tempDirectory();
    const errand = (...args: string[]) => cli(args, { dataDirectory });
    const made = await errand('key', 'create', 'ci', '--permission', 'commands:read', '--label', 'team=web');
    expect(made.exit).toBe(0);
    expect(made.stdout).toMatch(/^errand_default_[0-9a-f]{16}_[0-9a-f]{72}\n$/);
    expect(made.stderr).toContain('never again');
    const { url } = await startServer(dataDirectory);
    const as = (key: string) => makeClient({ url, apiKey: key }).whoami();
    const first = made.stdout.trim();
    expect(await as(first)).toMatchObject({
      id: 'owner',
      permissions: ['commands:read'],
      scope: { labels: { team: 'web' } },
    });
    const id = first.split('_')[2] ?? '';
    const second = (await errand('key', 'rotate', id, '--overlap', '0')).stdout.trim();
    await expect(as(first)).rejects.toMatchObject({ status: 401 });
    expect(await as(second)).toMatchObject({ permissions: ['commands:read'] });
    expect((await errand('key', 'revoke', second.split('_')[2] ?? '')).exit).toBe(0);
    await expect(as(second)).rejects.toMatchObject({ status: 401 });
    const { stdout } = await errand('key', 'list');
    expect(stdout).toContain('expired');
    expect(stdout).toContain('revoked');
    expect(stdout).not.toContain(first.slice(-72));
  });

  test('says what is wrong in one line', async () => {
    const ran = await cli(['key', 'create', 'ci', '--permission', 'everything'], { dataDirectory: tempDirectory() });
    expect([ran.exit, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).toMatch(/\/permissions\/0/);
  });
});

const openssl = isThere('openssl');

describe.skipIf(!openssl)(`the server beyond loopback${openssl ? '' : ' (needs openssl)'}`, () => {
  const makeCertificate = (): { readonly cert: string; readonly key: string } => {
    const folder = tempDirectory();
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const subject = ['-subj', '/CN=errand.test', '-addext', 'subjectAltName=DNS:errand.test'];
    const files = ['-keyout', key, '-out', cert];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject, ...files],
      { stdio: 'pipe' },
    );
    return { cert, key };
  };

  /** A GET by TLS, with the name that the certificate is for. */
  const ask = (port: string, ca: string, headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path: '/v1/whoami', servername: 'errand.test', headers, agent: false };
      get({ ...options, ca: readFileSync(ca) }, (response) => resolve(response.resume().statusCode)).once(
        'error',
        reject,
      );
    });

  test('speaks TLS, knows its names, and wants a key', async () => {
    const { cert, key } = makeCertificate();
    const dataDirectory = tempDirectory();
    const how = ['--host', '0.0.0.0', '--tls-cert', cert, '--tls-key', key, '--public-host', 'errand.test'];
    const { url } = await startServer(dataDirectory, how);
    const { port, protocol } = new URL(url);
    expect(protocol).toBe('https:');
    const owner = readFileSync(join(dataDirectory, 'owner.key'), 'utf8').trim();
    const authorization = `Bearer ${owner}`;
    expect(await ask(port, cert, { host: 'errand.test', authorization })).toBe(200);
    expect(await ask(port, cert, { host: 'errand.test', authorization: 'Bearer nonsense' })).toBe(401);
    expect(await ask(port, cert, { host: 'other.test', authorization })).toBe(403);
    expect(await ask(port, cert, { host: 'errand.test', origin: 'https://other.test', authorization })).toBe(403);
    // Who is on the machine needs neither a name nor a certificate.
    expect(await cli(['run', '--', 'echo', 'hello'], { dataDirectory })).toMatchObject({ exit: 0, stdout: 'hello\n' });
  });

  test('with a proxy named, knows nobody by their user', async () => {
    const how = ['--trusted-proxy', '127.0.0.1', '--public-host', 'errand.test'];
    const { url } = await startServer(tempDirectory(), how);
    expect((await submit(url)).status).toBe(401);
  });
});
