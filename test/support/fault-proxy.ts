import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

/**
 * `reset`: the connection breaks; `lost`: it breaks when all is done, before the answer; `hang`: no answer;
 * `dawdle`: a sign of life ten times a second, and no answer; `error`: a 500; `garbage`: a 200 that says nothing;
 * `cut` and `stall`: the connection breaks, or nothing more comes, halfway through the body of the answer.
 */
export type Fault = 'reset' | 'lost' | 'hang' | 'dawdle' | 'error' | 'garbage' | 'cut' | 'stall';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly body: Buffer;
}

export interface FaultProxy {
  readonly endpoint: string;
  /** Every request so far. */
  readonly seen: readonly SeenRequest[];
  /** The next `times` requests meet this fault. @default all to come */
  fail(fault: Fault, times?: number): void;
  /** The next `times` requests of this method are answered so, and go no further. @default all to come */
  answer(method: string, body: string, times?: number): void;
  /** The next `times` requests are answered with this status and body, and go no further. @default all to come */
  refuse(status: number, body: string, times?: number): void;
}

/** Stands between a client and a server until the test ends, notes what is asked, and lets things go wrong. */
export const faultProxy = async (target: string): Promise<FaultProxy> => {
  const seen: SeenRequest[] = [];
  let fault: Fault | undefined;
  let faultsLeft = 0;
  let told = { method: '', body: '', left: 0 };
  let refusal = { status: 0, body: '', left: 0 };

  const serve = async (asked: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const body = await buffer(asked);
    seen.push({ method: asked.method ?? '', url: asked.url ?? '', body });
    if (asked.method === told.method && told.left-- > 0) return void reply.writeHead(200).end(told.body);
    if (refusal.left-- > 0) return void reply.writeHead(refusal.status).end(refusal.body);
    const now = faultsLeft-- > 0 ? fault : undefined;
    if (now === 'hang') return;
    if (now === 'dawdle') return dawdle(reply);
    if (now === 'reset') return void asked.socket.resetAndDestroy();
    if (now === 'error') return void reply.writeHead(500).end('out of order');
    if (now === 'garbage') return void reply.writeHead(200).end('<html>');
    const upstream = await forward(target, asked, body);
    const bytes = await buffer(upstream);
    if (now === 'lost') return void asked.socket.resetAndDestroy();
    reply.writeHead(upstream.statusCode ?? 500, upstream.headers);
    if (now === undefined) return void reply.end(bytes);
    reply.write(bytes.subarray(0, bytes.length / 2), () => {
      if (now === 'cut') asked.socket.resetAndDestroy();
    });
  };

  const server = createServer((asked, reply) => {
    // Whoever gave up has gone.
    serve(asked, reply).catch(() => asked.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    endpoint: `http://localhost:${(server.address() as AddressInfo).port}`,
    seen,
    fail(next, times = Number.POSITIVE_INFINITY) {
      fault = next;
      faultsLeft = times;
    },
    answer(method, body, times = Number.POSITIVE_INFINITY) {
      told = { method, body, left: times };
    },
    refuse(status, body, times = Number.POSITIVE_INFINITY) {
      refusal = { status, body, left: times };
    },
  };
};

const dawdle = (reply: ServerResponse): void => {
  const timer = setInterval(() => reply.writeProcessing(), 100);
  reply.on('close', () => clearInterval(timer));
};

const forward = (target: string, { method, url = '/', headers }: IncomingMessage, body: Buffer) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const { expect: _answered, ...rest } = headers;
    request(new URL(url, target), { method, headers: rest }, resolve).on('error', reject).end(body);
  });
