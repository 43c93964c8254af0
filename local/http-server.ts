import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../shared/domain/errors.ts';
import { PROBLEM_TYPE, toProblem } from '../shared/http/problem.ts';
import { toNeighbourhood } from '../shared/limits/addresses.ts';
import type { Log } from '../shared/telemetry/log.ts';
import type { Door } from './door.ts';
import type { Gateway, GatewayReply } from './gateway.ts';
import { type GatewayRequest, toGatewayRequest } from './gateway-event.ts';
import { peerUserOf } from './peer-user.ts';
import type { TerminalSockets } from './terminal-sockets.ts';

export interface HttpServer {
  readonly url: string;
  /** Takes no more requests, ends live streams, and resolves once all connections are closed. */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly door: Door;
  readonly log: Log;
  /** @default LOAD */
  readonly load?: Partial<Load>;
  /** With it, whoever calls from this machine as the user of this process, and shows no key, is taken to hold this one. */
  readonly ownerKey?: string | undefined;
  /** @default none: whoever asks for a WebSocket is answered as if it did not */
  readonly terminals?: TerminalSockets;
}

/** How much of callers the server bears with. */
interface Load {
  /** From the connection, or the end of the last request, to the last byte of the headers. */
  readonly headersMs: number;
  /** To the last byte of the body. Replies may take as long as they like. */
  readonly requestMs: number;
  readonly idleMs: number;
  /** Of all callers: further ones are closed at once. */
  readonly connections: number;
  /** From one address, so that nobody takes all; those of proxies that are named, and of this machine, are not counted. */
  readonly connectionsFromOne: number;
}
const LOAD: Load = {
  headersMs: 10_000,
  requestMs: 60_000,
  idleMs: 65_000,
  connections: 10_000,
  connectionsFromOne: 500,
};

/** What is not taken for a request, by Node's codes. 408: nothing was done, so that whoever was only slow may send it again. */
const UNREADABLE: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/**
 * Serves the gateway over HTTP/1.1.
 * @throws Error in words for a person when the port is taken or the address cannot be used
 */
