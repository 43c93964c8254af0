import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import * as z from 'zod';

const NanoTime = z.string().regex(/^\d{19}$/);
const AnyValue = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ intValue: z.union([z.int(), z.string().regex(/^-?\d+$/)]) }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ doubleValue: z.number() }),
]);
const Attributes = z.array(z.strictObject({ key: z.string(), value: AnyValue }));
const Span = z.strictObject({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  traceState: z.string().optional(),
  flags: z.int().optional(),
  name: z.string().min(1),
  kind: z.int().min(0).max(5),
  startTimeUnixNano: NanoTime,
  endTimeUnixNano: NanoTime,
  attributes: Attributes,
  droppedAttributesCount: z.literal(0),
  events: z.array(z.never()),
  droppedEventsCount: z.literal(0),
  links: z.array(z.never()),
  droppedLinksCount: z.literal(0),
  status: z.strictObject({ code: z.int().min(0).max(2), message: z.string().optional() }),
});
/** https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/collector/trace/v1/trace_service.proto, as JSON */
const Request = z.strictObject({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: Attributes }),
      scopeSpans: z.array(z.object({ scope: z.object({ name: z.string() }), spans: z.array(Span) })),
    }),
  ),
});

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** 2: a failure. */
  readonly statusCode: number;
  readonly service: string;
}

export interface OtlpReceiver {
  readonly url: string;
  /** All that came so far, siblings in the order in which they began. */
  spans(traceId?: string): readonly ReceivedSpan[];
  /** What was sent, as it came. */
  raw(): string;
  /** The headers of the last request. */
  headers(): Readonly<Record<string, unknown>>;
  /** Answers so from now on. @default 200 */
  answerWith(status: number): void;
  close(): Promise<void>;
}

/** A collector as OTLP over HTTP asks for one, which takes spans in JSON and refuses what is not exactly that. */
export const startOtlpReceiver = async (): Promise<OtlpReceiver> => {
  const spans: ReceivedSpan[] = [];
  const bodies: string[] = [];
  let status = 200;
  let headers: Readonly<Record<string, unknown>> = {};
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const sent = Buffer.concat(pieces);
    const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent).toString();
    headers = request.headers;
    if (request.method !== 'POST' || request.url !== '/v1/traces') return void response.writeHead(404).end();
    if (request.headers['content-type'] !== 'application/json') return void response.writeHead(415).end();
    bodies.push(body);
    const read = Request.safeParse(JSON.parse(body));
    if (!read.success) return void response.writeHead(400).end(read.error.message);
    if (status === 200) spans.push(...toSpans(read.data));
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: (traceId) =>
      spans
        .filter((span) => traceId === undefined || span.traceId === traceId)
        .sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs),
    raw: () => bodies.join('\n'),
    headers: () => headers,
    answerWith(next) {
      status = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};

const toSpans = ({ resourceSpans }: z.output<typeof Request>): ReceivedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId,
        name: span.name,
        kind: span.kind,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
        attributes: valuesOf(span.attributes),
        statusCode: span.status.code,
        service: String(valuesOf(resource.attributes)['service.name']),
      })),
    ),
  );

const valuesOf = (attributes: z.output<typeof Attributes>): Record<string, string | number | boolean> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0] as string | number | boolean]));

/** The tree of a trace, a line for each span, below the caller's if it had one. */
export const drawTrace = (spans: readonly ReceivedSpan[]): string => {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const lines: string[] = [];
  const draw = (parents: readonly ReceivedSpan[], depth: number): void => {
    for (const span of parents) {
      const status = span.attributes['errand.status'] ?? span.attributes['http.response.status_code'];
      const notes = [
        span.attributes['errand.workflow.node'],
        status,
        span.statusCode === 2 ? `(${span.attributes['error.type']})` : undefined,
      ];
      lines.push([`${'  '.repeat(depth)}${span.name}`, ...notes.filter((note) => note !== undefined)].join(' '));
      draw(
        spans.filter(({ parentSpanId }) => parentSpanId === span.spanId),
        depth + 1,
      );
    }
  };
  draw(
    spans.filter(({ parentSpanId }) => parentSpanId === undefined || !ids.has(parentSpanId)),
    0,
  );
  return lines.join('\n');
};
