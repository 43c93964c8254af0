import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type Faults, type HttpFault, makeFaults } from '../faults.ts';
import { BodyFault, type Operation, queryFault, type Route, readBody, routeOf, writeBody } from './discovery.ts';
import type { Execution } from './execution.ts';
import { executionSubject, type Jobs, type JobsOptions, makeJobs, type Subject } from './jobs.ts';
import { ApiError, invalid, type JobBody, notFound, type RunOverrides } from './resources.ts';

/** A request as it came, for tests of what is sent. */
export interface SeenRequest {
  readonly operation: Operation;
  readonly path: string;
  readonly query: string;
  readonly body: string;
}

/** A local Cloud Run: jobs and their executions over REST v2, and real processes where the cloud has containers. */
export interface CloudRunCloud {
  readonly endpoint: string;
  readonly faults: Faults<Operation, HttpFault>;
  /** Requests so far, by operation. */
  readonly requests: ReadonlyMap<Operation, number>;
  readonly seen: readonly SeenRequest[];
  /** Requests that this API does not have. */
  readonly strays: readonly string[];
  /** Every execution there ever was, oldest first. */
  readonly executions: readonly Execution[];
  close(): Promise<void>;
}

export interface CloudRunCloudOptions extends JobsOptions {
  /** How enums are written, whatever the caller asks for. @default as it asks */
  readonly enums?: 'names' | 'numbers';
  /** Tokens that are taken. @default any */
  readonly tokens?: readonly string[];
}

interface Parts {
  readonly options: CloudRunCloudOptions;
  readonly jobs: Jobs;
  readonly faults: Faults<Operation, HttpFault>;
  readonly operations: Map<string, Subject>;
  readonly requests: Map<Operation, number>;
  readonly seen: SeenRequest[];
  readonly strays: string[];
}