export const listen = async (gateway: Gateway, options: ListenOptions): Promise<HttpServer> => {
  const { host, port, door, log, ownerKey, terminals } = options;
  const load = { ...LOAD, ...options.load };
  const times = {
    headersTimeout: load.headersMs,
    requestTimeout: load.requestMs,
    keepAliveTimeout: load.idleMs,
    connectionsCheckingInterval: Math.min(5_000, load.headersMs),
    shouldUpgradeCallback: (request: IncomingMessage) => terminals?.takes(request) ?? false,
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    serve(gateway, request, response, { door, ownerKey }).catch((error: unknown) => {
      log.warn('A connection was cut short', { error });
      response.destroy();
    });
  };
  const server = door.tls ? createTlsServer({ ...times, ...door.tls }, answer) : createServer(times, answer);
  if (terminals) {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => {});
      upgrade(gateway, request, { socket, head }, { door, ownerKey, terminals }).catch((error: unknown) => {
        log.warn('A connection was cut short', { error });
        socket.destroy();
      });
    });
  }
  server.maxConnections = load.connections;
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket;
    if (!door.admits(remoteAddress)) return socket.destroy();
    if (remoteAddress === undefined || door.isTrusted(remoteAddress)) return;
    const from = toNeighbourhood(remoteAddress);
    const already = open.get(from) ?? 0;
    if (already >= load.connectionsFromOne) return socket.destroy();
    open.set(from, already + 1);
    socket.once('close', () => {
      const left = (open.get(from) ?? 1) - 1;
      if (left > 0) open.set(from, left);
      else open.delete(from);
    });
  });
  server.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket) => {
    const status = UNREADABLE[code] ?? '400 Bad Request';
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  await bind(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `${door.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      // Live streams would hold the server open for as long as their commands run; their readers resume elsewhere.
      server.closeAllConnections();
      await closed;
    },
  };
};

const bind = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(explain(error, host, port), { cause: error })),
    );
    server.listen({ host, port }, resolve);
  });

const explain = ({ code, message }: NodeJS.ErrnoException, host: string, port: number): string => {
  if (code === 'EADDRINUSE')
    return `Port ${port} on ${host} is taken. Choose another with --port, or stop what listens there.`;
  if (code === 'EACCES')
    return `Port ${port} on ${host} may not be used by this user. Choose one above 1023 with --port.`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `This machine has no address ${host}. Choose another with --host.`;
  return `Cannot listen on ${host}:${port}: ${message}`;
};

const serve = async (
  gateway: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
  { door, ownerKey }: Pick<ListenOptions, 'door' | 'ownerKey'>,
): Promise<void> => {
  const refused = refuseForeignPage(request, door);
  const reply =
    refused ??
    (await gateway(await withOwnerKey(toDoorRequest(request, door), request, door.knowsUsers ? ownerKey : undefined)));
  if (typeof reply.body === 'string' || Buffer.isBuffer(reply.body)) {
    response.writeHead(reply.statusCode, { ...reply.headers, 'content-length': Buffer.byteLength(reply.body) });
    response.end(reply.body);
    return;
  }
  response.writeHead(reply.statusCode, reply.headers);
  response.flushHeaders();
  // The client's leaving ends the reading, and with it the reply's source.
  await pipeline(reply.body, response).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
};

/** The gateway decides, as about any request; where it lets in, the connection goes on as a WebSocket. */
const upgrade = async (
  gateway: Gateway,
  request: IncomingMessage,
  connection: { readonly socket: Duplex; readonly head: Buffer },
  { door, ownerKey, terminals }: Required<Pick<ListenOptions, 'door' | 'terminals'>> & Pick<ListenOptions, 'ownerKey'>,
): Promise<void> => {
  const asked = await withOwnerKey(
    { ...toDoorRequest(request, door), body: undefined },
    request,
    door.knowsUsers ? ownerKey : undefined,
  );
  const reply = refuseForeignPage(request, door) ?? (await gateway(asked));
  if (reply.statusCode === 101) return terminals.accept(request, connection, asked);
  const body = typeof reply.body === 'string' ? reply.body : '';
  const headers = { ...reply.headers, connection: 'close', 'content-length': String(Buffer.byteLength(body)) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.socket.end(
    `HTTP/1.1 ${reply.statusCode} ${STATUS_CODES[reply.statusCode] ?? ''}\r\n${lines.join('')}\r\n${body}`,
  );
};

const toDoorRequest = (request: IncomingMessage, door: Door): GatewayRequest => {
  const asked = toGatewayRequest(request);
  return { ...asked, sourceIp: door.sourceOf(asked.sourceIp, asked.headers['x-forwarded-for']) };
};

const ownUser = process.geteuid?.();
/** By connection, since it stays whose it is. */
const users = new WeakMap<Socket, Promise<number | undefined>>();

const withOwnerKey = async (
  asked: GatewayRequest,
  { socket }: IncomingMessage,
  ownerKey: string | undefined,
): Promise<GatewayRequest> => {
  const { headers } = asked;
  if (ownerKey === undefined || ownUser === undefined || 'authorization' in headers || isPassedOn(headers))
    return asked;
  const user = users.get(socket) ?? peerUserOf(socket);
  users.set(socket, user);
  return (await user) === ownUser ? { ...asked, headers: { ...headers, authorization: `Bearer ${ownerKey}` } } : asked;
};

/** By a proxy, which may run as this user and speak for anyone. */
const isPassedOn = (headers: GatewayRequest['headers']): boolean =>
  Object.keys(headers).some((name) => name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-'));

/**
 * A web page that the user visits can send requests to loopback too, by another origin or by a host name that it
 * points here (DNS rebinding). Neither gets in.
 */
const refuseForeignPage = ({ headers }: IncomingMessage, { isOwnName }: Door): GatewayReply | undefined => {
  const { host = '', origin } = headers;
  const foreignOrigin = origin !== undefined && !isOwnName(origin.replace(/^https?:\/\//, ''));
  if (isOwnName(host) && !foreignOrigin) return undefined;
  const detail = 'This server answers only requests made to its own names, and not from other sites’ pages.';
  const problem = toProblem(new AppError('forbidden', detail), '');
  return { statusCode: problem.status, headers: { 'content-type': PROBLEM_TYPE }, body: JSON.stringify(problem) };
};
