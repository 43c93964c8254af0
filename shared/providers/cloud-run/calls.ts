import { ExecutionsClient, JobsClient, TasksClient } from '@google-cloud/run';
import { type Calls, makeCalls } from '../calls.ts';
import type { ProviderContext } from '../context.ts';
import type { CloudRunConfig } from './config.ts';
import { type Auth, makeAuth } from './credentials.ts';
import type { Execution } from './executions.ts';
import { CODE, codeOf, toFault } from './faults.ts';

const PAGE_SIZE = 100;

export const makeCloudRunCalls = (context: Pick<ProviderContext, 'clock' | 'random'>): Calls =>
  makeCalls(context, isAnswer);

/** Asked again, it would be answered the same. */
const isAnswer = (error: unknown): boolean => {
  const fault = toFault(error);
  return fault?.retryable === false || fault?.retryAfterSeconds !== undefined || ANSWERS.includes(codeOf(error));
};
const ANSWERS: readonly (number | undefined)[] = [CODE.alreadyExists, CODE.failedPrecondition];

export interface Clients {
  readonly jobs: JobsClient;
  readonly executions: ExecutionsClient;
  readonly tasks: TasksClient;
}

export const makeClients = (
  config: CloudRunConfig,
  context: ProviderContext,
  auth = makeAuth(config, context),
): Clients => {
  const at = config.endpoint === undefined ? undefined : new URL(config.endpoint);
  const options = {
    // Over REST: a function is frozen between its invocations, and an HTTP/2 channel would wake up dead.
    fallback: true,
    auth: auth as Auth as never,
    ...(at ? { protocol: 'http', apiEndpoint: at.hostname, port: Number(at.port || 80) } : {}),
  };
  return { jobs: new JobsClient(options), executions: new ExecutionsClient(options), tasks: new TasksClient(options) };
};

/**
 * Executions of a job, or of all jobs with `-`, page by page as they come: newest first as far as seen, which nothing
 * here relies on. Ends after `mostPages`, since by itself the client would fetch whatever there is, at once.
 */
export async function* executionPages(
  { executions }: Clients,
  { repeatable }: Calls,
  { job, mostPages }: { readonly job: string; readonly mostPages: number },
): AsyncGenerator<readonly Execution[]> {
  let pageToken = '';
  for (let page = 0; page < mostPages; page++) {
    const request = { parent: job, pageSize: PAGE_SIZE, pageToken };
    const [found, , answer] = await repeatable((options) =>
      executions.listExecutions(request, { ...options, autoPaginate: false }),
    );
    yield found;
    pageToken = answer?.nextPageToken ?? '';
    if (pageToken === '') return;
  }
}
