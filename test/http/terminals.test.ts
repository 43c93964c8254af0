import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { openErrand, problemOf } from '../support/errand.ts';
import { attachTo, openFasterServer, openServer, terminalsAreGiven } from '../support/terminals.ts';

const SIZE = { terminal: { rows: 24, columns: 80 } };
const bash = (script: string, over: Record<string, unknown> = {}) => ({
  argv: ['/bin/bash', '-c', script] as [string, ...string[]],
  ...SIZE,
  ...over,
});
const idle = bash('echo ready; read -r line; echo "<$line>"');
const allOf = async (shown: AsyncIterable<Uint8Array>): Promise<string> => {
  const pieces: Uint8Array[] = [];
  for await (const bytes of shown) pieces.push(bytes);
  return Buffer.concat(pieces).toString();
};

/** Passes connections on, and cuts the first ones after some bytes of an answer, at no place in particular. */
const cuttingProxy = async (to: URL, { mostBytes, cuts }: { mostBytes: number; cuts: number }) => {
  let left = cuts;
  const proxy = createServer((near) => {
    const far = connect(Number(to.port), to.hostname);
    let room = left-- > 0 ? 1_000 + Math.floor(Math.random() * mostBytes) : Number.POSITIVE_INFINITY;
    for (const one of [near, far]) one.on('error', () => {});
    near.pipe(far);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    far.on('data', (bytes: Buffer) => {
      if (bytes.length < room) near.write(bytes);
      else near.end(bytes.subarray(0, room), () => near.destroy());
      room -= bytes.length;
      if (room <= 0) far.destroy();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void proxy.close());
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
};

/** A tenant of its own, its admin, and keys of others there. */
const tenantAt = async (url: string) => {
  const made = await fetch(`${url}/v1/tenants`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'acme', name: 'acme' }),
  });
  const { key: adminKey } = (await made.json()) as { key: string };
  const admin = makeClient({ url, apiKey: adminKey });
  const keyOf = async (role: string) => {
    const { id: member } = await admin.addMember({ name: role, role });
    return admin.createKey({ name: role, member });
  };
  return { admin, adminKey, keyOf };
};

const NOBODY = `cmd_${'0'.repeat(26)}`;

const start = async (submission: Record<string, unknown> = idle) => {
  const server = await openServer();
  const client = makeClient({ url: server.url });
  const command = await client.submit(submission as Parameters<typeof client.submit>[0]);
  return { server, client, id: command.id, url: server.url };
};

describe('a submission with a terminal', () => {
  test.for<[string, Record<string, unknown>, string]>([
    ['no rows', { terminal: { columns: 80 } }, '/terminal/rows'],
    ['none of them', { terminal: { rows: 0, columns: 80 } }, '/terminal/rows'],
    ['half of one', { terminal: { rows: 24, columns: 80.5 } }, '/terminal/columns'],
    ['too many', { terminal: { rows: 24, columns: 1_001 } }, '/terminal/columns'],
    ['what it has not', { terminal: { rows: 24, columns: 80, depth: 3 } }, '/terminal/depth'],
    ['a yes', { terminal: true }, '/terminal'],
    ['input that is given', { ...SIZE, stdin: 'text' }, '/stdin'],
    ['bytes that are given', { ...SIZE, stdinBase64: 'AA==' }, '/stdinBase64'],
    ['an earlier result', { ...SIZE, cacheSeconds: 60 }, '/cacheSeconds'],
    ['another attempt', { ...SIZE, retry: { maxAttempts: 2 } }, '/retry/maxAttempts'],
  ])('is refused with %s', async ([, over, pointer]) => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/commands', { argv: ['true'], ...over });
    expect(response.status).toBe(400);
    expect((await problemOf(response)).errors).toMatchObject([{ in: 'body', pointer }]);
  });

  test.for(['schedules', 'triggers', 'workflows'])('is none for %s: nobody is there to use it', async (where) => {
    const errand = await openErrand();
    const command = { argv: ['true'], ...SIZE };
    const bodies: Record<string, unknown> = {
      schedules: { name: 'n', cron: '0 0 * * *', command },
      triggers: { signature: { kind: 'github' }, command },
      workflows: { nodes: { only: { command } } },
    };
    const response = await errand.request('POST', `/v1/${where}`, bodies[where]);
    expect(response.status).toBe(400);
    expect(JSON.stringify((await problemOf(response)).errors)).toContain('/terminal');
  });

  test.skipIf(!terminalsAreGiven)('is shown with it, replayed with it, and not replayed with given input', async () => {
    const errand = await openErrand();
    const first = await errand.submit(bash('stty size', { terminal: { rows: 5, columns: 6 } }));
    expect(first).toMatchObject({ terminal: { rows: 5, columns: 6 }, stdin: 'open', status: 'succeeded' });
    expect([first.stdout, first.stderr]).toEqual(['5 6\r\n', '']);
    const again = await errand.request('POST', `/v1/commands/${first.id}/replay`, undefined, { prefer: 'wait=60' });
    expect(await again.json()).toMatchObject({ terminal: { rows: 5, columns: 6 }, stdout: '5 6\r\n' });
    const given = await errand.request('POST', `/v1/commands/${first.id}/replay`, { stdin: 'text' });
    expect(given.status).toBe(400);
  });

  test.skipIf(!terminalsAreGiven)('is taken where GET /v1/providers says so', async () => {
    const errand = await openErrand();
    const { items } = (await (await errand.request('GET', '/v1/providers')).json()) as {
      items: { features: { terminals?: string[]; isolation: string[] } }[];
    };
    expect(items[0]?.features.terminals).toEqual(items[0]?.features.isolation);
  });
});

