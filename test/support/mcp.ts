import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';

/** The present revision of the protocol, and the one before it, which begins with a handshake. */
export const REVISIONS = ['2026-07-28', '2025-11-25'] as const;
export type Revision = (typeof REVISIONS)[number];

interface Data {
  readonly [name: string]: unknown;
  readonly id: string;
  readonly nextFrom: number;
}

export interface ToolResult {
  readonly isError: boolean;
  /** What a model reads. */
  readonly text: string;
  /** What a program reads. */
  readonly data: Data;
  readonly problem: { readonly code: string; readonly approval?: string; readonly errors?: readonly object[] };
}

export interface Agent {
  readonly client: Client;
  call(name: string, args?: Record<string, unknown>, options?: Parameters<Client['callTool']>[1]): Promise<ToolResult>;
}

/** The official client, speaking one revision. It is closed when the test ends. */
export const connectAgent = async (transport: Transport, revision: Revision = '2026-07-28'): Promise<Agent> => {
  const mode = revision === '2025-11-25' ? 'legacy' : { pin: revision };
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
  await client.connect(transport);
  onTestFinished(() => client.close());
  return {
    client,
    async call(name, args = {}, options = {}) {
      const { content, structuredContent, isError, _meta } = await client.callTool({ name, arguments: args }, options);
      const [{ text = '' } = {}] = content as readonly { readonly text?: string }[];
      const problem = (_meta?.['problem'] ?? {}) as ToolResult['problem'];
      return { isError: isError ?? false, text, data: (structuredContent ?? {}) as unknown as Data, problem };
    },
  };
};

export interface HttpOptions {
  readonly fetch?: typeof globalThis.fetch;
  readonly key?: string;
  readonly revision?: Revision;
}

/** The same, over Streamable HTTP. */
export const connectByHttp = (url: string, { fetch, key, revision }: HttpOptions = {}): Promise<Agent> =>
  connectAgent(
    new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
      ...(fetch ? { fetch: fetch as never } : {}),
      ...(key === undefined ? {} : { requestInit: { headers: { authorization: `Bearer ${key}` } } }),
    }),
    revision,
  );
