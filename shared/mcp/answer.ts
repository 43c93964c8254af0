import { createMcpHandler, ProtocolError, Server, type ServerContext } from '@modelcontextprotocol/server';
import type * as z from 'zod';
import type { Deps } from '../app/deps.ts';
import type { McpMessage } from '../contract/endpoints/mcp.ts';
import { AppError } from '../domain/errors.ts';
import { enter } from '../http/admit.ts';
import { parseValue } from '../http/parse-request.ts';
import { toErrorResult } from './problems.ts';
import type { Call } from './tool.ts';
import { INSTRUCTIONS, listing, tools } from './tools.ts';

/** A message of a caller who is known already, and what its request says beside it. */
export interface McpRequest extends Omit<Call, 'signal' | 'progress'> {
  readonly message: z.output<typeof McpMessage>;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly requestId: string;
  /** Aborts when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

const INVALID_PARAMS = -32602;
const KEEP_ALIVE_MS = 15_000;
const byName = new Map(tools.map((tool) => [tool.name, tool]));

/**
 * Answers one message of the Model Context Protocol over Streamable HTTP, revisions 2026-07-28 and, by its handshake without a
 * session, 2025-11-25 and before (https://modelcontextprotocol.io/specification/2026-07-28/basic/transports). Nothing is kept
 * between requests.
 */
export const answerMcp = (deps: Deps, asked: McpRequest): Promise<Response> => {
  const { message, headers, gone } = asked;
  const handler = createMcpHandler(() => makeServer(deps, asked), {
    // From the first byte, so that one who is gone is noticed while a command is waited for.
    responseMode: message.method === 'tools/call' ? 'sse' : 'auto',
    keepAliveMs: KEEP_ALIVE_MS,
    // Nothing that is listed ever changes, so there is nothing to subscribe to.
    maxSubscriptions: 0,
    onerror: (error) => deps.log.info('An MCP request was not served', { requestId: asked.requestId, error }),
  });
  const sent = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value !== undefined && (name === 'accept' || name === 'content-type' || name.startsWith('mcp-'))
      ? [[name, value]]
      : [],
  );
  const request = new Request('http://errand.invalid/mcp', { method: 'POST', headers: sent, signal: gone });
  return handler.fetch(request, { parsedBody: message });
};

const makeServer = (deps: Deps, asked: McpRequest): Server => {
  const about = { name: 'errand', title: 'Errand', version: '0.1.0' };
  const server = new Server(about, { capabilities: { tools: {} }, instructions: INSTRUCTIONS });
  server.setRequestHandler('tools/list', () => ({ tools: listing }));
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    const tool = byName.get(params.name);
    if (!tool)
      throw new ProtocolError(INVALID_PARAMS, `There is no tool ${JSON.stringify(params.name.slice(0, 100))}.`);
    const { actor, requestId, gone } = asked;
    try {
      await enter(deps, actor, tool.endpoint);
      const call: Call = {
        ...asked,
        signal: AbortSignal.any([context.mcpReq.signal, gone]),
        progress: progressOf(context),
      };
      const { data, text } = await tool.call(deps, call, parseValue(tool.input, params.arguments ?? {}));
      return { content: [{ type: 'text', text }], structuredContent: data as Record<string, unknown> };
    } catch (error) {
      if (!(error instanceof AppError)) deps.log.error('A tool failed', { requestId, tool: tool.name, error });
      return toErrorResult(error, requestId);
    }
  });
  return server;
};

const progressOf = ({ mcpReq }: ServerContext): Call['progress'] => {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return async () => {};
  return async (seconds, message) => {
    const params = { progressToken, progress: seconds, message };
    // Who is gone needs no progress.
    await mcpReq.notify({ method: 'notifications/progress', params }).catch(() => {});
  };
};
