import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Tokens } from '../../clients/cli/profiles.ts';
import { makeClient } from '../../clients/sdk/client.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { listenLocally } from '../support/listen-locally.ts';
import { tempDirectory } from '../support/temp-directory.ts';

type Handle = (request: IncomingMessage, body: URLSearchParams) => Promise<object> | object;

const listen = async (handle: Handle): Promise<string> => {
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const { status = 200, ...answer } = (await handle(request, new URLSearchParams(await text(request)))) as {
      status?: number;
    };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  const { url, close } = await listenLocally(server);
  onTestFinished(close);
  return url;
};

/** An issuer that speaks what the CLI needs of it (RFC 8414, 8628, 6749, 7009), and a server that takes its latest token. */
const openSite = async () => {
  const site = {
    approved: false,
    expiresIn: 3_600,
    tokens: 0,
    refreshable: true,
    revoked: [] as string[],
    seen: [] as string[],
  };
  const refreshToken = () => `refresh-${site.tokens}`;
  const grant = () => {
    site.tokens++;
    return {
      access_token: `access-${site.tokens}`,
      refresh_token: refreshToken(),
      token_type: 'bearer',
      expires_in: site.expiresIn,
    };
  };
  const refused = (error: string) => ({ status: 400, error });
  let issuer = '';
  issuer = await listen(({ url }, body) => {
    if (url === '/.well-known/openid-configuration') {
      const at = (path: string) => ({ [`${path}_endpoint`]: `${issuer}/${path}` });
      return { issuer, ...at('device_authorization'), ...at('token'), ...at('revocation') };
    }
    if (url === '/device_authorization') {
      site.seen.push(body.toString());
      return {
        device_code: 'device',
        user_code: 'WDJB-MJHT',
        verification_uri: `${issuer}/device`,
        expires_in: 600,
        interval: 1,
      };
    }
    if (url === '/revocation') {
      site.revoked.push(body.get('token') ?? '');
      return {};
    }
    if (body.get('grant_type') === 'refresh_token') {
      const isGood = site.refreshable && body.get('refresh_token') === refreshToken();
      return isGood ? grant() : refused('invalid_grant');
    }
    return site.approved ? grant() : refused('authorization_pending');
  });
  const server = await listen(({ headers }) =>
    headers.authorization === `Bearer access-${site.tokens}`
      ? {
          id: 'mem_1',
          tenant: 'acme',
          role: 'operator',
          permissions: [],
          scope: {},
          credential: { kind: 'access-token', id: null },
        }
      : { status: 401, type: 'about:blank', title: 'Not authenticated', code: 'unauthenticated' },
  );
  const dataDirectory = tempDirectory();
  const env = { ERRAND_CONFIG: join(dataDirectory, 'config', 'config.json') };
  const errand = (...args: string[]) => cli(args, { dataDirectory, env });
  const login = async () => {
    const started = startCli(
      ['login', '--profile', 'work', '--url', server, '--issuer', issuer, '--client-id', 'cli', '--audience', 'errand'],
      { dataDirectory, env },
    );
    await started.says('WDJB-MJHT');
    site.approved = true;
    return { exit: await started.exit, stderr: started.stderr() };
  };
  return { site, issuer, server, errand, login, folder: join(dataDirectory, 'config') };
};

describe('errand login', () => {
  test('shows a code, waits for the person, and every command with the profile is that person’s', async () => {
    const { site, errand, login, issuer, folder } = await openSite();
    const done = await login();
    expect(done.exit).toBe(0);
    expect(done.stderr).toContain(`open ${issuer}/device and enter WDJB-MJHT`);
    expect(site.seen[0]).toContain('audience=errand');
    expect((await errand('whoami', '--profile', 'work')).stdout).toContain('mem_1 of acme');
    expect((await errand('profile', 'list')).stdout).toMatch(new RegExp(`work .* login at ${issuer}`));
    // Tokens are for their user alone, and not among what one shows others.
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).not.toMatch(/access-|refresh-/);
    for (const file of ['config.json', 'credentials.json']) expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
  });

  test('a token that is about to end is renewed, and the new refresh token kept', async () => {
    const { site, errand, login } = await openSite();
    site.expiresIn = 10;
    await login();
    expect(site.tokens).toBe(1);
    for (const tokens of [2, 3]) {
      expect((await errand('whoami', '--profile', 'work')).stdout).toContain('mem_1');
      expect(site.tokens).toBe(tokens);
    }
  });

  test('a login that has ended says what to do, with no token in the words', async () => {
    const { site, errand, login } = await openSite();
    site.expiresIn = 10;
    await login();
    site.refreshable = false;
    const refused = await errand('whoami', '--profile', 'work');
    expect(refused.exit).toBe(125);
    expect(refused.stderr).toContain('errand login --profile work');
    expect(refused.stderr).not.toMatch(/access-|refresh-/);
  });

  test('a logout tells the issuer, and nothing of the login is left', async () => {
    const { site, errand, login, folder } = await openSite();
    await login();
    expect((await errand('logout', '--profile', 'work')).exit).toBe(0);
    expect(site.revoked).toEqual(['refresh-1']);
    expect(readFileSync(join(folder, 'credentials.json'), 'utf8')).not.toMatch(/access-|refresh-/);
    expect((await errand('whoami', '--profile', 'work')).stderr).toContain('not logged in');
  });

  test('without an issuer, a server or an answer says what is missing', async () => {
    const { errand, server } = await openSite();
    expect(await errand('login')).toMatchObject({ exit: 2, stderr: expect.stringContaining('--issuer') });
    const refused = await errand('login', '--url', server, '--issuer', `${server}/none`, '--client-id', 'cli');
    expect(refused.exit).toBe(125);
    expect(refused.stderr).toContain('did not succeed');
  });
});

