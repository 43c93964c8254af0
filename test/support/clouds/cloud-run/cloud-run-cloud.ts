import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type CloudFault, type Faults, makeFaults } from '../faults.ts';
import { type Execution, type ExecutionOptions, startExecution } from './execution.ts';
import { faultIn } from './schema.ts';

export interface CloudRunOptions extends ExecutionOptions {
  /** Images that are not there. */
  readonly brokenImages?: readonly string[];
  /** From the making of a job until it is ready. @default 20 */
  readonly readyMs?: number;
}

/** A local Cloud Run: its REST API for jobs, and processes where the cloud has containers. */
export interface CloudRunCloud {
  readonly endpoint: string;
  readonly faults: Faults;
  /** Requests so far, by operation. */
  readonly requests: ReadonlyMap<string, number>;
  /** All that was said in requests so far. */
  readonly bodies: readonly string[];
  readonly executions: readonly Execution[];
  close(): Promise<void>;
}

interface Job {
  readonly resource: Record<string, unknown> & { name: string };
  readonly readyAt: number;
}

/** An error as Google's APIs tell it (https://cloud.google.com/apis/design/errors). */
class ApiError extends Error {
  readonly code: number;
  readonly status: string;

  constructor(code: number, status: string, message: string) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const notFound = (name: string) => new ApiError(404, 'NOT_FOUND', `Resource '${name}' was not found`);
const ROUTES: readonly (readonly [string, RegExp, string])[] = [
  ['POST', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+)\/jobs$/, 'createJob'],
  ['GET', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/:]+)$/, 'getJob'],
  ['DELETE', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/:]+)$/, 'deleteJob'],
  ['POST', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/:]+):run$/, 'runJob'],
  ['GET', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/:]+)\/executions$/, 'listExecutions'],
  ['GET', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+\/executions\/[^/:]+)$/, 'getExecution'],
  ['POST', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+\/executions\/[^/:]+):cancel$/, 'cancelExecution'],
  ['GET', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/jobs\/[^/]+\/executions\/[^/:]+)\/tasks$/, 'listTasks'],
  ['GET', /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/operations\/[^/:]+)$/, 'getOperation'],
];
const EXECUTION_TYPE = 'type.googleapis.com/google.cloud.run.v2.Execution';
const BODY: Readonly<Record<string, string>> = {
  createJob: 'GoogleCloudRunV2Job',
  runJob: 'GoogleCloudRunV2RunJobRequest',
  cancelExecution: 'GoogleCloudRunV2CancelExecutionRequest',
};

