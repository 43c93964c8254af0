import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type Faults, makeFaults } from '../faults.ts';
import type { Environment, FunctionSpec } from './environment.ts';
import type { CloudFault } from './faults.ts';
import { type Functions, makeFunctions } from './functions.ts';
import { faultOf, type Operation, type ServiceError, serviceError } from './model.ts';
import { answerBuffered, answerStreamed } from './responses.ts';

export interface LambdaCloudOptions {
  readonly functions: Readonly<Record<string, FunctionSpec>>;
  /** Environments have their writable folders in here. */
  readonly folder: string;
  /** @default 1000 */
  readonly concurrency?: number;
  /** Streams are cut into chunks of at most so much. @default as they come */
  readonly chunkBytes?: number;
}

/** A local AWS Lambda: its wire protocol for invoking, and real processes where the cloud has machines. */
export interface LambdaCloud {
  readonly endpoint: string;
  readonly faults: Faults<Operation, CloudFault>;
  /** Requests so far, by operation. */
  readonly requests: ReadonlyMap<Operation, number>;
  /** Invocations so far, by function. */
  readonly invocations: ReadonlyMap<string, number>;
  /** Bodies of the requests so far. */
  readonly payloads: readonly string[];
  /** Bytes of streamed payload so far. */
  sentBytes(): number;
  /** Tenant ids of the requests so far. */
  readonly tenantIds: readonly (string | undefined)[];
  /** The environments that were made, also those that ended. */
  readonly environments: readonly Environment[];
  /** Connections that are open now. */
  connections(): Promise<number>;
  /** Resolves once no invocation is under way. */
  quiet(): Promise<void>;
  close(): Promise<void>;
}

export const REGION = 'eu-central-1';
const ACCOUNT = '123456789012';
const ROUTES: readonly (readonly [RegExp, Operation])[] = [
  [/^\/2015-03-31\/functions\/([^/]+)\/invocations$/, 'Invoke'],
  [/^\/2021-11-15\/functions\/([^/]+)\/response-streaming-invocations$/, 'InvokeWithResponseStream'],
];
const MOST_BYTES = 6 * 1024 * 1024;
const MOST_EVENT_BYTES = 1024 * 1024;

interface Seen {
  readonly requests: Map<Operation, number>;
  readonly invocations: Map<string, number>;
  readonly payloads: string[];
  readonly tenantIds: (string | undefined)[];
  sentBytes: number;
}

