import { createServer, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { listenLocally } from '../../listen-locally.ts';

/** What was used of a service since the last reading. */
export interface Usage {
  /** Requests by operation. */
  readonly requests: Readonly<Record<string, number>>;
  /** Capacity units as DynamoDB itself counts them. */
  readonly readUnits: number;
  readonly writeUnits: number;
}

export interface Metered {
  readonly endpoint: string;
  /** What was used since it was read last. */
  read(): Usage;
  close(): Promise<void>;
}

const WRITES = new Set(['PutItem', 'DeleteItem', 'UpdateItem', 'TransactWriteItems', 'BatchWriteItem']);

/**
 * Stands in front of a service of AWS's JSON protocol and counts what is billed: each request, and for DynamoDB the
 * capacity that its own answer tells, which it is made to tell.
 */
export const metered = async (target: string): Promise<Metered> => {
  let requests: Record<string, number> = {};
  let units = { readUnits: 0, writeUnits: 0 };
  const server = createServer(async (asked, reply) => {
    const operation = String(asked.headers['x-amz-target'] ?? '').split('.')[1] ?? `${asked.method}`;
    requests[operation] = (requests[operation] ?? 0) + 1;
    const isDynamodb = String(asked.headers['x-amz-target']).startsWith('DynamoDB');
    const body = await buffer(asked);
    const sent = isDynamodb
      ? Buffer.from(JSON.stringify({ ...JSON.parse(body.toString()), ReturnConsumedCapacity: 'TOTAL' }))
      : body;
    const { expect: _, 'content-length': __, ...headers } = asked.headers;
    const url = new URL(asked.url ?? '/', target);
    request(url, { method: asked.method, headers: { ...headers, 'content-length': sent.length } }, async (answer) => {
      const bytes = await buffer(answer);
      if (isDynamodb) count(operation, bytes);
      reply.writeHead(answer.statusCode ?? 500, answer.headers).end(bytes);
    })
      .on('error', () => asked.socket.destroy())
      .end(sent);
  });
  const count = (operation: string, answer: Buffer): void => {
    const { ConsumedCapacity = [] } = JSON.parse(answer.toString() || '{}');
    const sum = [ConsumedCapacity].flat().reduce((all: number, one) => all + (one.CapacityUnits ?? 0), 0);
    units[WRITES.has(operation) ? 'writeUnits' : 'readUnits'] += sum;
  };
  const { url, close } = await listenLocally(server, 'localhost');
  return {
    endpoint: url,
    read() {
      const used = { requests, ...units };
      requests = {};
      units = { readUnits: 0, writeUnits: 0 };
      return used;
    },
    close,
  };
};
