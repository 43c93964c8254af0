import * as z from 'zod';
import type { Endpoint } from '../endpoint.ts';

/** A message of JSON-RPC 2.0, as far as every one of them is alike. */
export const McpMessage = z
  .strictObject({
    jsonrpc: z.literal('2.0'),
    id: z.union([z.string(), z.number(), z.null()]).optional(),
    method: z.string().optional(),
    params: z.record(z.string(), z.unknown()).optional(),
    result: z.unknown().optional(),
    error: z.unknown().optional(),
  })
  .meta({ id: 'McpMessage', description: 'A message of the Model Context Protocol (JSON-RPC 2.0).' });

const ProtectedResource = z
  .object({
    resource: z.string(),
    authorization_servers: z.array(z.string()),
    bearer_methods_supported: z.array(z.string()),
    resource_name: z.string(),
  })
  .meta({ id: 'ProtectedResource', description: 'OAuth 2.0 protected resource metadata (RFC 9728).' });

const describesResource = {
  method: 'GET',
  function: 'system',
  access: 'anyone',
  answers: {
    200: { description: 'The issuers whose access tokens are good. Otherwise 404.', schema: ProtectedResource },
  },
} as const;

/** What AI agents reach. Who may do what is asked of each tool, as of the endpoint that it stands for. */
export const mcpEndpoints = {
  callMcp: {
    method: 'POST',
    path: '/mcp',
    function: 'mcp',
    access: 'authenticated',
    counts: 'read',
    summary: 'Model Context Protocol: one message of Streamable HTTP, without sessions',
    headers: {
      'idempotency-key': 'For run_command, where its arguments have none.',
      prefer: '`wait=N`: no tool waits longer than N seconds.',
    },
    body: McpMessage,
    answers: {
      200: {
        description: 'The answer, in one piece or as events.',
        mediaTypes: ['application/json', 'text/event-stream'],
      },
      202: { description: 'A notification was taken.' },
      400: {
        description: 'No message of this protocol.',
        mediaTypes: ['application/json', 'application/problem+json'],
      },
      406: { description: 'Accept has not both media types.', mediaTypes: ['application/json'] },
    },
  },
  describeProtectedMcp: {
    ...describesResource,
    path: '/.well-known/oauth-protected-resource/mcp',
    summary: 'Where to get an access token for /mcp (RFC 9728)',
  },
  describeProtected: {
    ...describesResource,
    path: '/.well-known/oauth-protected-resource',
    summary: 'Where to get an access token (RFC 9728)',
  },
} as const satisfies Record<string, Endpoint>;
