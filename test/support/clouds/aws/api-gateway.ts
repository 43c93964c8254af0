import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  type InvokeWithResponseStreamResponseEvent,
  type LambdaClient,
} from '@aws-sdk/client-lambda';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { readBody, toEvent, toGatewayRequest } from '../../../../local/gateway-event.ts';
import type { Endpoint } from '../../../../shared/contract/endpoint.ts';
import { endpoints, matchEndpoint } from '../../../../shared/contract/endpoints.ts';
import { listenLocally } from '../../listen-locally.ts';

/** A front door of the cloud, on a port of this machine. */
export interface FrontDoor {
  readonly url: string;
  close(): Promise<void>;
}

/** HTTP APIs answer within this or not at all. */
const HTTP_API_SECONDS = 30;
const MOST_BODY_BYTES = 10 * 1024 * 1024;

/**
 * What an API Gateway HTTP API does: routes of the endpoint table to functions, payload 2.0, answers in one piece.
 * It cannot answer by functions that stream, so their routes are proxies to their URLs, as deployed.
 */
export const httpApi = (
  lambda: () => LambdaClient,
  streaming: Readonly<Record<'mcp' | 'output', string>>,
): Promise<FrontDoor> =>
  listen(async (request, response) => {
    const body = await readBody(request, MOST_BODY_BYTES);
    if (body === 'too-large') return void response.writeHead(413).end('{"message":"Request Too Long"}');
    const event = toEvent(toGatewayRequest(request), body, Date.now());
    const match = matchEndpoint(request.method ?? 'GET', event.rawPath);
    const name = match.kind === 'endpoint' ? (endpoints[match.name] as Endpoint).function : 'system';
    if (name === 'output' || name === 'mcp') return proxy(`${streaming[name]}${request.url}`, request, body, response);
    // The routes of runners are not routes of this API.
    const { Payload, FunctionError } = await lambda().send(
      new InvokeCommand({ FunctionName: name === 'runner' ? 'system' : name, Payload: JSON.stringify(event) }),
    );
    if (FunctionError) return void response.writeHead(500).end('{"message":"Internal Server Error"}');
    const reply = JSON.parse(Buffer.from(Payload ?? []).toString()) as APIGatewayProxyStructuredResultV2;
    response.writeHead(reply.statusCode ?? 200, reply.headers as Record<string, string>);
    response.end(Buffer.from(reply.body ?? '', reply.isBase64Encoded ? 'base64' : 'utf8'));
  });

const proxy = async (url: string, request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> => {
  const { host = '', connection: _, 'content-length': __, ...headers } = toGatewayRequest(request).headers;
  const answer = await fetch(url, {
    method: request.method ?? 'GET',
    ...(body.length > 0 ? { body: new Uint8Array(body) } : {}),
    // The deployed route adds it, so that live events end before the gateway's patience does.
    headers: { ...headers, prefer: `wait=${HTTP_API_SECONDS - 10}`, 'errand-host': host },
    signal: AbortSignal.timeout(HTTP_API_SECONDS * 1_000),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  const { 'transfer-encoding': ___, ...kept } = Object.fromEntries(answer.headers);
  response.writeHead(answer.status, kept).end(bytes);
};

/** What a function URL does (payload 2.0): with `stream`, what the function writes is passed on as it comes. */
export const functionUrl = (
  lambda: () => LambdaClient,
  functionName: string,
  { stream }: { readonly stream: boolean },
): Promise<FrontDoor> =>
  listen(async (request, response) => {
    const body = await readBody(request, MOST_BODY_BYTES);
    if (body === 'too-large') return void response.writeHead(413).end();
    const Payload = JSON.stringify(toEvent(toGatewayRequest(request), body, Date.now()));
    if (stream) return passOn(lambda, functionName, Payload, response);
    const answer = await lambda().send(new InvokeCommand({ FunctionName: functionName, Payload }));
    if (answer.FunctionError) return void response.writeHead(502).end('Internal Server Error');
    const reply = JSON.parse(Buffer.from(answer.Payload ?? []).toString()) as APIGatewayProxyStructuredResultV2;
    response.writeHead(reply.statusCode ?? 200, reply.headers as Record<string, string>);
    response.end(Buffer.from(reply.body ?? '', reply.isBase64Encoded ? 'base64' : 'utf8'));
  });

/** Ends the JSON with status and headers that comes before a streamed body. */
const DELIMITER = Buffer.alloc(8);

const passOn = async (
  lambda: () => LambdaClient,
  FunctionName: string,
  Payload: string,
  response: ServerResponse,
): Promise<void> => {
  const { EventStream } = await lambda().send(new InvokeWithResponseStreamCommand({ FunctionName, Payload }));
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const event of (EventStream ?? []) as AsyncIterable<InvokeWithResponseStreamResponseEvent>) {
    let piece = Buffer.from(event.PayloadChunk?.Payload ?? []);
    if (head) {
      head = Buffer.concat([head, piece]);
      const end = head.indexOf(DELIMITER);
      if (end < 0) continue;
      const { statusCode, headers } = JSON.parse(head.subarray(0, end).toString());
      response.writeHead(statusCode, headers);
      response.flushHeaders();
      piece = Buffer.from(head.subarray(end + DELIMITER.length));
      head = undefined;
    }
    if (piece.length > 0) response.write(piece);
    if (event.InvokeComplete?.ErrorCode) return void response.destroy();
  }
  response.end();
};

const listen = async (
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<unknown>,
): Promise<FrontDoor> => {
  const server: Server = createServer((request, response) => {
    answer(request, response).catch(() => {
      if (response.headersSent) response.destroy();
      else response.writeHead(503).end('{"message":"Service Unavailable"}');
    });
  });
  return listenLocally(server);
};