export const startCloudRunCloud = async (options: CloudRunCloudOptions): Promise<CloudRunCloud> => {
  const parts: Parts = {
    options,
    jobs: makeJobs(options),
    faults: makeFaults<Operation, HttpFault>(),
    operations: new Map(),
    requests: new Map(),
    seen: [],
    strays: [],
  };
  const server = createServer((request, response) => {
    handle(parts, request, response).catch((error: unknown) => refuse(response, error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults: parts.faults,
    requests: parts.requests,
    seen: parts.seen,
    strays: parts.strays,
    executions: parts.jobs.started,
    async close() {
      server.closeAllConnections();
      await Promise.all([new Promise((resolve) => server.close(resolve)), parts.jobs.close()]);
    },
  };
};

const handle = async (parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const { pathname, searchParams, search } = new URL(request.url ?? '', 'http://localhost');
  const body = (await buffer(request)).toString();
  const route = routeOf(request.method ?? '', pathname);
  if (!route) {
    parts.strays.push(`${request.method} ${pathname}`);
    throw new ApiError(404, 'NOT_FOUND', 'Method not found.');
  }
  const { operation } = route;
  parts.requests.set(operation, (parts.requests.get(operation) ?? 0) + 1);
  parts.seen.push({ operation, path: pathname, query: search, body });

  const fault = parts.faults.take(operation);
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
  if (fault?.kind === 'status') {
    if (fault.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fault.retryAfterSeconds));
    throw new ApiError(fault.status, fault.code ?? CODES[fault.status] ?? 'UNKNOWN', `An injected ${fault.status}.`);
  }
  checkCaller(request, route, parts.options);
  const wrong = queryFault(route, searchParams);
  if (wrong !== undefined) throw invalid(wrong);

  const asked = searchParams.get('$alt')?.includes('enum-encoding=int') ? 'numbers' : 'names';
  const enums = parts.options.enums ?? asked;
  const answer = perform(parts, route, { query: searchParams, body: parse(route, body), enums });
  if (fault?.kind === 'answer-lost') return void request.socket.resetAndDestroy();
  const json = JSON.stringify(writeBody(route.method.response.$ref, answer, enums));
  response.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' }).end(json);
};

const CODES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** A token, and the header by which Google finds the region of a request before it reads it. */
const checkCaller = (
  { headers }: IncomingMessage,
  { operation, names }: Route,
  { tokens }: CloudRunCloudOptions,
): void => {
  const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
  if (token === undefined || tokens?.includes(token) === false) {
    throw new ApiError(401, 'UNAUTHENTICATED', 'Request is missing required authentication credential.');
  }
  const routing = new URLSearchParams(String(headers['x-goog-request-params'] ?? ''));
  // The client's calls for operations carry none.
  if (operation === 'GetOperation') return;
  if (![...routing.values()].some((value) => value.includes(names[1] ?? ''))) {
    throw invalid('The header x-goog-request-params names no location of the request.');
  }
};

const parse = ({ method }: Route, body: string): unknown => {
  if (!method.request) return undefined;
  try {
    return readBody(method.request.$ref, body === '' ? {} : JSON.parse(body));
  } catch (error) {
    if (error instanceof BodyFault || error instanceof SyntaxError) throw invalid(error.message);
    throw error;
  }
};

interface Asked {
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly enums: 'names' | 'numbers';
}

const perform = (parts: Parts, { operation, names }: Route, { query, body, enums }: Asked): object => {
  const { jobs, operations } = parts;
  const [project = '', location = '', third = '', fourth = ''] = names;
  const parent = `projects/${project}/locations/${location}`;
  const job = `${parent}/jobs/${third}`;
  const execution = `${job}/executions/${fourth}`;
  const begin = (subject: Subject) => {
    const name = `${parent}/operations/${randomUUID()}`;
    operations.set(name, subject);
    return toOperation(name, subject, enums);
  };
  switch (operation) {
    case 'CreateJob':
      return begin(jobs.create(parent, query.get('jobId') ?? '', body as JobBody));
    case 'GetJob':
      return jobs.find(job).resource();
    case 'ListJobs': {
      const { items, next } = pageOf(jobs.list(parent), query);
      return { jobs: items.map((one) => one.resource()), ...next };
    }
    case 'DeleteJob':
      return begin(jobs.delete(job));
    case 'RunJob':
      return begin(jobs.run(job, (body as { overrides?: RunOverrides }).overrides));
    case 'GetExecution':
      return jobs.findExecution(execution).resource();
    case 'ListExecutions': {
      const { items, next } = pageOf(jobs.executionsOf(job), query);
      return { executions: items.map((one) => one.resource()), ...next };
    }
    case 'CancelExecution': {
      const found = jobs.findExecution(execution);
      if (!found.cancel()) throw new ApiError(400, 'FAILED_PRECONDITION', 'The execution has already completed.');
      return begin(executionSubject(found));
    }
    case 'DeleteExecution':
      return begin(executionSubject(jobs.deleteExecution(execution)));
    case 'ListTasks':
      return { tasks: [jobs.findExecution(execution).task()] };
    case 'GetOperation': {
      const name = `${parent}/operations/${third}`;
      const subject = operations.get(name);
      if (!subject) throw notFound(name);
      return toOperation(name, subject, enums);
    }
  }
};

/** Done when its subject is: the operation of a run waits for the end of the run. */
const toOperation = (name: string, subject: Subject, enums: 'names' | 'numbers'): object => {
  const type = `GoogleCloudRunV2${subject.type}`;
  const resource = {
    '@type': `type.googleapis.com/google.cloud.run.v2.${subject.type}`,
    ...(writeBody(type, subject.resource(), enums) as object),
  };
  if (!subject.isDone()) return { name, metadata: resource };
  const error = subject.error();
  return { name, metadata: resource, done: true, ...(error ? { error } : { response: resource }) };
};

const MOST_OF_A_PAGE = 100;

/** Pages are told apart by where they begin; whatever was added since moves them, as a caller has to bear. */
const pageOf = <T>(all: readonly T[], query: URLSearchParams): { items: readonly T[]; next: object } => {
  const size = Math.min(Number(query.get('pageSize') ?? 0) || MOST_OF_A_PAGE, MOST_OF_A_PAGE);
  const from = Number(query.get('pageToken') || 0);
  const to = from + size;
  return { items: all.slice(from, to), next: to < all.length ? { nextPageToken: String(to) } : {} };
};

const refuse = (response: ServerResponse, error: unknown): void => {
  if (response.headersSent) return void response.destroy();
  const { status, code, message } =
    error instanceof ApiError ? error : { status: 500, code: 'INTERNAL', message: String(error) };
  response
    .writeHead(status, { 'content-type': 'application/json; charset=UTF-8' })
    .end(JSON.stringify({ error: { code: status, message, status: code } }));
};
