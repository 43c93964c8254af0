import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type * as z from 'zod';
import type { EventPage } from '../../shared/contract/event-schemas.ts';
import type { NewWebhookView, WebhookView } from '../../shared/contract/webhook-schemas.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { type Errand, openErrand, problemOf } from '../support/errand.ts';

type New = z.output<typeof NewWebhookView>;
type View = z.output<typeof WebhookView>;

const WEBHOOK = { url: 'https://hooks.example.com/in?token=url-token-4711', events: ['command.*'] };
const post = (errand: Errand, body: unknown): Promise<Response> => errand.request('POST', '/v1/webhooks', body);
const make = async (errand: Errand, over: object = {}): Promise<New> => {
  const response = await post(errand, { ...WEBHOOK, ...over });
  expect(response.status).toBe(201);
  return (await response.json()) as New;
};
const read = async <T = View>(errand: Errand, path: string): Promise<T> =>
  (await (await errand.request('GET', `/v1/webhooks${path}`)).json()) as T;

describe('POST /v1/webhooks', () => {
  test('answers with the webhook, where it is, and its secret, which no other answer has', async () => {
    const errand = await openErrand();
    const response = await post(errand, { ...WEBHOOK, labels: { team: 'a' }, description: 'to the team' });
    const { secret, ...made } = (await response.json()) as New;
    expect([response.status, response.headers.get('location')]).toEqual([201, `/v1/webhooks/${made.id}`]);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(made).toMatchObject({
      ...{ ...WEBHOOK, labels: { team: 'a' }, description: 'to the team', enabled: true, disabled: null, version: 1 },
      ...{ member: 'owner', waiting: 0, nextTryAt: null, failingSince: null, deliveredAt: null },
      secrets: [{ until: null }],
    });
    expect(await read(errand, `/${made.id}`)).toEqual(made);
    expect(await read(errand, '')).toEqual({ items: [made] });
  });

  test.for<[what: string, body: object, pointer: string]>([
    ['no URL', { url: undefined }, '/url'],
    ['what is no URL', { url: 'hooks.example.com' }, '/url'],
    ['http', { url: 'http://hooks.example.com/' }, '/url'],
    ['http to this machine', { url: 'http://127.0.0.1:8000/' }, '/url'],
    ['another scheme', { url: 'file:///etc/passwd' }, '/url'],
    ['a password', { url: 'https://user:word@hooks.example.com/' }, '/url'],
    ['another port', { url: 'https://hooks.example.com:6379/' }, '/url'],
    ['metadata of a cloud', { url: 'https://169.254.169.254/latest' }, '/url'],
    ['metadata, spelled otherwise', { url: 'https://0xa9fea9fe/' }, '/url'],
    ['this machine', { url: 'https://[::1]/' }, '/url'],
    ['a private network', { url: 'https://10.0.0.1/' }, '/url'],
    ['a URL that is too long', { url: `https://hooks.example.com/${'x'.repeat(LIMITS.webhookUrlCharacters)}` }, '/url'],
    ['no events', { events: [] }, '/events'],
    ['events that there are none of', { events: ['command.*', 'commands.*'] }, '/events/1'],
    ['too many patterns', { events: Array(LIMITS.webhookEvents + 1).fill('*') }, '/events'],
    ['a label that is none', { labels: { 'a b': 'c' } }, '/labels/a b'],
    ['a secret of its own', { secret: 'whsec_AAAA' }, '/secret'],
  ])('refuses %s, says where, and makes none', async ([, over, pointer]) => {
    const errand = await openErrand();
    const response = await post(errand, { ...WEBHOOK, ...over });
    expect(response.status).toBe(400);
    expect((await problemOf(response)).errors).toMatchObject([{ in: 'body', pointer }]);
    expect(await read(errand, '')).toEqual({ items: [] });
  });

  test(`makes ${LIMITS.webhooks} at the most`, async () => {
    const errand = await openErrand();
    for (let i = 0; i < LIMITS.webhooks; i++) await make(errand);
    const response = await post(errand, WEBHOOK);
    expect([response.status, (await problemOf(response)).code]).toEqual([409, 'conflict']);
    const first = await read<{ items: View[]; nextCursor: string }>(errand, '?limit=15');
    const second = await read<{ items: View[] }>(errand, `?limit=15&cursor=${first.nextCursor}`);
    expect(new Set([...first.items, ...second.items].map(({ id }) => id)).size).toBe(LIMITS.webhooks);
  });

  test('refuses events by name to who may not read them, and tells it none by a pattern', async () => {
    const errand = await openErrand();
    const permissions = ['webhooks:manage', 'webhooks:read', 'events:read'];
    await errand.request('PUT', '/v1/roles/teller', { permissions });
    const { id } = await jsonOf<{ id: string }>(errand, '/v1/members', { name: 'm', role: 'teller' });
    const { key } = await jsonOf<{ key: string }>(errand, '/v1/api-keys', { name: 'k', member: id });
    const authorization = { authorization: `Bearer ${key}` };
    for (const events of [['key.created'], ['security.*'], ['command.*', 'secret.changed']]) {
      const refused = await errand.request('POST', '/v1/webhooks', { ...WEBHOOK, events }, authorization);
      expect([events, refused.status]).toEqual([events, 403]);
    }
    const made = await errand.request('POST', '/v1/webhooks', { ...WEBHOOK, events: ['*'] }, authorization);
    expect(made.status).toBe(201);
  });
});

