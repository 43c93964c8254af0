import { existsSync, readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LOOPBACK, openDoor } from '../../local/door.ts';
import { makeGateway } from '../../local/gateway.ts';
import { listen } from '../../local/http-server.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { cli, type Server, startServer } from '../support/cli.ts';
import { owner, testWorker } from '../support/deps.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/* What strangers may do to a server on a port, while somebody with a key goes on working. */

const open = async () => {
  const dataDirectory = tempDirectory();
  const server = await startServer(dataDirectory);
  const key = readFileSync(join(dataDirectory, 'owner.key'), 'utf8').trim();
  return { dataDirectory, server, key };
};

/** Bad credentials by so many connections at once. */
const flood = async ({ url }: Server, count: number, connections: number) => {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const seen = new Map<number, number>();
  let limited: IncomingHttpHeaders = {};
  const one = (i: number) =>
    new Promise<void>((resolve) => {
      const asked = request(
        `${url}/v1/commands`,
        { agent, headers: { authorization: `Bearer guess-${i}` } },
        (response) => {
          const { statusCode = 0 } = response;
          seen.set(statusCode, (seen.get(statusCode) ?? 0) + 1);
          if (statusCode === 429) limited = response.headers;
          response.resume().once('end', resolve);
        },
      );
      asked.once('error', () => resolve()).end();
    });
  let next = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (next < count) await one(next++);
    }),
  );
  agent.destroy();
  return { seen, limited };
};

/** Sends a request again and again by so many connections, a hundred at a time on each, without waiting for answers between them. */
const torrent = async ({ url }: Server, lines: readonly string[], count: number, connections: number) => {
  const { hostname, port, host } = new URL(url);
  const one = [...lines, `Host: ${host}`, '', ''].join('\r\n');
  const seen = new Map<string, number>();
  let limited = '';
  const begun = performance.now();
  const send = async (most: number): Promise<void> => {
    const socket = connect({ host: hostname, port: Number(port) }).on('error', () => {});
    const wave = (): void => void socket.write(one.repeat(Math.min(100, most - answered)));
    let [answered, text] = [0, ''];
    wave();
    for await (const piece of socket.setEncoding('latin1')) {
      text += piece;
      for (let end = endOfAnswer(text); end > 0 && end <= text.length; end = endOfAnswer(text)) {
        const status = text.slice(9, 12);
        seen.set(status, (seen.get(status) ?? 0) + 1);
        if (status === '429') limited = text.slice(0, end);
        text = text.slice(end);
        if (++answered % 100 === 0 && answered < most) wave();
      }
      if (answered >= most) break;
    }
    socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, () => send(count / connections)));
  return { seen, limited, perSecond: (count / (performance.now() - begun)) * 1_000 };
};
/** Where the first answer in a text ends; 0 while its head is not whole. */
const endOfAnswer = (text: string): number => {
  const body = text.indexOf('\r\n\r\n') + 4;
  return body < 4 ? 0 : body + Number(/content-length: (\d+)/i.exec(text.slice(0, body))?.[1] ?? 0);
};

/** Asks with a good key again and again until `until` is over. How each was answered. */
const workOn = async (
  { url }: Pick<Server, 'url'>,
  key: string,
  until: Promise<unknown>,
): Promise<readonly number[]> => {
  const statuses: number[] = [];
  let isOver = false;
  until.finally(() => (isOver = true)).catch(() => {});
  do {
    const response = await fetch(`${url}/v1/whoami`, { headers: { authorization: `Bearer ${key}` } });
    await response.text();
    statuses.push(response.status);
    await pause(20);
  } while (!isOver);
  return statuses;
};

const memoryMiB = ({ process: { pid } }: Server): number => {
  const status = `/proc/${pid}/status`;
  if (!existsSync(status)) return 0;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]) / 1_024;
};

