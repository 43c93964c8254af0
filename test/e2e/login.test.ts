import { readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cli, startCli } from '../support/cli.ts';
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

test('errand profile adds, lists and removes servers', async () => {
  const { errand, server } = await openSite();
  expect((await errand('profile', 'add', 'here', '--url', server)).exit).toBe(0);
  expect((await errand('profile', 'add', 'x')).exit).toBe(2);
  expect((await errand('profile', 'list')).stdout).toContain(server);
  expect((await errand('profile', 'remove', 'here')).exit).toBe(0);
  expect((await errand('whoami', '--profile', 'here')).stderr).toContain('There is no profile here');
});
