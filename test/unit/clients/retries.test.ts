import { describe, expect, test } from 'vitest';
import { makeClient } from '../../../clients/sdk/client.ts';
import { ConnectionError } from '../../../clients/sdk/errors.ts';

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
}

/** A client whose every request is answered by `answer`; what it sent and how long it waited are kept. */
const answered = (answer: (sent: Sent, count: number) => Response | Promise<Response>, silenceMs?: number) => {
  const sent: Sent[] = [];
  const waits: number[] = [];
  const client = makeClient({
    url: 'http://errand.test',
    fetch: async (input, init) => {
      const request = new Request(input as string, init);
      const { pathname, search } = new URL(request.url);
      const one = { method: request.method, path: pathname + search, headers: request.headers };
      sent.push(one);
      request.signal.throwIfAborted();
      return answer(one, sent.length);
    },
    sleep: async (milliseconds) => void waits.push(milliseconds),
    random: () => 1,
    ...(silenceMs === undefined ? {} : { silenceMs }),
  });
  return { client, sent, waits };
};

const ok = (body: unknown = { items: [] }) => Response.json(body);
const problem = (status: number, code: string, headers: Record<string, string> = {}) => {
  const body = { type: 'about:blank', title: code, status, code };
  return Response.json(body, { status, headers: { 'content-type': 'application/problem+json', ...headers } });
};
const busy = (headers: Record<string, string>, status = 503) => problem(status, 'unavailable', headers);
const events = (...texts: string[]) =>
  new Response(texts.join(''), { headers: { 'content-type': 'text/event-stream' } });
const STATUS = 'event: status\nid: 1:0\ndata: {"status":"running","attempt":1}\n\n';
const END = 'event: end\nid: 1:2\ndata: {"id":"cmd_x","status":"succeeded"}\n\n';
const hi = (id = '1:2') => `event: stdout\nid: ${id}\ndata: {"attempt":1,"offset":0,"data":"aGk="}\n\n`;

const collect = async (following: AsyncIterable<{ type: string; id: string }>): Promise<string[]> => {
  const seen: string[] = [];
  for await (const { type, id } of following) seen.push(`${type} ${id}`);
  return seen;
};

describe('Retry-After', () => {
  test('as a date is measured by the server’s clock', async () => {
    const { client, waits } = answered((_, count) =>
      count === 1
        ? busy({ 'retry-after': 'Tue, 01 Jan 2030 00:00:09 GMT', date: 'Tue, 01 Jan 2030 00:00:00 GMT' })
        : ok(),
    );
    await client.targets();
    expect(waits).toEqual([9_000]);
  });

  test.each(['soon', '', '-5'])('that is %j counts for nothing', async (text) => {
    const { client, waits } = answered((_, count) => (count === 1 ? busy({ 'retry-after': text }) : ok()));
    await client.targets();
    expect(waits).toEqual([100]);
  });

  test('that is far away is left to the caller', async () => {
    const { client, waits } = answered(() => busy({ 'retry-after': '3600' }, 429));
    await expect(client.targets()).rejects.toMatchObject({ status: 429, retryAfterSeconds: 3_600 });
    expect(waits).toEqual([]);
  });
});

