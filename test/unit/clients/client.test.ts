import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeClient } from '../../../clients/sdk/client.ts';
import { ApiError, ConnectionError, ErrandError } from '../../../clients/sdk/errors.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A server that answers as the test says, and a client of it that does not wait between tries. */
const answering = async (answer: Answer) => {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    answer(request, response, body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const waits: number[] = [];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = makeClient({ url, sleep: async (milliseconds) => void waits.push(milliseconds) });
  return { client, waits, url };
};

const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, {
    'content-type': status < 400 ? 'application/json' : 'application/problem+json',
    ...headers,
  });
  response.end(JSON.stringify(body));
};

const problem = (status: number, code: string) => ({
  type: 'about:blank',
  title: code,
  status,
  code,
  detail: `it is ${code}`,
});

describe('following', () => {
  /** Events as a server sends them: 1 to 3 bytes each, then the end. */
  const eventsOf = (bytes: Uint8Array): string[] => {
    const events: string[] = [];
    for (let at = 0; at < bytes.length; at += 3) {
      const data = Buffer.from(bytes.subarray(at, at + 3)).toString('base64');
      const offset = Math.min(at + 3, bytes.length);
      events.push(`event: stdout\nid: 1:${offset}\ndata: ${JSON.stringify({ attempt: 1, offset: at, data })}\n\n`);
    }
    return [...events, `event: end\nid: 1:${bytes.length}\ndata: {"id":"cmd_x","status":"succeeded"}\n\n`];
  };

  test('over a connection that breaks anywhere, also within an event, gives every byte once', async () => {
    const case_ = fc.record({
      bytes: fc.uint8Array({ minLength: 1, maxLength: 60 }),
      cuts: fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(case_, async ({ bytes, cuts }) => {
        const events = eventsOf(bytes);
        const left = [...cuts];
        const { client } = await answering((request, response) => {
          const after = Number(request.headers['last-event-id']?.slice(2) ?? 0);
          const text = events.slice(Math.ceil(after / 3)).join('');
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          const cut = left.shift();
          if (cut === undefined) return response.end(text);
          return response.write(text.slice(0, cut), () => response.destroy());
        });
        const got: number[] = [];
        let failed = 0;
        for (;;) {
          try {
            let ended = false;
            for await (const event of client.follow('cmd_x')) {
              if (event.type === 'stdout') got.push(...event.bytes);
              ended = event.type === 'end';
            }
            expect(ended).toBe(true);
            break;
          } catch (error) {
            // More breaks in a row than a client puts up with: then it says so, and a new follow begins anew.
            expect(error).toBeInstanceOf(ConnectionError);
            got.length = 0;
            failed++;
          }
        }
        expect(Uint8Array.from(got)).toEqual(bytes);
        expect(failed).toBeLessThanOrEqual(2);
      }),
      { numRuns: 30 },
    );
  });

  test('what the server refuses is not tried again', async () => {
    let requests = 0;
    const { client } = await answering((_, response) => {
      requests++;
      json(response, 404, problem(404, 'not-found'));
    });
    await expect(client.follow('cmd_x').next()).rejects.toMatchObject({ code: 'not-found', status: 404 });
    expect(requests).toBe(1);
  });

  test('an event that a newer server sends is passed over', async () => {
    const { client } = await answering((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end('event: novelty\ndata: {}\n\n: a comment\n\nevent: end\nid: 1:0\ndata: {"id":"cmd_x"}\n\n');
    });
    const types: string[] = [];
    for await (const { type } of client.follow('cmd_x')) types.push(type);
    expect(types).toEqual(['end']);
  });
});

describe('a call', () => {
  test('that the connection fails is repeated with the same idempotency key', async () => {
    const keys: (string | undefined)[] = [];
    const { client } = await answering((request, response) => {
      keys.push(request.headers['idempotency-key'] as string);
      if (keys.length < 3) response.destroy();
      else json(response, 202, { id: 'cmd_x' });
    });
    expect(await client.submit({ argv: ['true'] })).toEqual({ id: 'cmd_x' });
    expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
    await client.submit({ argv: ['true'] });
    expect(new Set(keys).size).toBe(2);
  });

  test.for([
    [503, 'unavailable'],
    [429, 'rate-limited'],
  ] as const)('answered %i is repeated after what the server says', async ([status, code]) => {
    let requests = 0;
    const { client, waits } = await answering((_, response) => {
      if (++requests === 1) json(response, status, problem(status, code), { 'retry-after': '7' });
      else json(response, 200, { items: [] });
    });
    await client.targets();
    expect(waits).toEqual([7_000]);
  });

  test('answered 503 for ever ends with that', async () => {
    const { client, waits } = await answering((_, response) => json(response, 503, problem(503, 'unavailable')));
    await expect(client.get('cmd_x')).rejects.toThrow(ApiError);
    // Full jitter: at most 100 ms, then twice as much each time.
    expect(waits).toHaveLength(5);
    for (const [i, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(100 * 2 ** i);
  });

  test('to nobody is a connection error', async () => {
    const client = makeClient({ url: 'http://127.0.0.1:9', sleep: async () => {} });
    await expect(client.targets()).rejects.toThrow(ConnectionError);
    await expect(client.targets()).rejects.toThrow(ErrandError);
  });

  test('answered by something that is no Errand says so', async () => {
    const { client } = await answering((_, response) =>
      response.writeHead(418, { 'content-type': 'text/html' }).end('<h1>tea</h1>'),
    );
    await expect(client.targets()).rejects.toMatchObject({ code: 'unexpected-answer', status: 418 });
  });

  test('carries the API key as a bearer token', async () => {
    let authorization: string | undefined;
    const { url } = await answering((request, response) => {
      authorization = request.headers.authorization;
      json(response, 200, { items: [] });
    });
    await makeClient({ url: `${url}/`, apiKey: 'secret' }).targets();
    expect(authorization).toBe('Bearer secret');
  });

  test('asks a function for its key each time, and does not ask again of one that has none', async () => {
    const seen: (string | undefined)[] = [];
    const { url } = await answering((request, response) => {
      seen.push(request.headers.authorization);
      json(response, 200, { items: [] });
    });
    let asked = 0;
    const client = makeClient({ url, apiKey: async () => `key-${++asked}` });
    await client.targets();
    await client.targets();
    expect(seen).toEqual(['Bearer key-1', 'Bearer key-2']);
    let tries = 0;
    const loggedOut = makeClient({ url, apiKey: async () => Promise.reject(new Error(`logged out ${++tries}`)) });
    await expect(loggedOut.targets()).rejects.toMatchObject({ name: 'CredentialError', message: 'logged out 1' });
    const odd = makeClient({ url, apiKey: async () => 'a secret\n' });
    await expect(odd.targets()).rejects.toThrow(/printable ASCII/);
    await expect(odd.targets()).rejects.not.toThrow(/secret/);
    expect(seen).toHaveLength(2);
  });

  test('to list goes on over pages', async () => {
    const { client } = await answering((request, response) =>
      json(
        response,
        200,
        request.url?.includes('cursor=next')
          ? { items: [{ id: 'c' }] }
          : { items: [{ id: 'a' }, { id: 'b' }], nextCursor: 'next' },
      ),
    );
    const ids: string[] = [];
    for await (const { id } of client.list({ status: 'failed' })) ids.push(id);
    expect(ids).toEqual(['a', 'b', 'c']);
  });
});
