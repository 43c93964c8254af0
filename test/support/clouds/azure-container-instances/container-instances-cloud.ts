import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Faults, makeFaults } from '../faults.ts';
import type { CloudFault } from './faults.ts';
import { type Group, type GroupBody, type GroupOptions, makeGroup } from './group.ts';

export interface ContainerInstancesOptions extends GroupOptions {
  /** Groups at one time. @default 100 */
  readonly mostGroups?: number;
}

/** A local Azure Container Instances: its part of Azure Resource Manager, and processes where the cloud has containers. */
export interface ContainerInstancesCloud {
  readonly endpoint: string;
  readonly faults: Faults<string, CloudFault>;
  /** Requests so far, by operation. */
  readonly requests: ReadonlyMap<string, number>;
  /** All that was said in requests so far. */
  readonly bodies: readonly string[];
  /** All groups that were ever made, also those that were deleted. */
  readonly made: readonly Group[];
  /** Those that are there. */
  readonly groups: ReadonlyMap<string, Group>;
  close(): Promise<void>;
}

class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

const GROUPS =
  /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/Microsoft\.ContainerInstance\/containerGroups(?:\/([^/]+))?(?:\/(.+))?$/i;
const OPERATIONS =
  /^\/subscriptions\/[^/]+\/providers\/Microsoft\.ContainerInstance\/locations\/[^/]+\/operations\/([^/]+)$/;
const LOGS = /^containers\/([^/]+)\/logs$/;