describe.skipIf(!terminalsAreGiven)('attaching to a terminal', () => {
  test('is refused as any request is, before it becomes a WebSocket', async () => {
    const { url, id, client } = await start();
    const plain = await client.submit({ argv: ['true'] });
    const owner = { headers: {} };
    const { admin: asAdmin, adminKey: admin, keyOf } = await tenantAt(url);
    const own = await asAdmin.submit(idle);
    const withRole = async (role: string) => (await keyOf(role)).key;
    await asAdmin.putRole('typist', { permissions: ['commands:control'] });
    const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });
    const rows: [string, string, Parameters<typeof attachTo>[2], number, string][] = [
      ['a bad key', id, bearer('nonsense'), 401, 'unauthenticated'],
      ['a key of another tenant', id, bearer(admin), 404, 'not-found'],
      ['a role that only reads', own.id, bearer(await withRole('viewer')), 403, 'forbidden'],
      ['a role that only types', own.id, bearer(await withRole('typist')), 403, 'forbidden'],
      ['another site’s page', id, { headers: { origin: 'https://evil.example' } }, 403, 'forbidden'],
      ['a name that is not the server’s', id, { headers: { host: 'evil.example' } }, 403, 'forbidden'],
      ['an id that never was', NOBODY, owner, 404, 'not-found'],
      ['no id', 'nonsense', owner, 400, 'invalid-request'],
      ['a command without a terminal', plain.id, owner, 409, 'conflict'],
      ['a place that is none', id, { query: '?from=-1' }, 400, 'invalid-request'],
      ['rows alone', id, { query: '?rows=3' }, 400, 'invalid-request'],
      ['too many rows', id, { query: '?rows=1001&columns=1' }, 400, 'invalid-request'],
      ['an unknown parameter', id, { query: '?attempt=1' }, 400, 'invalid-request'],
      ['no protocol', id, { protocols: [] }, 400, 'invalid-request'],
      ['another protocol', id, { protocols: ['errand.terminal.v9'] }, 400, 'invalid-request'],
    ];
    for (const [what, command, options, status, code] of rows) {
      const peer = await attachTo(url, command, options);
      expect([what, peer.status, peer.problem?.code]).toEqual([what, status, code]);
    }
    expect((await attachTo(url, own.id, bearer(await withRole('operator')))).status).toBe(101);
    expect((await attachTo(url, id)).status).toBe(101);
  });

  test('without a WebSocket is answered with what it needs', async () => {
    const { url, id } = await start();
    const response = await fetch(`${url}/v1/commands/${id}/terminal`);
    expect([response.status, response.headers.get('upgrade')]).toEqual([426, 'websocket']);
    expect(await problemOf(response)).toMatchObject({ code: 'upgrade-required' });
  });

  test('what asks for another upgrade, or a WebSocket elsewhere, is answered as if it did not', async () => {
    const { url, id } = await start();
    const ask = (path: string, upgrade: string) =>
      new Promise<number>((resolve, reject) => {
        const asked = httpRequest(`${url}${path}`, { headers: { connection: 'Upgrade', upgrade } }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        asked.on('error', reject);
        asked.end();
      });
    expect(await ask('/healthz', 'websocket')).toBe(200);
    expect(await ask(`/v1/commands/${id}/terminal`, 'h2c')).toBe(426);
  });

  test('shows all of it, takes what is typed, and tells the end', async () => {
    const { url, id } = await start();
    const peer = await attachTo(url, id);
    await peer.shows('ready');
    expect(peer.news[0]).toMatchObject({ type: 'attached', from: 0 });
    peer.socket.send(Buffer.from('hello\n'));
    expect(await peer.closed).toEqual({ code: 1000, reason: 'The command has ended.' });
    expect(peer.text()).toBe('ready\r\nhello\r\n<hello>\r\n');
    expect(peer.news.at(-1)).toEqual({ type: 'ended', status: 'succeeded', exitCode: 0, signal: null });
  });

  test('to one that has ended shows it again, from any byte on', async () => {
    const { url, id, client } = await start(bash('echo 0123456789'));
    await client.get(id, { waitSeconds: 30 });
    for (const [query, from, text] of [
      ['', 0, '0123456789\r\n'],
      ['?from=4', 4, '456789\r\n'],
      ['?from=12', 12, ''],
      ['?from=999', 12, ''],
      ['?from=end', 12, ''],
    ] as const) {
      const peer = await attachTo(url, id, { query });
      await peer.closed;
      expect([query, peer.text(), peer.news]).toEqual([
        query,
        text,
        [
          { type: 'attached', from, status: 'succeeded' },
          { type: 'ended', status: 'succeeded', exitCode: 0, signal: null },
        ],
      ]);
    }
  });

  test.for<[string, (send: (data: string | Buffer) => void) => void, number]>([
    ['text that is not JSON', (send) => send('{'), 1003],
    ['a message that is none', (send) => send('{"type":"hang-up"}'), 1003],
    ['a size beyond the most', (send) => send('{"type":"resize","rows":1001,"columns":1}'), 1003],
    ['a size that is none', (send) => send('{"type":"resize","rows":"7","columns":1}'), 1003],
    ['a field too many', (send) => send('{"type":"resize","rows":7,"columns":1,"x":1}'), 1003],
    ['too much at once', (send) => send(Buffer.alloc(64 * 1024 + 1)), 1009],
  ])('is over after %s, and the command goes on', async ([, say, code]) => {
    const { url, id, client } = await start();
    const peer = await attachTo(url, id);
    await peer.shows('ready');
    say((data) => peer.socket.send(data));
    expect((await peer.closed).code).toBe(code);
    expect((await client.get(id)).status).toBe('running');
  });

  test('after the end of the input, what is typed is refused', async () => {
    const { url, id, client } = await start(bash('echo ready; sleep 100'));
    const peer = await attachTo(url, id);
    await peer.shows('ready');
    await client.endStdin(id);
    peer.socket.send(Buffer.from('x'));
    expect(await peer.closed).toMatchObject({ code: 1008, reason: expect.stringContaining('already been ended') });
  });

  test('gives it a size, from the first moment on; of two that look, the last one counts', async () => {
    const { url, id } = await start(
      bash('trap "stty size" WINCH; echo ready; stty size; while :; do sleep 0.02; done'),
    );
    const first = await attachTo(url, id, { query: '?rows=11&columns=22' });
    await first.shows('11 22');
    const second = await attachTo(url, id, { query: '?rows=33&columns=44' });
    await first.shows('33 44');
    first.socket.send('{"type":"resize","rows":55,"columns":66}');
    await second.shows('55 66');
    first.socket.terminate();
    second.socket.send(Buffer.from('\x03'));
    expect((await second.closed).code).toBe(1000);
    expect(second.news.at(-1)).toMatchObject({ type: 'ended', exitCode: null, signal: 'SIGINT' });
  });

  test('several see the same, and each may type', async () => {
    const { url, id } = await start(bash('stty -echo; echo ready; read a; read b; echo "$a $b"'));
    const [one, two] = [await attachTo(url, id), await attachTo(url, id)];
    await Promise.all([one.shows('ready'), two.shows('ready')]);
    one.socket.send(Buffer.from('from one\n'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    two.socket.send(Buffer.from('from two\n'));
    await Promise.all([one.closed, two.closed]);
    expect(one.text()).toBe('ready\r\nfrom one from two\r\n');
    expect(two.text()).toBe(one.text());
  });

  test('what is typed before it starts is not lost, and what is typed fast stays in order', async () => {
    const { url, id } = await start(bash('stty raw -echo; echo ready; head -c 200000 | sha256sum'));
    const peer = await attachTo(url, id);
    await peer.shows('ready');
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, n) => (n * 7919) % 251));
    for (let at = 0; at < bytes.length; at += 97) peer.socket.send(bytes.subarray(at, at + 97));
    await peer.closed;
    expect(peer.text()).toContain(createHash('sha256').update(bytes).digest('hex'));
  });

  test('ends once its key is revoked, for who looks on and for who types', async () => {
    const { url } = await openFasterServer(50);
    const { admin, keyOf } = await tenantAt(url);
    const { id } = await admin.submit(idle);
    const [one, other] = [await keyOf('operator'), await keyOf('operator')];
    const looking = await attachTo(url, id, { headers: { authorization: `Bearer ${one.key}` } });
    const typing = await attachTo(url, id, { headers: { authorization: `Bearer ${other.key}` } });
    await Promise.all([looking.shows('ready'), typing.shows('ready')]);
    await Promise.all([admin.revokeKey(one.id), admin.revokeKey(other.id)]);
    typing.socket.send(Buffer.from('x\n'));
    for (const peer of [looking, typing]) {
      expect(await peer.closed).toMatchObject({ code: 4401, reason: expect.stringContaining('revoked') });
    }
    expect((await admin.get(id)).status).toBe('running');
    expect(looking.text()).toBe('ready\r\n');
  });

  test('a peer that says no more that it lives is dropped, and one that does is not', async () => {
    const { url } = await openFasterServer(50);
    const { id } = await makeClient({ url }).submit(idle);
    const [dead, alive] = [await attachTo(url, id), await attachTo(url, id)];
    await Promise.all([dead.shows('ready'), alive.shows('ready')]);
    dead.socket.pong = () => {};
    const asked = Promise.withResolvers<void>();
    let pings = 0;
    alive.socket.on('ping', () => ++pings === 5 && asked.resolve());
    expect(await dead.closed).toMatchObject({ code: 1006 });
    await asked.promise;
    expect(alive.socket.readyState).toBe(alive.socket.OPEN);
  });

  test('is in the audit log, with who it was', async () => {
    const { url } = await openServer();
    const { admin, keyOf } = await tenantAt(url);
    const { id } = await admin.submit(idle);
    const key = await keyOf('operator');
    const peer = await attachTo(url, id, { headers: { authorization: `Bearer ${key.key}` } });
    await peer.attached();
    const found: unknown[] = [];
    for (let tries = 0; found.length === 0 && tries < 100; tries++) {
      for await (const { entry } of admin.readAudit({ type: 'command.attached' })) found.push(entry);
    }
    expect(found).toMatchObject([{ type: 'command.attached', subject: id, actor: { credential: { id: key.id } } }]);
  });

  test('ends with the server, which says that one may attach again; the client says so', async () => {
    const { server, url, id } = await start();
    const peer = await attachTo(url, id);
    await peer.shows('ready');
    await server.close();
    expect(await peer.closed).toMatchObject({ code: 1001 });
  });
});

