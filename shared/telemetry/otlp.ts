import {
  type Context,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Clock, Instant, Random } from '../domain/clock.ts';
import { parentOf, type TraceContext, toTraceparent } from '../domain/trace-context.ts';
import type { Log } from './log.ts';
import type { OtelSettings } from './otel-settings.ts';
import type { Tracing } from './tracing.ts';

export interface OtlpOptions {
  readonly settings: OtelSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Whether this process may be frozen when it has answered, as Lambda does. */
  readonly mayFreeze: boolean;
}

const FLUSH_MS = 2_000;
/** A collector that is away for a day is told of now and then. */
const TELL_EVERY_MS = 60_000;

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

/**
 * Spans by OTLP over HTTP, in JSON, with OpenTelemetry's own SDK. Where to and how, the exporter reads from the standard variables
 * `OTEL_EXPORTER_OTLP_*` itself. What cannot be sent is lost, and said in the log.
 */
export const otlpTracing = ({ settings, clock, random, log, mayFreeze }: OtlpOptions): Tracing => {
  const sampler = samplerOf(settings);
  // The spans' ids follow from the commands, so they are handed to the SDK rather than made by it.
  let next = { traceId: '', spanId: '' };
  const provider = new TracerProvider({
    // What is sampled was decided when the span began.
    sampler: new AlwaysOnSampler(),
    idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
    resource: resourceFromAttributes({ 'service.name': 'errand' }).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor({ exporter: telling(new OTLPTraceExporter(), clock, log) })],
  });
  const tracer = provider.getTracer('errand');
  const bounded = async (work: Promise<unknown>): Promise<void> => {
    const late = new AbortController();
    await Promise.race([work.catch(() => {}), clock.sleep(FLUSH_MS, late.signal)]);
    late.abort();
  };
  return {
    exports: true,
    begin: async (parent, name, spanId = random.hex(8)) => {
      const traceId = parent ? parentOf(parent).traceId : random.hex(16);
      const { decision } = sampler.shouldSample(contextOf(parent), traceId, name, SpanKind.INTERNAL, {}, []);
      const sampled = decision === SamplingDecision.RECORD_AND_SAMPLED;
      return { ...parent, traceparent: toTraceparent({ traceId, spanId, sampled }) };
    },
    record: ({ at, parentSpanId, name, kind = 'internal', startedAt, endedAt, attributes, failure }) => {
      if (!at.sampled) return;
      next = at;
      const above = parentSpanId === undefined ? undefined : { ...at, spanId: parentSpanId };
      const span = tracer.startSpan(
        name,
        { kind: KINDS[kind], startTime: startedAt, attributes },
        contextOf(above && { traceparent: toTraceparent(above) }),
      );
      if (failure !== undefined) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        span.setAttribute('error.type', failure);
      }
      span.end(endedAt);
    },
    flush: async () => (mayFreeze ? bounded(provider.forceFlush()) : undefined),
    close: () => bounded(provider.shutdown()),
  };
};

const contextOf = (parent: TraceContext | undefined): Context => {
  if (!parent) return ROOT_CONTEXT;
  const { traceId, spanId, sampled } = parentOf(parent);
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true } satisfies SpanContext);
};

const samplerOf = ({ sampler: { name, ratio } }: OtelSettings): Sampler => {
  const root = name.endsWith('always_on')
    ? new AlwaysOnSampler()
    : name.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(ratio);
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
};

/** An exporter whose failures are in our log: by name only, since the library's words may hold the address with its credentials. */
const telling = (exporter: SpanExporter, clock: Pick<Clock, 'now'>, log: Log): SpanExporter => {
  let toldAt: Instant = Number.NEGATIVE_INFINITY;
  const tell = (spans: number, error: (Error & { readonly code?: unknown }) | undefined): void => {
    if (clock.now() - toldAt < TELL_EVERY_MS) return;
    toldAt = clock.now();
    log.warn('Spans could not be sent to the collector', { spans, error: error?.name, code: error?.code });
  };
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error) tell(spans.length, result.error);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush ? { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() } : {}),
  };
};