export const startContainerInstances = async (options: ContainerInstancesOptions): Promise<ContainerInstancesCloud> => {
  const { mostGroups = 100 } = options;
  const groups = new Map<string, Group>();
  const made: Group[] = [];
  const operations = new Set<string>();
  const faults = makeFaults<string, CloudFault>();
  const requests = new Map<string, number>();
  const bodies: string[] = [];
  let endpoint = '';

  const asyncHeaders = (location: string, subscription: string): Record<string, string> => {
    const id = randomUUID();
    operations.add(id);
    const path = `/subscriptions/${subscription}/providers/Microsoft.ContainerInstance/locations/${location}/operations/${id}`;
    return { 'azure-asyncoperation': `${endpoint}${path}?api-version=2018-06-01`, 'retry-after': '0' };
  };

  const groupOf = (name: string): Group => {
    const found = groups.get(name);
    if (found) return found;
    throw new ArmError(
      404,
      'ResourceNotFound',
      `The Resource 'Microsoft.ContainerInstance/containerGroups/${name}' was not found.`,
    );
  };

  interface Asked {
    readonly path: string;
    readonly subscription: string;
    readonly name: string;
    readonly body: string;
    readonly query: URLSearchParams;
    readonly rest: string;
  }
  interface Answer {
    readonly status: number;
    readonly value?: object;
    readonly headers?: Record<string, string>;
  }

  const does: Readonly<Record<string, (asked: Asked) => Answer>> = {
    put({ path, subscription, name, body }) {
      const asked = checked(name, JSON.parse(body) as GroupBody);
      const there = groups.get(name);
      if (!there && groups.size >= mostGroups) {
        throw new ArmError(
          409,
          'ContainerGroupQuotaReached',
          `Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota '${mostGroups}' exceeded.`,
        );
      }
      // Not a no-op: what runs is started again, and what has ended runs anew.
      there?.redeploy();
      const group = there ?? makeGroup(path, name, asked, options);
      if (!there) made.push(group);
      groups.set(name, group);
      return { status: there ? 200 : 201, value: group.view(), headers: asyncHeaders(asked.location, subscription) };
    },
    get: ({ name }) => ({ status: 200, value: groupOf(name).view() }),
    delete({ name }) {
      const group = groups.get(name);
      if (!group) return { status: 204 };
      groups.delete(name);
      void group.kill();
      return { status: 200, value: group.view() };
    },
    list: () => ({
      status: 200,
      value: { value: [...groups.values()].map((one) => one.view({ withInstanceView: false })) },
    }),
    stop({ name }) {
      groupOf(name).stop();
      return { status: 204 };
    },
    logs({ name, query }) {
      const tail = query.get('tail');
      return { status: 200, value: { content: groupOf(name).log(tail === null ? undefined : Number(tail)) } };
    },
    operation({ path }) {
      const id = OPERATIONS.exec(path)?.[1] ?? '';
      if (!operations.has(id)) throw new ArmError(404, 'NotFound', 'There is no such operation.');
      return { status: 200, value: { id: path, status: 'Succeeded', startTime: new Date().toISOString() } };
    },
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://localhost');
    const path = decodeURIComponent(pathname);
    const [, subscription = '', , name = '', rest = ''] = GROUPS.exec(path) ?? [];
    const operation = operationOf(request.method ?? '', path, name, rest);
    const body = await text(request);
    bodies.push(body);
    requests.set(operation, (requests.get(operation) ?? 0) + 1);
    const fault = faults.take(operation);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
    const answer = (): Answer => {
      try {
        if (fault?.kind === 'error') {
          throw new ArmError(fault.status, fault.code, 'as the test wants it', fault.retryAfterSeconds);
        }
        if (!query.get('api-version')) {
          throw new ArmError(
            400,
            'MissingApiVersionParameter',
            'The api-version query parameter (?api-version=) is required for all requests.',
          );
        }
        if (!request.headers.authorization?.startsWith('Bearer ')) {
          throw new ArmError(
            401,
            'AuthenticationFailed',
            "Authentication failed. The 'Authorization' header is missing.",
          );
        }
        const handle = does[operation];
        if (!handle) throw new ArmError(404, 'InvalidResourceType', 'The resource type could not be found.');
        return handle({ path, subscription, name, body, query, rest });
      } catch (error) {
        if (!(error instanceof ArmError)) throw error;
        const { status, code, message, retryAfterSeconds } = error;
        const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
        return { status, value: { error: { code, message } }, headers };
      }
    };
    const { status, value, headers } = answer();
    if (fault?.kind === 'answer-lost') return void request.socket.resetAndDestroy();
    const sent = value === undefined ? undefined : JSON.stringify(value);
    response
      .writeHead(status, { ...(sent ? { 'content-type': 'application/json; charset=utf-8' } : {}), ...headers })
      .end(sent);
  };

  const server = createServer((request, response) => {
    serve(request, response).catch((error: Error) => response.writeHead(500).end(error.message));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    endpoint,
    faults,
    requests,
    bodies,
    made,
    groups,
    async close() {
      server.closeAllConnections();
      await Promise.all([new Promise((resolve) => server.close(resolve)), ...made.map((group) => group.kill())]);
    },
  };
};

const operationOf = (method: string, path: string, name: string, rest: string): string => {
  if (method === 'GET' && OPERATIONS.test(path)) return 'operation';
  if (!GROUPS.test(path)) return 'unknown';
  if (method === 'POST' && rest === 'stop') return 'stop';
  if (method === 'GET' && LOGS.test(rest)) return 'logs';
  if (rest !== '') return 'unknown';
  if (name === '') return method === 'GET' ? 'list' : 'unknown';
  return { PUT: 'put', GET: 'get', DELETE: 'delete' }[method] ?? 'unknown';
};

/** As far as the documentation tells what is refused. */
const checked = (name: string, body: GroupBody): GroupBody => {
  const invalid = (message: string) => new ArmError(400, 'InvalidRequestContent', message);
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
    throw new ArmError(400, 'InvalidContainerGroupName', `The name '${name}' is not valid.`);
  const containers = body.properties?.containers;
  if (!body.location || !Array.isArray(containers) || containers.length === 0)
    throw invalid('Containers and a location are required.');
  if (body.properties['osType'] !== 'Linux') throw invalid('The osType is required.');
  for (const { name: container, properties } of containers) {
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(container))
      throw invalid(`The container name '${container}' is not valid.`);
    const { requests } =
      (properties as { resources?: { requests?: { cpu?: number; memoryInGB?: number } } }).resources ?? {};
    if (!properties.image || !(requests?.cpu && requests.memoryInGB))
      throw invalid('An image and resources are required.');
    if (Math.round(requests.memoryInGB * 10) !== requests.memoryInGB * 10) throw invalid('memoryInGB comes in tenths.');
    for (const { name: variable } of properties.environmentVariables ?? []) {
      if (!/^[A-Za-z0-9]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?$/.test(variable)) {
        throw new ArmError(
          400,
          'InvalidEnvironmentVariableName',
          `The environment variable name '${variable}' is not valid.`,
        );
      }
    }
  }
  return body;
};
