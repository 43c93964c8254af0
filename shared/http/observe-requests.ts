import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import type { Deps } from '../app/deps.ts';
import type { Endpoint } from '../contract/endpoint.ts';
import { endpoints, type Match, matchEndpoint } from '../contract/endpoints.ts';
import type { Instant } from '../domain/clock.ts';
import { parentOf, readTraceContext, type TraceContext } from '../domain/trace-context.ts';
import { withinTrace } from '../telemetry/trace-scope.ts';

type Parts = Pick<Deps, 'tracing' | 'metrics' | 'clock' | 'log'>;

interface Seen {
  readonly startedAt: Instant;
  readonly route: string | undefined;
  readonly parent: TraceContext | undefined;
  /** Of its own span, or the caller's. */
  readonly context: TraceContext | undefined;
  answeredAt: Instant;
}

interface Ended {
  readonly event: APIGatewayProxyEventV2;
  readonly response: { readonly statusCode: number } | null | undefined;
}

/** Requests as spans and figures. What they carry is in neither: only the table's route, and what came of it. */
export const observeRequests = (deps: Parts) => {
  const { tracing, metrics, clock, log } = deps;
  const seen = new WeakMap<APIGatewayProxyEventV2, Seen>();
  const codes = new WeakMap<APIGatewayProxyEventV2, string>();

  return {
    /** Does the work within the trace that the request belongs to. */
    async within<T>(event: APIGatewayProxyEventV2, work: (match: Match) => Promise<T>): Promise<T> {
      const startedAt = clock.now();
      const match = matchEndpoint(event.requestContext.http.method, event.rawPath);
      const endpoint: Endpoint | undefined = match.kind === 'endpoint' ? endpoints[match.name] : undefined;
      const parent = readTraceContext(event.headers);
      const isTold = tracing.exports && endpoint && isWorthASpan(endpoint, parent);
      const context = isTold ? await tracing.begin(parent, nameOf(endpoint)) : parent;
      const one: Seen = { startedAt, route: endpoint?.path, parent, context, answeredAt: startedAt };
      seen.set(event, one);
      try {
        return await withinTrace(context, () => work(match));
      } finally {
        one.answeredAt = clock.now();
      }
    },

    /** With which problem it is answered; `work` is done within its trace. */
    refused(event: APIGatewayProxyEventV2, code: string, work: () => void): void {
      codes.set(event, code);
      withinTrace(seen.get(event)?.context, work);
    },

    async end({ event, response }: Ended): Promise<void> {
      const one = seen.get(event);
      if (!one) return;
      const { startedAt, route, parent, context, answeredAt } = one;
      const { method } = event.requestContext.http;
      const status = response?.statusCode ?? 500;
      const code = codes.get(event);
      const milliseconds = answeredAt - startedAt;
      metrics.answered({ route, method, status, seconds: milliseconds / 1_000, waits: waits(event), code });
      const { requestId } = event.requestContext;
      withinTrace(context, () =>
        log.debug('A request was answered', { requestId, method, route, status, milliseconds, code }),
      );
      if (!tracing.exports) return;
      if (route !== undefined && context && context !== parent) {
        tracing.record({
          at: parentOf(context),
          parentSpanId: parent && parentOf(parent).spanId,
          name: `${method} ${route}`,
          kind: 'server',
          startedAt,
          endedAt: answeredAt,
          // https://opentelemetry.io/docs/specs/semconv/http/http-spans/
          attributes: {
            'http.request.method': method,
            'http.route': route,
            'http.response.status_code': status,
            'errand.request.id': requestId,
            ...(code === undefined ? {} : { 'errand.problem.code': code }),
          },
          // What is the caller's fault is none of the server's.
          failure: status >= 500 ? String(status) : undefined,
        });
      }
      await tracing.flush();
    },
  };
};

/** An agent's call may wait too, which only its tool knows. */
const waits = ({ headers, rawPath }: APIGatewayProxyEventV2): boolean =>
  rawPath === endpoints.callMcp.path || /\bwait\s*=/i.test(headers['prefer'] ?? '');

const nameOf = ({ method, path }: Endpoint): string => `${method} ${path}`;

/** Probes, scrapes and the looks of runners would be most of what is told, and say nothing. A delivery is anyone's too, and begins something. */
const isWorthASpan = ({ method, access, permission }: Endpoint, parent: TraceContext | undefined): boolean => {
  const isProbe = access === 'anyone' && method === 'GET';
  return parent !== undefined || !(isProbe || access === 'runner' || permission === 'metrics:read');
};