describe('errand login --api-key-stdin', () => {
  /** A server, a key of its owner's, and a login by it. */
  const openLogin = async () => {
    const { url } = await startServer();
    const body = JSON.stringify({ name: 'ci' });
    const headers = { 'content-type': 'application/json' };
    const made = await fetch(`${url}/v1/api-keys`, { method: 'POST', headers, body });
    const { id, key } = (await made.json()) as { id: string; key: string };
    const dataDirectory = tempDirectory();
    const folder = join(dataDirectory, 'config');
    const file = join(folder, 'credentials.json');
    const env = { ERRAND_CONFIG: join(folder, 'config.json'), ERRAND_PROFILE: 'ci' };
    const errand = (...args: string[]) => cli(args, { dataDirectory, env });
    const login = (...args: string[]) =>
      cli(['login', '--url', url, '--api-key-stdin', ...args], { dataDirectory, env, input: `${key}\n` });
    const kept = () => (JSON.parse(readFileSync(file, 'utf8')) as { ci: Tokens }).ci;
    /** As if a quarter of an hour had gone by. */
    const age = () => writeFileSync(file, JSON.stringify({ ci: { ...kept(), expiresAt: 0 } }));
    const whoIs = (apiKey: string) => makeClient({ url, apiKey }).whoami();
    return { url, id, key, folder, file, errand, login, kept, age, whoIs };
  };

  test('keeps what the key was traded for, and the key nowhere; a logout revokes it', async () => {
    const { key, folder, errand, login, kept, whoIs } = await openLogin();
    expect(await login()).toMatchObject({ exit: 0, stderr: expect.stringContaining('--profile ci') });
    expect((await errand('whoami')).stdout).toContain('owner of default');
    expect((await errand('profile', 'list')).stdout).toMatch(/ci .* session token\n/);
    for (const name of ['config.json', 'credentials.json']) {
      expect(readFileSync(join(folder, name), 'utf8')).not.toContain(key.slice(-72));
      expect(statSync(join(folder, name)).mode & 0o077).toBe(0);
    }
    expect(readdirSync(folder).toSorted()).toEqual(['config.json', 'credentials.json']);
    const { accessToken } = kept();
    expect(await whoIs(accessToken)).toMatchObject({ credential: { kind: 'session-token' } });
    expect((await errand('logout')).exit).toBe(0);
    await expect(whoIs(accessToken)).rejects.toMatchObject({ status: 401 });
    const after = await errand('whoami');
    expect([after.exit, after.stderr]).toEqual([
      125,
      expect.stringContaining('errand login --profile ci --api-key-stdin'),
    ]);
  });

  test('makes no keys unless that was asked for', async () => {
    const { errand, login } = await openLogin();
    await login();
    const refused = await errand('key', 'create', 'more');
    expect([refused.exit, refused.stderr]).toEqual([125, expect.stringContaining('only if it was asked for')]);
    await login('--full');
    expect((await errand('key', 'create', 'more')).exit).toBe(0);
    await login('--permission', 'usage:read');
    expect((await errand('whoami')).stdout).toContain('owner: usage:read\n');
  });

  test('renews by itself, by many processes at once too, and a logout after that holds', async () => {
    const { errand, login, kept, age, whoIs } = await openLogin();
    await login();
    const first = kept();
    age();
    const all = await Promise.all(Array.from({ length: 4 }, () => errand('whoami')));
    expect(all.map(({ exit, stderr }) => [exit, stderr])).toEqual(Array.from({ length: 4 }, () => [0, '']));
    const second = kept();
    expect([second.id, second.refreshToken === first.refreshToken]).toEqual([first.id, false]);
    await whoIs(second.accessToken);
    age();
    expect((await errand('logout')).exit).toBe(0);
    await expect(whoIs(second.accessToken)).rejects.toMatchObject({ status: 401 });
  });

  test('a copy of the credentials that somebody else uses ends the login, and says so without a token', async () => {
    const { file, errand, login, kept, age, whoIs } = await openLogin();
    await login();
    age();
    const copied = readFileSync(file);
    for (const _ of [1, 2]) {
      await errand('whoami');
      age();
    }
    const { accessToken } = kept();
    await whoIs(accessToken);
    writeFileSync(file, copied);
    const refused = await errand('whoami');
    expect([refused.exit, refused.stderr]).toEqual([
      125,
      expect.stringContaining('has ended: errand login --profile ci'),
    ]);
    expect(refused.stderr).not.toMatch(/errand_(session|refresh)/);
    await expect(whoIs(accessToken)).rejects.toMatchObject({ status: 401 });
  });

  test('with a key that is not good, or none, nothing is kept', async () => {
    const { url, id, folder, errand, login } = await openLogin();
    expect(await errand('login', '--url', url, '--api-key-stdin')).toMatchObject({ exit: 2 });
    await fetch(`${url}/v1/api-keys/${id}`, { method: 'DELETE' });
    expect(await login()).toMatchObject({ exit: 125, stderr: expect.stringContaining('not good') });
    expect(existsSync(folder)).toBe(false);
  });
});

test('errand profile adds, lists and removes servers', async () => {
  const { errand, server } = await openSite();
  expect((await errand('profile', 'add', 'here', '--url', server)).exit).toBe(0);
  expect((await errand('profile', 'add', 'x')).exit).toBe(2);
  expect((await errand('profile', 'list')).stdout).toContain(server);
  expect((await errand('profile', 'remove', 'here')).exit).toBe(0);
  expect((await errand('whoami', '--profile', 'here')).stderr).toContain('There is no profile here');
});