describe.skipIf(!terminalsAreGiven)('the client at a terminal', () => {
  test('has every byte once, in order, however often its connection breaks', { timeout: 60_000 }, async () => {
    const lines = 25_000;
    const { url, id } = await start(
      bash(`stty raw; i=0; while [ $i -lt ${lines} ]; do echo "line $i"; i=$((i + 1)); done`),
    );
    const proxy = await cuttingProxy(new URL(url), { mostBytes: 30_000, cuts: 8 });
    let breaks = 0;
    const terminal = makeClient({ url: proxy.url }).terminal(id, { onBreak: () => breaks++ });
    const text = await allOf(terminal);
    expect(text).toBe(Array.from({ length: lines }, (_, n) => `line ${n}\n`).join(''));
    expect(text.length).toBeGreaterThan(200_000);
    expect(terminal.offset).toBe(text.length);
    expect(breaks).toBe(8);
    expect(await terminal.ended).toEqual({ status: 'succeeded', exitCode: 0, signal: null });
  });

  test('whoever does not read is not attached again before it does, and then has all of it', {
    timeout: 60_000,
  }, async () => {
    const { url } = await openFasterServer(50);
    const client = makeClient({ url, silenceMs: 500 });
    const bytes = 8_000_000;
    const { id } = await client.submit(bash(`stty raw; head -c ${bytes} /dev/zero | tr '\\0' x`));
    await client.get(id, { waitSeconds: 60 });
    let breaks = 0;
    const terminal = client.terminal(id, { onBreak: () => breaks++ });
    // Cut off for its silence meanwhile, and not attached again before somebody reads.
    while (breaks === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(breaks).toBe(1);
    const text = await allOf(terminal);
    expect(text.length).toBe(bytes);
    expect(terminal.offset).toBe(bytes);
  });

  test('is told what is wrong', async () => {
    const { client } = await start();
    const terminal = client.terminal(NOBODY);
    await expect(terminal.ended).rejects.toMatchObject({ code: 'not-found', status: 404 });
    await expect(allOf(terminal)).rejects.toMatchObject({ code: 'not-found' });
  });

  test('detaches by its signal; the command goes on', async () => {
    const { client, id } = await start();
    const leaving = new AbortController();
    const terminal = client.terminal(id, { signal: leaving.signal });
    for await (const bytes of terminal) if (Buffer.from(bytes).includes('ready')) leaving.abort();
    expect(await terminal.ended).toBeUndefined();
    expect((await client.get(id)).status).toBe('running');
    // And looks on from where it was.
    const again = client.terminal(id, { from: terminal.offset });
    await again.send('more\n');
    expect(await allOf(again)).toBe('more\r\n<more>\r\n');
  });
});
