import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { Deps } from '../../shared/app/deps.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { type Reply, streamingHttpFunction } from '../../shared/http/http-function.ts';
import { protectedResource } from '../../shared/http/protected-resource.ts';
import { parseIdempotencyKey, parsePreferWait } from '../../shared/http/replies.ts';

/** For AI agents. */
export const mcp = (deps: Deps) =>
  streamingHttpFunction(deps, {
    callMcp: async (_, { actor, body, headers, remainingSeconds, requestId }) => {
      // The protocol's library is loaded with the first message.
      const { answerMcp } = await import('../../shared/mcp/answer.ts');
      const gone = new AbortController();
      const response = await answerMcp(deps, {
        actor,
        message: body,
        headers,
        requestId,
        idempotencyKey: parseIdempotencyKey(headers['idempotency-key']),
        mostWaitSeconds: parsePreferWait(headers['prefer'] ?? `wait=${LIMITS.waitSeconds}`, remainingSeconds) ?? 0,
        gone: gone.signal,
      });
      return toReply(response, gone);
    },
    ...protectedResource,
  });

const toReply = (response: Response, gone: AbortController): Reply => {
  const { status, body } = response;
  const headers = { ...Object.fromEntries(response.headers), 'x-accel-buffering': 'no' };
  if (!body) return { statusCode: status, headers, body: '' };
  const stream = Readable.fromWeb(body as ReadableStream<Uint8Array>);
  // Its reader has left; what is done for it need not be waited for.
  stream.once('close', () => gone.abort());
  return { statusCode: status, headers, body: stream };
};
