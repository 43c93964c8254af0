import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import type { ErrandEvent, EventsOptions } from '../../clients/sdk/event-log.ts';
import { type Message, readMessages } from '../../clients/sdk/events.ts';
import type { EventPage } from '../../shared/contract/event-schemas.ts';
import { type Errand, openErrand, problemOf } from '../support/errand.ts';

/** The key of a new member. */
const keyFor = async ({ request }: Errand, role: string, scope: object = {}): Promise<string> => {
  const member = await answerTo<{ id: string }>(request('POST', '/v1/members', { name: role, role, scope }));
  return (await answerTo<{ key: string }>(request('POST', '/v1/api-keys', { name: 'k', member: member.id }))).key;
};
const answerTo = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;
const as = (key: string) => ({ authorization: `Bearer ${key}` });
const page = async ({ request }: Errand, query = '', headers = {}): Promise<EventPage> =>
  answerTo(request('GET', `/v1/events${query}`, undefined, headers));
const told = (events: readonly ErrandEvent[]) => events.map(({ type, subject }) => `${type} ${subject}`);

/** What the SDK is told from now on. */
const listen = async ({ url, fetch }: Errand, options: EventsOptions = {}, apiKey?: string) => {
  const heard: ErrandEvent[] = [];
  const left = new AbortController();
  let isOpen = false;
  const client = makeClient({
    url,
    apiKey,
    fetch: async (...request) => {
      const response = await fetch(...request);
      isOpen = true;
      return response;
    },
  });
  const listening = (async () => {
    for await (const event of client.events({ ...options, signal: left.signal })) heard.push(event);
  })();
  onTestFinished(async () => {
    left.abort();
    await listening;
  });
  await vi.waitFor(() => expect(isOpen).toBe(true));
  // The stream is open once its first sign of life came.
  await new Promise((resolve) => setTimeout(resolve, 100));
  return heard;
};
const until = (isSo: () => void, timeout = 5_000) => vi.waitFor(isSo, { timeout, interval: 5 });

describe('events', () => {
  test('of a command are its submission, start and end, with facts and ids and nothing of what it is given or says', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({
      script: 'echo canary-output; cat; exit 7',
      env: { SECRET: 'canary-value' },
      stdin: 'canary-input',
      labels: { of: 'canary-label' },
    });
    const found = await page(errand);
    expect(found).toMatchObject({ after: 3, more: false });
    expect(found.items).toMatchObject([
      {
        specversion: '1.0',
        id: 'default-1',
        source: 'errand',
        type: 'command.submitted',
        subject: id,
        tenant: 'default',
        sequence: 1,
        datacontenttype: 'application/json',
        data: { id, target: 'local', isolation: 'none' },
      },
      { type: 'command.started', data: { id, attempt: 1, target: 'local' } },
      { type: 'command.completed', data: { id, status: 'failed', exitCode: 7, reason: 'exit', attempts: 1 } },
    ]);
    expect(JSON.stringify(found)).not.toMatch(/canary|Hash/);
  });

  test('are read by page, by type and by command', async () => {
    const errand = await openErrand();
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push((await errand.submit({ argv: ['true'] })).id);
    const all: ErrandEvent[] = [];
    for (let after = 0; ; ) {
      const { items, after: next, more } = await page(errand, `?limit=5&after=${after}`);
      all.push(...items);
      after = next;
      if (!more) break;
    }
    expect(all.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    const ends = await page(errand, '?type=command.completed&type=security.alert&limit=3');
    expect(told(ends.items)).toEqual(ids.slice(0, 3).map((id) => `command.completed ${id}`));
    expect(told((await page(errand, `?command=${ids[2]}`)).items)).toEqual(
      ['submitted', 'started', 'completed'].map((type) => `command.${type} ${ids[2]}`),
    );
  });

  test.for([
    ['?type=no.such', 400, 'invalid-request', '/type/0'],
    ['?after=99', 400, 'invalid-request', '/after'],
    ['?after=x', 400, 'invalid-request', '/after'],
    ['?limit=101', 400, 'invalid-request', '/limit'],
    ['?command=cmd_01k00000000000000000000000', 404, 'not-found', '/id'],
  ] as const)('%s is refused', async ([query, status, code, pointer]) => {
    const errand = await openErrand();
    for (const accept of ['application/json', 'text/event-stream']) {
      const response = await errand.request('GET', `/v1/events${query}`, undefined, { accept });
      if (accept === 'text/event-stream' && query.includes('limit')) continue;
      expect(response.status).toBe(status);
      expect(await problemOf(response)).toMatchObject({ code, errors: [{ pointer }] });
    }
  });

  test('of the tenant are for those who may read its audit log; asked for by name they are refused to others', async () => {
    const errand = await openErrand();
    const operator = await keyFor(errand, 'operator');
    const auditor = await keyFor(errand, 'auditor');
    await errand.submit({ argv: ['true'] });
    const types = (key: string) => page(errand, '', as(key)).then(({ items }) => items.map(({ type }) => type));
    expect(await types(operator)).toEqual(['command.submitted', 'command.started', 'command.completed']);
    expect(await types(auditor)).toEqual(expect.arrayContaining(['member.added', 'key.created', 'command.completed']));
    const refused = await errand.request('GET', '/v1/events?type=security.alert', undefined, as(operator));
    expect([refused.status, (await problemOf(refused)).detail]).toEqual([403, expect.stringContaining('audit:read')]);
    expect((await page(errand, '?type=access.forbidden')).items).toMatchObject([
      { subject: 'readEvents', data: { permission: 'audit:read', type: 'security.alert' } },
    ]);
  });

  test('beyond a caller’s scope are not there for it, live or not', async () => {
    const errand = await openErrand();
    const scoped = await keyFor(errand, 'admin', { labels: { team: 'a' } });
    const heard = await listen(errand, {}, scoped);
    const own = await errand.submit({ argv: ['true'], labels: { team: 'a' } });
    const other = await errand.submit({ argv: ['true'], labels: { team: 'b' } });
    const wanted = ['submitted', 'started', 'completed'].map((type) => `command.${type} ${own.id}`);
    expect(told((await page(errand, '', as(scoped))).items)).toEqual(wanted);
    expect((await errand.request('GET', `/v1/events?command=${other.id}`, undefined, as(scoped))).status).toBe(404);
    await until(() => expect(told(heard)).toEqual(wanted));
  });

  test('of another tenant are nobody’s business', async () => {
    const errand = await openErrand();
    await errand.submit({ argv: ['true'] });
    const { key } = await answerTo<{ key: string }>(
      errand.request('POST', '/v1/tenants', { id: 'acme', name: 'Acme' }),
    );
    const { items } = await page(errand, '', as(key));
    expect(items.filter(({ tenant }) => tenant !== 'acme')).toEqual([]);
    expect(items.filter(({ type }) => type.startsWith('command.'))).toEqual([]);
  });
});