const jsonOf = async <T>(errand: Errand, path: string, body: unknown): Promise<T> =>
  (await (await errand.request('POST', path, body)).json()) as T;

describe('PATCH /v1/webhooks/{id}', () => {
  test('changes what is given and nothing else, on the version that it is told', async () => {
    const errand = await openErrand();
    const { id } = await make(errand, { labels: { team: 'a' } });
    const patch = (body: unknown) => errand.request('PATCH', `/v1/webhooks/${id}`, body);
    const changed = (await (await patch({ url: 'https://HOOKS.example.com:443/two', onVersion: 1 })).json()) as View;
    expect(changed).toMatchObject({ url: 'https://hooks.example.com/two', labels: { team: 'a' }, version: 2 });
    const stale = await patch({ description: 'n', onVersion: 1 });
    expect([stale.status, (await problemOf(stale)).errors]).toEqual([
      409,
      [expect.objectContaining({ pointer: '/onVersion' })],
    ]);
    expect(await (await patch({ enabled: false })).json()).toMatchObject({
      enabled: false,
      disabled: null,
      version: 3,
    });
    expect((await patch({ missed: 'send' })).status).toBe(400);
    expect(await (await patch({ enabled: true })).json()).toMatchObject({ enabled: true, version: 4 });
    expect((await patch({ url: 'https://10.0.0.1/' })).status).toBe(400);
    expect((await patch({ events: ['nothing.*'] })).status).toBe(400);
    expect(await read(errand, `/${id}`)).toMatchObject({ url: 'https://hooks.example.com/two', version: 4 });
  });
});

test('one that was removed is not there any more, nor are its secrets', async () => {
  const errand = await openErrand();
  const { id } = await make(errand);
  const files = () => readdirSync(join(errand.dataDirectory, 'secrets', 'default'));
  expect(files()).toHaveLength(1);
  expect((await errand.request('DELETE', `/v1/webhooks/${id}`)).status).toBe(204);
  expect(files()).toEqual([]);
  for (const [method, more] of [
    ['GET', ''],
    ['DELETE', ''],
    ['GET', '/deliveries'],
    ['POST', '/test'],
    ['POST', '/rotate'],
  ] as const) {
    expect((await errand.request(method, `/v1/webhooks/${id}${more}`)).status).toBe(404);
  }
});

test('deliveries take no cursor that is none of theirs, and no status that there is none of', async () => {
  const errand = await openErrand();
  const { id } = await make(errand);
  const cursor = Buffer.from('v2:default:x').toString('base64url');
  for (const query of ['?cursor=x', `?cursor=${cursor}`, '?status=lost', '?limit=0']) {
    expect([query, (await errand.request('GET', `/v1/webhooks/${id}/deliveries${query}`)).status]).toEqual([
      query,
      400,
    ]);
  }
});

test('what is done with it is in the log; its secret is nowhere but in the answer, and its URL’s in no event', async () => {
  const errand = await openErrand();
  const { id, secret } = await make(errand);
  const rotated = (await (await errand.request('POST', `/v1/webhooks/${id}/rotate`)).json()) as New;
  await errand.request('PATCH', `/v1/webhooks/${id}`, { enabled: false });
  await errand.request('POST', `/v1/webhooks/${id}/test`);
  await errand.request('DELETE', `/v1/webhooks/${id}`);
  const { items } = (await (await errand.request('GET', '/v1/events')).json()) as z.output<typeof EventPage>;
  expect(items.map(({ type }) => type)).toEqual([
    ...['webhook.created', 'webhook.rotated', 'webhook.changed', 'webhook.tested', 'webhook.removed'],
  ]);
  const audit = await (await errand.request('GET', '/v1/audit')).text();
  expect(JSON.stringify(items) + audit).not.toMatch(/whsec_|url-token-4711/);
  for (const text of [secret, rotated.secret]) {
    const bytes = Buffer.from(text.slice('whsec_'.length), 'base64');
    for (const file of filesBelow(errand.dataDirectory)) {
      const held = readFileSync(file);
      for (const form of [bytes, bytes.toString('base64').slice(0, -2), bytes.toString('hex')]) {
        expect([file, held.includes(form)]).toEqual([file, false]);
      }
    }
  }
});

const filesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
