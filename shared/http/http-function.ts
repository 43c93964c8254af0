import type { Readable } from 'node:stream';
import middy, { type MiddlewareObj } from '@middy/core';
import { executionModeStandard } from '@middy/core/Standard';
import { executionModeStreamifyResponse } from '@middy/core/StreamifyResponse';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { DEFAULT_TENANT } from '../access/rights.ts';
import type { Deps } from '../app/deps.ts';
import type { EndpointName, Match } from '../contract/endpoints.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError, NoSuchHook } from '../domain/errors.ts';
import type { RunnerRight } from '../domain/runner-token.ts';
import { type Admitting, admit } from './admit.ts';
import { observeRequests } from './observe-requests.ts';
import { challengeOf, originOf } from './origin.ts';
import { type Parsed, parseRequest } from './parse-request.ts';
import { PROBLEM_TYPE, toProblem } from './problem.ts';

/** What a handler answers. `body` is a stream only from a function that streams. */
export interface Reply {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string | Readable;
  /** Whether `body` is bytes in base 64. */
  readonly isBase64Encoded?: boolean;
}

export interface Request<N extends EndpointName> extends Parsed<N> {
  /** Who calls. */
  readonly actor: Actor;
  /** Which attempt calls, for the endpoints of runners. */
  readonly right: RunnerRight;
  /** Until the platform ends this function; undefined where it never does. */
  readonly remainingSeconds: number | undefined;
  /** Of this request, for logs. */
  readonly requestId: string;
  /** Where callers reach this server, such as `https://errand.example.com`. */
  readonly origin: string;
}

/** The handlers of one function, by endpoint. */
export type Handlers = { readonly [N in EndpointName]?: (deps: Deps, request: Request<N>) => Promise<Reply> };

/** What a function under functions/http is: an API Gateway event (payload 2.0) in, a reply out. */
export type HttpHandler = (event: APIGatewayProxyEventV2, context: Context) => Promise<Reply>;
/** What a streaming one is: Lambda's response stream is the second argument. */
export type StreamingHttpHandler = (
  event: APIGatewayProxyEventV2,
  responseStream: NodeJS.WritableStream,
  context: Context,
) => Promise<void>;

/** The middy stack of every HTTP function: problem+json outermost, then match, authenticate, parse, call, reply. */
export const httpFunction = (deps: Deps, handlers: Handlers): HttpHandler =>
  stack(deps, handlers, executionModeStandard) as unknown as HttpHandler;

/** The same for a function whose replies are streamed (Lambda response streaming). */
export const streamingHttpFunction = (deps: Deps, handlers: Handlers): StreamingHttpHandler =>
  stack(deps, handlers, executionModeStreamifyResponse) as unknown as StreamingHttpHandler;

const stack = (deps: Deps, handlers: Handlers, executionMode: typeof executionModeStandard) => {
  const observed = observeRequests(deps);
  const answer = answerer(deps, handlers);
  // middy knows not of what its own requests are.
  const requestEnd = observed.end as (request: unknown) => Promise<void>;
  return middy<APIGatewayProxyEventV2, Reply>({ executionMode, timeoutEarlyInMillis: 0, requestEnd })
    .use(problemJson(deps, observed.refused))
    .handler((event: APIGatewayProxyEventV2, context: Context) =>
      observed.within(event, (match) => answer(event, context, match)),
    );
};

const answerer =
  (deps: Deps, handlers: Handlers) =>
  async (event: APIGatewayProxyEventV2, context: Context, match: Match): Promise<Reply> => {
    const { name, params } = route(event, handlers, match);
    const { rateLimit, ...caller } = await admit(deps, name, event);
    const parsed = parseRequest(name, {
      params,
      query: event.queryStringParameters ?? {},
      headers: event.headers,
      body: Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8'),
    });
    // The table's types tie a name to its request; a lookup by a name known only at run time loses that tie.
    const handle = handlers[name] as (deps: Deps, request: Request<EndpointName>) => Promise<Reply>;
    const remainingSeconds = context.getRemainingTimeInMillis ? context.getRemainingTimeInMillis() / 1_000 : undefined;
    const reply = await handle(deps, {
      ...{ ...parsed, ...caller, remainingSeconds },
      requestId: event.requestContext.requestId,
      origin: originOf(event),
    });
    return withRequestId({ ...reply, headers: { ...rateLimit, ...reply.headers } }, event);
  };

const route = (
  event: APIGatewayProxyEventV2,
  handlers: Handlers,
  match: Match,
): { name: EndpointName; params: Record<string, string> } => {
  const { method, path } = event.requestContext.http;
  if (match.kind === 'wrong-method') {
    const allow = match.allow.join(', ');
    throw new AppError('method-not-allowed', `${path} takes ${allow}, not ${method}.`, { headers: { allow } });
  }
  if (match.kind === 'unknown-path' || !handlers[match.name]) {
    throw new AppError(
      'not-found',
      `There is nothing at ${path.slice(0, 200)}. GET /openapi.json lists what there is.`,
    );
  }
  return match;
};

const problemJson = (
  deps: Admitting,
  refused: ReturnType<typeof observeRequests>['refused'],
): MiddlewareObj<APIGatewayProxyEventV2, Reply> => ({
  onError: async ({ error: thrown, event }): Promise<Reply> => {
    const { log } = deps;
    const { requestId } = event.requestContext;
    const error = await withFailuresCounted(deps, thrown, event);
    const problem = toProblem(error, requestId);
    refused(event, problem.code, () => {
      if (problem.status >= 500) log.error('A request failed', { requestId, error });
    });
    const headers = error instanceof AppError ? { ...error.headers, ...challengeOf(deps.access, error, event) } : {};
    const body = JSON.stringify({ ...problem, instance: event.rawPath.slice(0, 200) });
    return withRequestId(
      { statusCode: problem.status, headers: { 'content-type': PROBLEM_TYPE, ...headers }, body },
      event,
    );
  },
});

/** What is answered to a bad credential, from an address that showed too many: to wait. */
const withFailuresCounted = async (
  { rates, auditLog, clock, log }: Admitting,
  thrown: unknown,
  { requestContext }: APIGatewayProxyEventV2,
): Promise<unknown> => {
  const isBad = thrown instanceof NoSuchHook || (thrown instanceof AppError && thrown.code === 'unauthenticated');
  if (!isBad) return thrown;
  const { sourceIp } = requestContext.http;
  const tooMany = rates.countFailure(sourceIp);
  if (!tooMany) return thrown;
  if (tooMany.isNews) {
    const because = 'Bad credentials come from one address faster than anybody mistypes them.';
    log.warn('Something looks wrong', { kind: 'brute-force', because, sourceIp });
    // Whose they were meant to be nobody knows: it is the installation's.
    await auditLog
      .note(DEFAULT_TENANT, {
        type: 'security.alert',
        at: toTimestamp(clock.now()),
        actor: { id: 'anonymous' },
        subject: 'authentication',
        details: { kind: 'brute-force', because },
      })
      .catch((error: unknown) => log.error('An alert could not be written down', { error }));
  }
  return tooMany.refusal;
};

const withRequestId = (reply: Reply, { requestContext }: APIGatewayProxyEventV2): Reply => ({
  ...reply,
  headers: { 'cache-control': 'no-store', ...reply.headers, 'x-request-id': requestContext.requestId },
});
