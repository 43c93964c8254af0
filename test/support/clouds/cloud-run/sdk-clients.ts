import { ExecutionsClient, JobsClient, TasksClient } from '@google-cloud/run';
import { onTestFinished } from 'vitest';

/** Someone whose token is taken. */
const auth = {
  universeDomain: 'googleapis.com',
  getUniverseDomain: async () => 'googleapis.com',
  getClient: async () => ({ universeDomain: 'googleapis.com' }),
  fetch: (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    headers.set('authorization', 'Bearer fake');
    return fetch(url, { ...init, headers });
  },
};

/** The SDK's own clients, over REST. */
export const sdkClients = ({ endpoint }: { readonly endpoint: string }) => {
  const options = {
    fallback: true,
    protocol: 'http',
    apiEndpoint: '127.0.0.1',
    port: Number(new URL(endpoint).port),
    auth: auth as never,
  };
  const clients = {
    jobs: new JobsClient(options),
    executions: new ExecutionsClient(options),
    tasks: new TasksClient(options),
  };
  onTestFinished(async () => {
    await Promise.all([clients.jobs.close(), clients.executions.close(), clients.tasks.close()]);
  });
  return clients;
};

/** A request without the SDK, for what it would not send. */
export const rawRequest = async (
  { endpoint }: { readonly endpoint: string },
  method: string,
  path: string,
  { body, headers = {} }: { body?: unknown; headers?: Record<string, string | undefined> } = {},
): Promise<{ readonly status: number; readonly json: { error?: { status: string; message: string } } & object }> => {
  const all = { authorization: 'Bearer fake', 'x-goog-request-params': `name=${path}`, ...headers };
  const response = await fetch(`${endpoint}${path}`, {
    method,
    headers: Object.entries(all).filter((header): header is [string, string] => header[1] !== undefined),
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as object };
};