describe('while strangers', () => {
  test('guess at keys 20,000 times, as fast as they can, a good key works, they are told to wait, and it is told of', async () => {
    const { dataDirectory, server, key } = await open();
    const before = memoryMiB(server);
    const flooding = flood(server, 20_000, 200);
    const worked = await workOn(server, key, flooding);
    const { seen, limited } = await flooding;
    expect([...new Set(worked)]).toEqual([200]);
    expect(worked.length).toBeGreaterThan(5);
    // Fifty at once, and one a second.
    expect(seen.get(401)).toBeGreaterThanOrEqual(50);
    expect(seen.get(429)).toBeGreaterThan(18_000);
    expect(Number(limited['retry-after'])).toBeGreaterThan(0);
    expect(memoryMiB(server) - before).toBeLessThan(256);
    const { stdout } = await cli(['audit', 'list', '--type', 'security.alert', '--json'], { dataDirectory });
    const alerts = stdout.trim().split('\n');
    expect(alerts).toHaveLength(1);
    expect(JSON.parse(alerts[0] as string)).toMatchObject({ entry: { details: { kind: 'brute-force' } } });
  });

  test.for<[string, 'tenant' | 'nobody', number, string]>([
    ['with a key of their own ask 20,000 times', 'tenant', 20_000, 'GET /v1/roles HTTP/1.1'],
    ['without a key ask 5,000 times for the largest that needs none', 'nobody', 5_000, 'GET /openapi.json HTTP/1.1'],
  ])('%s, they are told when to come again, and others are answered', async ([, who, count, line]) => {
    const { server, key } = await open();
    const made = await fetch(`${server.url}/v1/tenants`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ id: 'eager', name: 'Eager', limits: { requestsPerSecond: 100 } }),
    });
    const { key: theirs } = (await made.json()) as { key: string };
    const before = memoryMiB(server);
    const lines = who === 'tenant' ? [line, `Authorization: Bearer ${theirs}`] : [line];
    const flooding = torrent(server, lines, count, 20);
    const worked = await workOn(server, key, flooding);
    const { seen, limited, perSecond } = await flooding;
    expect([...new Set(worked)]).toEqual([200]);
    expect([...seen.keys()].toSorted()).toEqual(['200', '429']);
    expect((seen.get('200') ?? 0) + (seen.get('429') ?? 0)).toBe(count);
    // The burst, and so many a second for as long as it took.
    expect(seen.get('200')).toBeLessThanOrEqual(500 + 100 * (1 + count / perSecond));
    expect(limited).toMatch(/\r\nretry-after: [1-9]\d*\r\n/i);
    expect(memoryMiB(server) - before).toBeLessThan(256);
  });

  test('send their headers a byte at a time, others are answered, and they are cut off', async () => {
    const { server, key } = await open();
    const { hostname, port } = new URL(server.url);
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    const closed: Promise<void>[] = [];
    for (let i = 0; i < 300; i++) {
      const socket = connect({ host: hostname, port: Number(port) }).on('error', () => {});
      sockets.push(socket);
      closed.push(new Promise((resolve) => socket.once('close', () => resolve())));
      socket.write('GET /v1/commands HTTP/1.1\r\nHost: x\r\nX-Slow: ');
      socket.resume();
    }
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write('a');
    }, 500);
    onTestFinished(() => clearInterval(drip));
    const all = Promise.all(closed);
    const worked = await workOn(server, key, all);
    expect([...new Set(worked)]).toEqual([200]);
    expect(worked.length).toBeGreaterThan(50);
  }, 60_000);

  test('send a body a byte at a time, others are answered, and they are cut off when their time is over', async () => {
    const deps = await testWorker({ work: false });
    const load = { headersMs: 300, requestMs: 2_000 };
    const door = openDoor(LOOPBACK);
    const server = await listen(makeGateway(deps), { ...LOOPBACK, port: 0, door, log: silentLog, load });
    onTestFinished(() => server.close());
    const { hostname, port } = new URL(server.url);
    const slow = Array.from({ length: 100 }, () => {
      const socket = connect({ host: hostname, port: Number(port) }).on('error', () => {});
      socket.write('POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n');
      socket.write('Content-Length: 200000\r\n\r\n{');
      return socket.resume();
    });
    const drip = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write(' ');
    }, 100);
    onTestFinished(() => clearInterval(drip));
    const closed = Promise.all(slow.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    expect([...new Set(await workOn(server, 'any', closed))]).toEqual([200]);
    expect((await deps.commands.list(owner.tenant, {}, { limit: 1 })).commands).toEqual([]);
  }, 60_000);

  test('are too slow with their headers, they are told so, with what may be tried again', async () => {
    const { server } = await open();
    const { hostname, port } = new URL(server.url);
    const socket = connect({ host: hostname, port: Number(port) });
    onTestFinished(() => void socket.destroy());
    socket.write('GET /v1/commands HTTP/1.1\r\nHost: x\r\n');
    let answer = '';
    for await (const piece of socket) answer += piece;
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  }, 60_000);

  test('hold more connections open than one address may, the server takes no more from there, and then again', async () => {
    const { server, key } = await open();
    const { hostname, port } = new URL(server.url);
    const sockets = Array.from({ length: 600 }, () =>
      connect({ host: hostname, port: Number(port) }).on('error', () => {}),
    );
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    const isClosed = (socket: Socket) => socket.destroyed || socket.readableEnded;
    for (const socket of sockets) socket.resume();
    while (sockets.filter(isClosed).length < 100) await pause(20);
    expect(sockets.filter((socket) => !isClosed(socket)).length).toBeLessThanOrEqual(500);
    for (const socket of sockets) socket.destroy();
    let status = 0;
    while (status !== 200) {
      await pause(20);
      const headers = { authorization: `Bearer ${key}` };
      status = await fetch(`${server.url}/v1/whoami`, { headers }).then(
        (response) => response.status,
        () => 0,
      );
    }
  }, 60_000);
});
