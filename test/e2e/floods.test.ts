import { existsSync, readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cli, type Server, startServer } from '../support/cli.ts';
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

/** Asks with a good key again and again until `until` is over. How each was answered. */
const workOn = async ({ url }: Server, key: string, until: Promise<unknown>): Promise<readonly number[]> => {
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