export const startCloudRun = async (options: CloudRunOptions): Promise<CloudRunCloud> => {
  const { brokenImages = [], readyMs = 20 } = options;
  const jobs = new Map<string, Job>();
  const executions: Execution[] = [];
  const operations = new Map<string, () => object>();
  const faults = makeFaults();
  const requests = new Map<string, number>();
  const bodies: string[] = [];

  const executionOf = (name: string): Execution => {
    const found = executions.find((execution) => execution.name === name);
    if (!found) throw notFound(name);
    return found;
  };

  const operation = (location: string, state: () => object): object => {
    const name = `${location}/operations/${randomBytes(8).toString('hex')}`;
    operations.set(name, () => ({ name, ...state() }));
    return { name, ...state() };
  };

  const jobView = ({ resource, readyAt }: Job): object => {
    const isReady = Date.now() >= readyAt;
    const template = resource['template'] as { template: { containers: { image: string }[] } };
    const image = template.template.containers[0]?.image ?? '';
    const broken = brokenImages.includes(image);
    const message = broken ? `Image '${image}' not found.` : undefined;
    const state = !isReady ? 'CONDITION_RECONCILING' : broken ? 'CONDITION_FAILED' : 'CONDITION_SUCCEEDED';
    return {
      ...resource,
      reconciling: !isReady,
      terminalCondition: {
        type: 'Ready',
        state,
        ...(broken && isReady ? { message, reason: 'CONTAINER_MISSING' } : {}),
      },
    };
  };

  const does: Readonly<Record<string, (name: string, query: URLSearchParams, body: never) => object>> = {
    createJob(location, query, body: object) {
      const name = `${location}/jobs/${query.get('jobId')}`;
      if (!/^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$/.test(query.get('jobId') ?? '')) {
        throw new ApiError(400, 'INVALID_ARGUMENT', 'Violation in CreateJobRequest.job_id');
      }
      if (jobs.has(name)) throw new ApiError(409, 'ALREADY_EXISTS', `Resource '${query.get('jobId')}' already exists.`);
      const resource = { ...body, name, createTime: new Date().toISOString() };
      const job: Job = { resource, readyAt: Date.now() + readyMs };
      jobs.set(name, job);
      const type = 'type.googleapis.com/google.cloud.run.v2.Job';
      return operation(location, () => ({
        metadata: { '@type': type, ...jobView(job) },
        done: Date.now() >= job.readyAt,
      }));
    },
    getJob(name) {
      const job = jobs.get(name);
      if (!job) throw notFound(name);
      return jobView(job);
    },
    deleteJob(name) {
      if (!jobs.delete(name)) throw notFound(name);
      return operation(name.replace(/\/jobs\/.*/, ''), () => ({ done: true }));
    },
    runJob(name, _, body: { overrides?: object }) {
      const job = jobs.get(name);
      if (!job) throw notFound(name);
      if (Date.now() < job.readyAt) throw new ApiError(400, 'FAILED_PRECONDITION', 'The job is not ready.');
      const execution = startExecution(job.resource, body.overrides ?? {}, options);
      executions.push(execution);
      return operation(name.replace(/\/jobs\/.*/, ''), () => {
        const view = { '@type': EXECUTION_TYPE, ...execution.view() };
        return execution.isOver() ? { metadata: view, done: true, response: view } : { metadata: view };
      });
    },
    listExecutions(name, query) {
      const isAll = name.endsWith('/jobs/-');
      const within = isAll ? name.slice(0, -1) : `${name}/`;
      const all = executions.filter((one) => one.name.startsWith(within)).toReversed();
      const from = Number(query.get('pageToken') ?? 0);
      const size = Math.min(100, Number(query.get('pageSize') ?? 100) || 100);
      const page = all.slice(from, from + size).map((one) => one.view());
      const more = from + size < all.length ? { nextPageToken: String(from + size) } : {};
      return { executions: page, ...more };
    },
    getExecution: (name) => executionOf(name).view(),
    cancelExecution(name) {
      const execution = executionOf(name);
      if (execution.isOver()) throw new ApiError(400, 'FAILED_PRECONDITION', 'The execution has already completed.');
      execution.cancel();
      return operation(name.replace(/\/jobs\/.*/, ''), () => ({
        metadata: { '@type': EXECUTION_TYPE, ...execution.view() },
        done: execution.isOver(),
      }));
    },
    listTasks: (name) => ({ tasks: [executionOf(name).task()] }),
    getOperation(name) {
      const state = operations.get(name);
      if (!state) throw notFound(name);
      return state();
    },
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const path = decodeURIComponent(pathname);
    const [, pattern, name = ''] =
      ROUTES.find(([method, route]) => method === request.method && route.test(path)) ?? [];
    const body = await text(request);
    bodies.push(body);
    requests.set(name, (requests.get(name) ?? 0) + 1);
    const fault: CloudFault | undefined = faults.take(name);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
    const resource = pattern?.exec(path)?.[1];
    const answer = (): { status: number; value: object } => {
      try {
        if (fault?.kind === 'error') throw new ApiError(fault.status, fault.code, 'as the test wants it');
        if (!resource) throw new ApiError(404, 'NOT_FOUND', 'Not Found');
        refuseUnless(request, name, body);
        return { status: 200, value: does[name]?.(resource, searchParams, JSON.parse(body || '{}') as never) ?? {} };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        const { code, status, message } = error;
        return { status: code, value: { error: { code, status, message } } };
      }
    };
    const { status, value } = answer();
    if (fault?.kind === 'answer-lost') return void request.socket.resetAndDestroy();
    response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(value));
  };

  const server = createServer((request, response) => {
    serve(request, response).catch((error: Error) => response.writeHead(500).end(error.message));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    requests,
    bodies,
    executions,
    async close() {
      server.closeAllConnections();
      await Promise.all([new Promise((resolve) => server.close(resolve)), ...executions.map((one) => one.kill())]);
    },
  };
};

const refuseUnless = ({ headers }: IncomingMessage, operation: string, body: string): void => {
  if (!headers.authorization?.startsWith('Bearer ')) {
    throw new ApiError(401, 'UNAUTHENTICATED', 'Request is missing required authentication credential.');
  }
  if (operation !== 'getOperation' && !headers['x-goog-request-params']) {
    throw new ApiError(400, 'INVALID_ARGUMENT', 'The x-goog-request-params header is missing.');
  }
  const schema = BODY[operation];
  const fault = schema && faultIn(JSON.parse(body || '{}'), schema);
  if (fault) throw new ApiError(400, 'INVALID_ARGUMENT', `Invalid JSON payload received. ${fault}`);
};
