import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { tempDirectory } from '../temp-directory.ts';

/**
 * `hang`: no answer, and nothing is passed on; `reset`: the connection breaks, and nothing is passed on; `lost`: it is done,
 * and the connection breaks before the answer; `late`: it is done, and nobody says so; `stall`: the answer begins and does
 * not go on. A number: an answer with that status, and nothing is passed on.
 */
export type DaemonFault = 'hang' | 'reset' | 'lost' | 'late' | 'stall' | number;

export interface DaemonProxy {
  readonly socketPath: string;
  /** Every call so far, such as `POST /containers/<id>/start`. */
  readonly seen: readonly string[];
  /** The next `times` calls that match meet this fault. @default all to come */
  fail(call: RegExp, fault: DaemonFault, times?: number): void;
  /** Breaks the connections of calls that match and are under way. */
  cut(call: RegExp): void;
  /** The same for the last of them. */
  cutLast(call: RegExp): void;
}

/** Stands between the provider and a daemon until the test ends, and lets things go wrong. */
export const daemonProxy = async (daemon: string): Promise<DaemonProxy> => {
  const socketPath = join(tempDirectory(), 'proxy.sock');
  const seen: string[] = [];
  const open = new Map<Duplex, string>();
  let rules: { call: RegExp; fault: DaemonFault; left: number }[] = [];

  const meet = ({ method, url = '' }: IncomingMessage, socket: Duplex): DaemonFault | undefined => {
    const call = `${method} ${url.split('?')[0]}`;
    seen.push(call);
    open.set(socket, call);
    socket.once('close', () => open.delete(socket));
    const rule = rules.find((one) => one.left > 0 && one.call.test(call));
    if (rule) rule.left--;
    return rule?.fault;
  };

  const serve = async (asked: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const fault = meet(asked, asked.socket);
    const body = await buffer(asked);
    if (fault === 'hang') return;
    if (fault === 'reset') return void asked.socket.destroy();
    if (typeof fault === 'number') return void reply.writeHead(fault).end(JSON.stringify({ message: 'out of order' }));
    const answer = await forward(daemon, asked, body);
    if (fault === 'late') return;
    if (fault === 'lost') return void asked.socket.destroy();
    reply.writeHead(answer.statusCode ?? 500, answer.headers);
    if (fault === 'stall') return reply.flushHeaders();
    answer.on('error', () => asked.socket.destroy()).pipe(reply);
  };

  const server = createServer((asked, reply) => {
    serve(asked, reply).catch(() => asked.socket.destroy());
  });
  server.on('upgrade', (asked: IncomingMessage, socket: Duplex) => {
    const fault = meet(asked, socket);
    socket.on('error', () => {});
    if (fault === 'hang') return;
    if (fault !== undefined) return void socket.destroy();
    const upstream: Socket = connect({ path: daemon, allowHalfOpen: true });
    const head = asked.rawHeaders.map((part, at) => (at % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join('');
    upstream.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${head}\r\n`);
    upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
    socket.pipe(upstream).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  onTestFinished(async () => {
    for (const socket of open.keys()) socket.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    socketPath,
    seen,
    fail(call, fault, times = Number.POSITIVE_INFINITY) {
      rules = [{ call, fault, left: times }, ...rules];
    },
    cut(call) {
      for (const [socket, own] of open) if (call.test(own)) socket.destroy();
    },
    cutLast(call) {
      [...open].findLast(([, own]) => call.test(own))?.[0].destroy();
    },
  };
};

const forward = (socketPath: string, { method, url, headers }: IncomingMessage, body: Buffer) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath, method, path: url, headers }, resolve).on('error', reject).end(body);
  });