export const startLambdaCloud = async (options: LambdaCloudOptions): Promise<LambdaCloud> => {
  const functions = makeFunctions({ ...options, region: REGION });
  const faults = makeFaults<Operation, CloudFault>();
  const seen: Seen = { requests: new Map(), invocations: new Map(), payloads: [], tenantIds: [], sentBytes: 0 };
  const server = createServer((request, response) => {
    handle(request, response, { functions, faults, seen, options }).catch((error: Error) =>
      refuse(response, serviceError('ServiceException', error.message)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    requests: seen.requests,
    invocations: seen.invocations,
    payloads: seen.payloads,
    tenantIds: seen.tenantIds,
    sentBytes: () => seen.sentBytes,
    environments: functions.environments,
    connections: () => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
    quiet: functions.quiet,
    async close() {
      server.closeAllConnections();
      await Promise.all([new Promise((resolve) => server.close(resolve)), functions.close()]);
    },
  };
};

interface Parts {
  readonly functions: Functions;
  readonly faults: Faults<Operation, CloudFault>;
  readonly seen: Seen;
  readonly options: LambdaCloudOptions;
}

const handle = async (
  request: IncomingMessage,
  response: ServerResponse,
  { functions, faults, seen, options }: Parts,
): Promise<void> => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
  const [match, operation] = ROUTES.map(([path, name]) => [path.exec(pathname), name] as const).find(([m]) => m) ?? [];
  const payload = await buffer(request);
  if (!operation || request.method !== 'POST') {
    return refuse(response, serviceError('UnknownOperationException', 'Unknown operation'));
  }
  const tenantId = headerOf(request, 'x-amz-tenant-id');
  seen.requests.set(operation, (seen.requests.get(operation) ?? 0) + 1);
  seen.payloads.push(payload.toString());
  seen.tenantIds.push(tenantId);

  const fault = faults.take(operation);
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
  if (fault?.kind === 'error') {
    return refuse(response, serviceError(fault.type, fault.kind, fault));
  }
  const path = decodeURIComponent(match?.[1] ?? '');
  const name = path.replace(/^.*function:/, '').replace(/:[^:]+$/, '');
  const type = headerOf(request, 'x-amz-invocation-type') ?? 'RequestResponse';
  const spec = options.functions[name];
  const refusal =
    faultOf(operation, { path, query: searchParams, headers: request.headers }) ??
    unsigned(request) ??
    refusalOf(path, spec, { payload, type, tenantId });
  if (refusal || !spec) return refuse(response, refusal ?? notFound(path));
  if (type === 'DryRun') return void response.writeHead(204, idOf()).end();

  seen.invocations.set(name, (seen.invocations.get(name) ?? 0) + 1);
  const arn = `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}`;
  const admitted = functions.admit(name, { tenantId, arn, payload: payload.length > 0 ? payload : Buffer.from('{}') });
  if ('status' in admitted) return refuse(response, admitted);
  if (type === 'Event') {
    void admitted.again(2);
    return void response.writeHead(202, idOf()).end();
  }
  const wantsLog = headerOf(request, 'x-amz-log-type') === 'Tail';
  const answer = operation === 'Invoke' ? answerBuffered : answerStreamed;
  await answer(response, admitted, { fault, wantsLog, ...options, onSent: (bytes) => (seen.sentBytes += bytes) });
};

const refusalOf = (
  path: string,
  spec: FunctionSpec | undefined,
  { payload, type, tenantId }: { payload: Buffer; type: string; tenantId: string | undefined },
): ServiceError | undefined => {
  if (!spec) return notFound(path);
  if (spec.denied) {
    const who = 'User: arn:aws:iam::123456789012:user/dispatcher is not authorized';
    return serviceError('AccessDeniedException', `${who} to perform: lambda:InvokeFunction on resource: ${path}`);
  }
  if (spec.tenantIsolation && tenantId === undefined) {
    return serviceError(
      'InvalidParameterValueException',
      'The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again.',
    );
  }
  if (!spec.tenantIsolation && tenantId !== undefined) {
    return serviceError(
      'InvalidParameterValueException',
      'The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again.',
    );
  }
  const most = type === 'Event' ? MOST_EVENT_BYTES : MOST_BYTES;
  if (payload.length > most) {
    return serviceError(
      'RequestTooLargeException',
      `Request must be smaller than ${most} bytes for the InvokeFunction operation`,
    );
  }
  try {
    if (payload.length > 0) JSON.parse(payload.toString());
    return undefined;
  } catch {
    return serviceError('InvalidRequestContentException', 'Could not parse request body into json');
  }
};

const unsigned = (request: IncomingMessage): ServiceError | undefined =>
  /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[^/]+\/lambda\/aws4_request/.test(request.headers.authorization ?? '')
    ? undefined
    : serviceError('MissingAuthenticationTokenException', 'Missing Authentication Token');

const notFound = (path: string): ServiceError =>
  serviceError('ResourceNotFoundException', `Function not found: arn:aws:lambda:${REGION}:${ACCOUNT}:function:${path}`);

const refuse = (response: ServerResponse, { status, type, headers, body }: ServiceError): void => {
  if (response.headersSent) return void response.destroy();
  response
    .writeHead(status, { ...idOf(), 'content-type': 'application/json', 'x-amzn-errortype': type, ...headers })
    .end(JSON.stringify(body));
};

const idOf = () => ({ 'x-amzn-requestid': randomUUID() });

const headerOf = ({ headers }: IncomingMessage, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};