describe('a call', () => {
  test.each([408, 502, 503, 504])('that is answered with %i is tried again', async (status) => {
    const { client, sent } = answered((_, count) => (count < 3 ? new Response('oops', { status }) : ok()));
    await client.targets();
    expect(sent).toHaveLength(3);
  });

  test('that a gateway answers with 500 is tried again, and one that we do not', async () => {
    const gateway = answered((_, count) => (count < 3 ? Response.json({ message: 'oops' }, { status: 500 }) : ok()));
    await gateway.client.targets();
    expect(gateway.sent).toHaveLength(3);
    const ours = answered(() => problem(500, 'internal'));
    await expect(ours.client.targets()).rejects.toMatchObject({ code: 'internal', status: 500 });
    expect(ours.sent).toHaveLength(1);
  });

  test('that gets a page instead of JSON says so at once', async () => {
    const { client, sent } = answered(() => new Response('<html>Log in</html>'));
    await expect(client.targets()).rejects.toMatchObject({ code: 'unexpected-answer', status: 200 });
    expect(sent).toHaveLength(1);
  });

  test('to signal is never sent twice', async () => {
    const { client, sent } = answered(() => Promise.reject(new TypeError('reset')));
    await expect(client.signal('cmd_x', 'SIGHUP')).rejects.toThrow(ConnectionError);
    expect(sent).toHaveLength(1);
  });

  test('waits ever longer, within a bound, and no two clients alike', async () => {
    const { client, waits } = answered(() => Promise.reject(new TypeError('refused')));
    await expect(client.writeStdin('cmd_x', new Uint8Array(1), 0)).rejects.toMatchObject({ commandId: 'cmd_x' });
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000, 5_000]);
    const halved = makeClient({
      url: 'http://errand.test',
      fetch: () => Promise.reject(new TypeError('refused')),
      sleep: async (milliseconds) => void waits.push(milliseconds),
      random: () => 0,
    });
    waits.length = 0;
    await expect(halved.targets()).rejects.toThrow(ConnectionError);
    expect(waits).toEqual([50, 100, 200, 400, 800]);
  });

  test('that is aborted rejects with the reason, also while it waits for the next try', async () => {
    const reason = new Error('enough');
    const leaving = new AbortController();
    const client = makeClient({
      url: 'http://errand.test',
      fetch: () => Promise.reject(new TypeError('refused')),
      sleep: async () => leaving.abort(reason),
    });
    await expect(client.submit({ argv: ['true'] }, { signal: leaving.signal })).rejects.toBe(reason);
    await expect(client.get('cmd_x', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('with the sleep of its own ends its waiting when aborted', async () => {
    const leaving = new AbortController();
    const client = makeClient({ url: 'http://errand.test', fetch: async () => busy({ 'retry-after': '20' }) });
    const called = client.get('cmd_x', { signal: leaving.signal });
    setImmediate(() => leaving.abort());
    await expect(called).rejects.toThrow(/abort/);
  });

  test.each(['a key', 'a\nkey', 'clé', ''])('with the API key %j is refused before anything is sent', (apiKey) => {
    expect(() => makeClient({ url: 'http://errand.test', apiKey })).toThrow(/printable ASCII/);
  });

  test('to run waits on, past what one request may wait', async () => {
    const { client, sent } = answered((_, count) => ok({ id: 'cmd_x', endedAt: count < 3 ? null : '2030' }));
    expect(await client.run({ argv: ['make'] })).toMatchObject({ endedAt: '2030' });
    expect(sent.map(({ method, path, headers }) => [method, path, headers.get('prefer')])).toEqual([
      ['POST', '/v1/commands', 'wait=60'],
      ['GET', '/v1/commands/cmd_x', 'wait=60'],
      ['GET', '/v1/commands/cmd_x', 'wait=60'],
    ]);
  });

  describe('to run that is aborted', () => {
    const reason = new Error('enough');

    /** Aborts at the n-th request, before its answer; what has an id by then is canceled. */
    const abortedAt = async (at: number, cancel: () => Response = () => ok({ id: 'cmd_x', endedAt: null })) => {
      const leaving = new AbortController();
      const { client, sent } = answered(({ path }, count) => {
        if (count === at) {
          leaving.abort(reason);
          throw reason;
        }
        return path.endsWith('/cancel') ? cancel() : ok({ id: 'cmd_x', endedAt: null });
      });
      const fault = await client.run({ argv: ['make'] }, { signal: leaving.signal }).catch((error: unknown) => error);
      return { fault, sent };
    };
    const calls = (sent: readonly Sent[]) => sent.map(({ method, path }) => `${method} ${path}`);

    test('cancels the command that it knows', async () => {
      const { fault, sent } = await abortedAt(2);
      expect(fault).toBe(reason);
      expect(calls(sent)).toEqual(['POST /v1/commands', 'GET /v1/commands/cmd_x', 'POST /v1/commands/cmd_x/cancel']);
    });

    test('before its submission was answered asks again with the same key, and cancels what that made', async () => {
      const { fault, sent } = await abortedAt(1);
      expect(fault).toBe(reason);
      expect(calls(sent)).toEqual(['POST /v1/commands', 'POST /v1/commands', 'POST /v1/commands/cmd_x/cancel']);
      const [first, again] = sent.map(({ headers }) => headers.get('idempotency-key'));
      expect(again).toBe(first);
    });

    test('is content with a command that has ended meanwhile', async () => {
      const { fault } = await abortedAt(2, () => problem(409, 'already-final'));
      expect(fault).toBe(reason);
    });

    test('says so when the command cannot be canceled, as it goes on', async () => {
      const { fault } = await abortedAt(2, () => problem(403, 'forbidden'));
      expect(fault).toMatchObject({ code: 'forbidden' });
    });

    test('before it begins sends nothing', async () => {
      const { client, sent } = answered(() => ok());
      await expect(client.run({ argv: ['make'] }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(sent).toEqual([]);
    });
  });

  test('to list asks for no more than it is to give', async () => {
    const items = (count: number) => Array.from({ length: count }, (_, n) => ({ id: `cmd_${n}` }));
    const { client, sent } = answered(({ path }) => {
      const count = Number(/limit=(\d+)/.exec(path)?.[1]);
      return ok({ items: items(count), nextCursor: 'more' });
    });
    const ids: string[] = [];
    for await (const { id } of client.list({ limit: 130 })) ids.push(id);
    expect(ids).toHaveLength(130);
    expect(sent.map(({ path }) => path)).toEqual(['/v1/commands?limit=100', '/v1/commands?cursor=more&limit=30']);
  });
});

describe('following', () => {
  test('begins right after an event, and then after the last one seen', async () => {
    const { client, sent } = answered((_, count) => (count === 1 ? events(STATUS, hi('1:9')) : events(END)));
    expect(await collect(client.follow('cmd_x', { lastEventId: '1:7', stream: 'stdout', from: 3 }))).toEqual([
      'status 1:0',
      'stdout 1:9',
      'end 1:2',
    ]);
    expect(sent.map(({ path, headers }) => [path, headers.get('last-event-id')])).toEqual([
      ['/v1/commands/cmd_x/output?stream=stdout', '1:7'],
      ['/v1/commands/cmd_x/output?stream=stdout', '1:9'],
    ]);
  });

  test('gives up on a server that says its status, and breaks off, for ever', async () => {
    const { client, sent } = answered(() => events(STATUS));
    await expect(collect(client.follow('cmd_x'))).rejects.toMatchObject({
      name: 'ConnectionError',
      commandId: 'cmd_x',
    });
    expect(sent.length).toBeLessThan(20);
  });

  test('goes on for as long as there is progress, however often it breaks', async () => {
    const breaks = 50;
    const { client, sent } = answered((_, count) => (count <= breaks ? events(STATUS, hi(`1:${count}`)) : events(END)));
    let broken = 0;
    const seen = await collect(client.follow('cmd_x', { onBreak: () => broken++ }));
    expect(seen.filter((event) => event.startsWith('stdout'))).toHaveLength(breaks);
    expect([sent.length, broken]).toEqual([breaks + 1, breaks]);
  });

  test('leaves a connection on which nothing comes, though it is open', async () => {
    const dead = () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode(hi())),
        }),
      );
    const { client, sent } = answered((_, count) => (count === 1 ? dead() : events(END)), 20);
    expect(await collect(client.follow('cmd_x'))).toEqual(['stdout 1:2', 'end 1:2']);
    expect(sent[1]?.headers.get('last-event-id')).toBe('1:2');
  });

  test('does not take a reader that is slow for a dead connection', async () => {
    const { client, sent } = answered(() => events(hi('1:1'), hi('1:2'), END), 20);
    const seen: string[] = [];
    for await (const { type } of client.follow('cmd_x')) {
      seen.push(type);
      // Longer than the silence that is put up with: it is this side that is slow, which only time can show.
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect([seen, sent.length]).toEqual([['stdout', 'stdout', 'end'], 1]);
  });

  test('an event without an id keeps the one before', async () => {
    const bare = 'event: heartbeat\ndata: {}\n\n';
    const { client, sent } = answered((_, count) => (count === 1 ? events(hi(), bare) : events(END)));
    expect(await collect(client.follow('cmd_x'))).toEqual(['stdout 1:2', 'heartbeat 1:2', 'end 1:2']);
    expect(sent[1]?.headers.get('last-event-id')).toBe('1:2');
  });

  test('ends without a fault when it is told to, wherever it is', async () => {
    const leaving = new AbortController();
    const { client } = answered(() => events(hi(), END));
    const seen: string[] = [];
    for await (const { type } of client.follow('cmd_x', { signal: leaving.signal })) {
      seen.push(type);
      leaving.abort();
    }
    expect(seen[0]).toBe('stdout');
    expect(await collect(client.follow('cmd_x', { signal: AbortSignal.abort() }))).toEqual([]);
  });
});
