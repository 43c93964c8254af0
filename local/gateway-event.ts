import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import type { Instant } from '../shared/domain/clock.ts';

/** A request, as a server or a caller in this process hands it over. */
export interface GatewayRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** By name in lower case; several values joined with commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array> | undefined;
  readonly sourceIp: string;
}

/** The body, when it is at most so long. */
export const readBody = async (
  body: AsyncIterable<Uint8Array> | undefined,
  mostBytes: number,
): Promise<Buffer | 'too-large'> => {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body ?? []) {
    length += piece.length;
    if (length > mostBytes) return 'too-large';
    pieces.push(piece);
  }
  return Buffer.concat(pieces, length);
};

const splitOnce = (text: string, separator: string): [string, string] => {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
};

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html (payload 2.0) */
export const toEvent = (
  { method, target, headers, sourceIp }: GatewayRequest,
  body: Buffer,
  now: Instant,
): APIGatewayProxyEventV2 => {
  const [rawPath = '/', rawQueryString = ''] = splitOnce(target, '?');
  const query = new URLSearchParams(rawQueryString);
  const names = [...new Set(query.keys())];
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString,
    headers: { ...headers },
    ...(names.length > 0
      ? { queryStringParameters: Object.fromEntries(names.map((name) => [name, query.getAll(name).join(',')])) }
      : {}),
    requestContext: {
      accountId: 'local',
      apiId: 'local',
      domainName: headers['host'] ?? 'localhost',
      domainPrefix: 'local',
      http: { method, path: rawPath, protocol: 'HTTP/1.1', sourceIp, userAgent: headers['user-agent'] ?? '' },
      requestId: randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: new Date(now).toISOString(),
      timeEpoch: now,
    },
    ...(body.length > 0 ? { body: body.toString('base64') } : {}),
    isBase64Encoded: body.length > 0,
  };
};

/** A request of Node's HTTP server, its body still to be read. */
export const toGatewayRequest = (request: IncomingMessage): GatewayRequest => {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(',') : value;
  }
  return {
    method: request.method ?? 'GET',
    target: request.url ?? '/',
    headers,
    body: request,
    // A socket that is gone has no address any more; that must not make it one of this process's own callers.
    sourceIp: request.socket.remoteAddress ?? 'gone',
  };
};
