import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../../listen-locally.ts';
import { type Faults, type HttpFault, makeFaults } from '../faults.ts';
import { type Answer, type ContainerInstancesOptions, makeApi, SUBSCRIPTION } from './api.ts';
import { ArmError, type Operation, refuseUnless, routeOf } from './arm.ts';
import type { ContainerGroup } from './container-group.ts';

/** A local Azure Resource Manager with Container Instances: their REST API, and processes where the cloud has containers. */
export interface ContainerInstancesCloud {
  readonly endpoint: string;
  readonly faults: Faults<Operation, HttpFault>;
  /** Requests so far, by operation. */
  readonly requests: ReadonlyMap<Operation | 'unknown', number>;
  /** All that was said in requests so far. */
  readonly bodies: readonly string[];
  /** What is there now, by name. */
  readonly groups: ReadonlyMap<string, ContainerGroup>;
  close(): Promise<void>;
}

export const startContainerInstances = async (options: ContainerInstancesOptions): Promise<ContainerInstancesCloud> => {
  const { does, groups, kill } = makeApi(options);
  const faults = makeFaults<Operation, HttpFault>();
  const requests = new Map<Operation | 'unknown', number>();
  const bodies: string[] = [];

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://localhost');
    const route = routeOf(request.method, url.pathname);
    const body = await text(request);
    bodies.push(body);
    const operation = route?.operation ?? 'unknown';
    requests.set(operation, (requests.get(operation) ?? 0) + 1);
    const fault = route && faults.take(route.operation);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
    const answer = (): Answer => {
      try {
        if (fault?.kind === 'status') {
          throw new ArmError(fault.status, fault.code ?? 'Unknown', 'as the test wants it', fault.retryAfterSeconds);
        }
        refuseUnless(request, url, route, { subscription: SUBSCRIPTION, resourceGroup: options.resourceGroup });
        if (!route) throw new ArmError(404, 'NotFound', 'There is nothing at this address.');
        const { host = '' } = request.headers;
        return does[route.operation]({ ...route, query: url.searchParams, body, host });
      } catch (error) {
        if (!(error instanceof ArmError)) throw error;
        const { status, code, message, retryAfterSeconds: wait } = error;
        return {
          status,
          body: { error: { code, message } },
          headers: wait === undefined ? {} : { 'retry-after': String(wait) },
        };
      }
    };
    const { status, body: said, headers } = answer();
    if (fault?.kind === 'answer-lost') return void request.socket.resetAndDestroy();
    response
      .writeHead(status, { ...(said ? { 'content-type': 'application/json; charset=utf-8' } : {}), ...headers })
      .end(said && JSON.stringify(said));
  };

  const server = createServer((request, response) => {
    serve(request, response).catch((error: Error) => response.writeHead(500).end(error.message));
  });
  const { url: endpoint, close } = await listenLocally(server);
  return {
    endpoint,
    faults,
    requests,
    bodies,
    groups,
    async close() {
      await Promise.all([close(), kill()]);
    },
  };
};
