import type { Readable } from 'node:stream';
import { access } from '../functions/http/access.ts';
import { commands } from '../functions/http/commands.ts';
import { hooks } from '../functions/http/hooks.ts';
import { mcp } from '../functions/http/mcp.ts';
import { output } from '../functions/http/output.ts';
import { providers } from '../functions/http/providers.ts';
import { runner } from '../functions/http/runner.ts';
import { schedules } from '../functions/http/schedules.ts';
import { secrets } from '../functions/http/secrets.ts';
import { system } from '../functions/http/system.ts';
import { triggers } from '../functions/http/triggers.ts';
import { webhooks } from '../functions/http/webhooks.ts';
import { workflows } from '../functions/http/workflows.ts';
import type { Deps } from '../shared/app/deps.ts';
import type { Endpoint } from '../shared/contract/endpoint.ts';
import { endpoints, matchEndpoint } from '../shared/contract/endpoints.ts';
import { MOST_FRAMED_BYTES } from '../shared/contract/runner.ts';
import { AppError } from '../shared/domain/errors.ts';
import { LIMITS } from '../shared/domain/limits.ts';
import type { Reply } from '../shared/http/http-function.ts';
import { PROBLEM_TYPE, toProblem } from '../shared/http/problem.ts';
import { type GatewayRequest, readBody, toEvent } from './gateway-event.ts';
import { lambdaContext, provideLambdaRuntime, ResponseStream } from './lambda-runtime.ts';

export interface GatewayReply {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | Readable;
}

/** What API Gateway does in the cloud: makes events of requests, and hands each to the function that its route names. */
export type Gateway = (request: GatewayRequest) => Promise<GatewayReply>;

/** No endpoint takes more, so no more is read. */
const MOST_BODY_BYTES = Math.max(LIMITS.bodyBytes, LIMITS.stdinPartBytes, LIMITS.deliveryBytes, MOST_FRAMED_BYTES);

export const makeGateway = (deps: Deps): Gateway => {
  provideLambdaRuntime();
  const buffered = {
    access: access(deps),
    commands: commands(deps),
    hooks: hooks(deps),
    providers: providers(deps),
    runner: runner(deps),
    schedules: schedules(deps),
    secrets: secrets(deps),
    system: system(deps),
    triggers: triggers(deps),
    webhooks: webhooks(deps),
    workflows: workflows(deps),
  };
  const streaming = { mcp: mcp(deps), output: output(deps) };

  return async (request) => {
    const body = await readBody(request.body, MOST_BODY_BYTES);
    const event = toEvent(request, body === 'too-large' ? Buffer.alloc(0) : body, deps.clock.now());
    const { rawPath } = event;
    const { requestId } = event.requestContext;
    if (body === 'too-large') return refuse(bodyTooLarge, requestId, rawPath);
    const match = matchEndpoint(request.method, rawPath);
    const name = match.kind === 'endpoint' ? (endpoints[match.name] as Endpoint).function : 'system';
    if (name !== 'output' && name !== 'mcp') return decode(await buffered[name](event, lambdaContext));
    const stream = new ResponseStream();
    // Once the prelude is out, a fault can only cut the stream short, as it does in Lambda.
    streaming[name](event, stream, lambdaContext).catch((error: unknown) => {
      if (!stream.destroyed) deps.log.warn('A streamed reply was cut short', { requestId, error });
      stream.destroy();
    });
    return { ...(await stream.prelude), body: stream };
  };
};

const decode = ({ isBase64Encoded, ...reply }: Reply): GatewayReply =>
  isBase64Encoded && typeof reply.body === 'string' ? { ...reply, body: Buffer.from(reply.body, 'base64') } : reply;

const bodyTooLarge = ((): AppError => {
  const detail = `The body is larger than ${MOST_BODY_BYTES} bytes, the most that is taken. Send input in parts to PUT /v1/commands/{id}/stdin.`;
  return new AppError('too-large', detail, { faults: [{ in: 'body', pointer: '', detail }] });
})();

const refuse = (error: AppError, requestId: string, instance: string): GatewayReply => {
  const problem = toProblem(error, requestId);
  const headers = { 'content-type': PROBLEM_TYPE, 'x-request-id': requestId };
  return { statusCode: problem.status, headers, body: JSON.stringify({ ...problem, instance }) };
};
