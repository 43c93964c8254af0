import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { tokenSource } from '../../../clients/cli/login.ts';
import { type Tokens, withTokensLocked } from '../../../clients/cli/profiles.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { listenLocally } from '../../support/listen-locally.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const LIFE_SECONDS = 900;

/** A server that renews a token once, credentials that it gave, and any number of processes that use them. */
const openSite = async (lifeSeconds = LIFE_SECONDS) => {
  const clock = fakeClock();
  const seen: string[] = [];
  const server = createServer(async (request, response) => {
    const { refreshToken } = JSON.parse(await text(request)) as { refreshToken: string };
    seen.push(refreshToken);
    const isGood = refreshToken === `refresh-${seen.length - 1}`;
    const problem = { type: 'about:blank', title: 'Not authenticated', status: 401, code: 'unauthenticated' };
    const next = {
      ...{ id: 'one', accessToken: `access-${seen.length}`, refreshToken: `refresh-${seen.length}` },
      expiresInSeconds: lifeSeconds,
    };
    response.writeHead(isGood ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isGood ? next : problem));
  });
  const { url, close } = await listenLocally(server);
  onTestFinished(close);
  const folder = tempDirectory();
  const env = { ERRAND_CONFIG: join(folder, 'config.json') };
  const keep = (name: string, tokens: Tokens) => withTokensLocked(env, (save) => save(name, tokens));
  const expiresAt = clock.now() + LIFE_SECONDS * 1_000;
  await keep('ci', { id: 'one', accessToken: 'access-0', refreshToken: 'refresh-0', expiresAt });
  const source = () => tokenSource('ci', { url, login: { with: 'api-key' } }, env, clock.now);
  const kept = () => JSON.parse(readFileSync(join(folder, 'credentials.json'), 'utf8')) as Record<string, Tokens>;
  return { clock, seen, source, keep, kept };
};

describe('the token of a login', () => {
  test('is used until half a minute before its end, and then renewed, for as long as the process goes on', async () => {
    const { clock, seen, source } = await openSite();
    const token = source();
    await clock.advance(LIFE_SECONDS * 1_000 - 30_001);
    expect(await token()).toBe('access-0');
    expect(seen).toEqual([]);
    await clock.advance(1);
    expect(await token()).toBe('access-1');
    await clock.advance(LIFE_SECONDS * 1_000);
    expect(await token()).toBe('access-2');
    expect(seen).toEqual(['refresh-0', 'refresh-1']);
  });

  test('is renewed once, however many processes and requests want it at once', async () => {
    const { clock, seen, source, kept } = await openSite();
    await clock.advance(LIFE_SECONDS * 1_000);
    const tokens = Array.from({ length: 5 }, source).flatMap((token) => [token(), token()]);
    expect(new Set(await Promise.all(tokens))).toEqual(new Set(['access-1']));
    expect(seen).toEqual(['refresh-0']);
    expect(kept()['ci']).toMatchObject({ accessToken: 'access-1', refreshToken: 'refresh-1' });
  });

  test('that lives shorter than that is used for half of its life, and not renewed with each request', async () => {
    const { clock, seen, source } = await openSite(20);
    await clock.advance(LIFE_SECONDS * 1_000);
    const token = source();
    await token();
    await clock.advance(9_999);
    expect(await token()).toBe('access-1');
    await clock.advance(1);
    expect(await token()).toBe('access-2');
    expect(seen).toHaveLength(2);
  });

  test('of one profile is not lost when another’s is stored meanwhile', async () => {
    const { clock, source, keep, kept } = await openSite();
    await clock.advance(LIFE_SECONDS * 1_000);
    await Promise.all([
      source()(),
      ...Array.from({ length: 5 }, (_, i) => keep(`other-${i}`, { accessToken: String(i) })),
    ]);
    expect(Object.keys(kept()).toSorted()).toEqual(['ci', 'other-0', 'other-1', 'other-2', 'other-3', 'other-4']);
    expect(kept()['ci']).toMatchObject({ refreshToken: 'refresh-1' });
  });

  test('that cannot be renewed any more says how to log in', async () => {
    const { clock, source, keep } = await openSite();
    await keep('ci', { id: 'one', accessToken: 'a', refreshToken: 'gone', expiresAt: clock.now() });
    await expect(source()()).rejects.toThrow(/has ended: errand login --profile ci --api-key-stdin$/);
  });
});