describe('live events', () => {
  test('come at once, each once and in order, to each of many who listen', async () => {
    const errand = await openErrand();
    await errand.submit({ argv: ['true'] });
    const all = await Promise.all(Array.from({ length: 10 }, () => listen(errand)));
    const { id } = await errand.submit({ argv: ['true'] });
    const endedAt = performance.now();
    const wanted = ['submitted', 'started', 'completed'].map((type) => `command.${type} ${id}`);
    for (const heard of all) await until(() => expect(told(heard)).toEqual(wanted));
    expect(performance.now() - endedAt).toBeLessThan(1_000);
  });

  test('tell of what looks wrong within a second, and why', async () => {
    const errand = await openErrand();
    const heard = await listen(errand, { types: ['security.alert'] });
    const agent = await keyFor(errand, 'agent');
    const at = performance.now();
    for (let i = 0; i < 10; i++) await errand.request('GET', '/v1/audit', undefined, as(agent));
    await until(() => expect(heard).toHaveLength(1));
    expect(performance.now() - at).toBeLessThan(1_000);
    expect(heard).toMatchObject([
      { type: 'security.alert', data: { kind: 'refusals', because: expect.stringContaining('10') } },
    ]);
  });

  test('tell of a program that was never run before, within a second, and why', async () => {
    const errand = await openErrand();
    for (let i = 0; i < 70; i++) await errand.submit({ argv: ['true'] }, {});
    const heard = await listen(errand, { types: ['security.alert'] });
    const at = performance.now();
    const { id } = await errand.submit({ argv: ['id', 'canary'] }, {});
    await until(() => expect(heard.map(({ subject }) => subject)).toContain(id));
    expect(performance.now() - at).toBeLessThan(1_000);
    expect(heard.find(({ subject }) => subject === id)).toMatchObject({
      data: { actor: { id: 'owner' }, kind: 'new-program', because: expect.stringContaining('"id"') },
    });
    expect(JSON.stringify(heard)).not.toContain('canary');
  });

  test('resume after any of them, and end with a sign of life when they are a long poll', async () => {
    const errand = await openErrand();
    for (let i = 0; i < 2; i++) await errand.submit({ argv: ['true'] });
    const poll = async (headers: Record<string, string>, query = '') => {
      const all = { accept: 'text/event-stream', prefer: 'wait=1', ...headers };
      const response = await errand.request('GET', `/v1/events${query}`, undefined, all);
      const messages: Message[] = [];
      for await (const one of readMessages(response.body as ReadableStream<Uint8Array>)) messages.push(one);
      return messages.map(({ id, message }) => `${id} ${message.event}`);
    };
    expect((await page(errand)).after).toBe(6);
    const rest = ['4 command.submitted', '5 command.started', '6 command.completed', '6 heartbeat'];
    expect(await poll({ 'last-event-id': '3' })).toEqual(['3 heartbeat', ...rest]);
    expect(await poll({}, '?after=3')).toEqual(['3 heartbeat', ...rest]);
    // From now on nothing happens; what was not wanted need not be looked at again.
    expect(await poll({})).toEqual(['6 heartbeat', '6 heartbeat']);
    expect(await poll({}, '?after=0&type=policy.applied')).toEqual(['0 heartbeat', '6 heartbeat']);
    const bad = await errand.request('GET', '/v1/events', undefined, {
      accept: 'text/event-stream',
      'last-event-id': '1:2',
    });
    expect(await problemOf(bad)).toMatchObject({ errors: [{ in: 'header', pointer: '/last-event-id' }] });
  });

  test('come each once over connections that break anywhere', async () => {
    const errand = await openErrand();
    for (let i = 0; i < 10; i++) await errand.submit({ argv: ['true'] });
    let calls = 0;
    const fetch: typeof globalThis.fetch = async (...request) => {
      const response = await errand.fetch(...request);
      if (!response.body) return response;
      let left = 200 + 331 * ++calls;
      const cut = new TransformStream<Uint8Array, Uint8Array>({
        transform(piece, controller) {
          controller.enqueue(piece.subarray(0, left));
          left -= piece.length;
          if (left <= 0) controller.error(new Error('cut'));
        },
      });
      return new Response(response.body.pipeThrough(cut), { status: response.status, headers: response.headers });
    };
    const client = makeClient({ url: errand.url, fetch, sleep: async () => {} });
    const seen: number[] = [];
    for await (const { sequence } of client.events({ after: 0 })) {
      seen.push(sequence);
      if (seen.length === 30) break;
    }
    expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(calls).toBeGreaterThan(3);
  });
});
