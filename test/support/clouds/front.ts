import { request as ask, createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** What stands in front answers, or undefined to pass the request on. */
export type FrontHandler = (asked: Asked) => { readonly status: number; readonly value?: object } | undefined;

/** Stands in front of a local cloud and answers for services that it has not, such as its storage. */
export const standInFront = async (
  of: string,
  handle: FrontHandler,
): Promise<{ readonly endpoint: string; close(): Promise<void> }> => {
  const server = createServer(async (incoming, reply) => {
    const body = await buffer(incoming);
    const { pathname, searchParams: query } = new URL(incoming.url ?? '', 'http://localhost');
    const method = incoming.method ?? 'GET';
    const { headers } = incoming;
    const answer = handle({ method, path: decodeURIComponent(pathname), query, headers, body });
    if (answer) {
      reply.writeHead(answer.status, { 'content-type': 'application/json' });
      return void reply.end(JSON.stringify(answer.value ?? {}));
    }
    ask(new URL(incoming.url ?? '', of), { method, headers }, (response) => {
      reply.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(reply);
    })
      .on('error', () => incoming.socket.destroy())
      .end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
