import type { Instant } from '../domain/clock.ts';
import type { TraceContext, TraceParent } from '../domain/trace-context.ts';

export type SpanKind = 'internal' | 'server' | 'producer' | 'consumer';

/** Something that took time and is over. Attributes are ids, names and numbers of ours: nothing that a caller wrote. */
export interface Span {
  readonly at: TraceParent;
  /** Absent: the trace begins with it. */
  readonly parentSpanId?: string | undefined;
  readonly name: string;
  /** @default 'internal' */
  readonly kind?: SpanKind;
  readonly startedAt: Instant;
  readonly endedAt: Instant;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** What kind of failure it was (`error.type`). Absent: none. */
  readonly failure?: string | undefined;
}

/** Tells a tracing system what was done. Nothing of it throws, and nobody waits for it but `flush`. */
export interface Tracing {
  /** Whether anything is told. Where not, a caller's context is passed on as it came. */
  readonly exports: boolean;
  /**
   * The context of a span that begins now: within the trace of `parent`, or at the start of one. Whether it is recorded is decided here,
   * once for all that follows. `spanId`: @default random. Where nothing is told, it is the parent's.
   */
  begin(parent: TraceContext | undefined, name: string, spanId?: string): Promise<TraceContext | undefined>;
  record(span: Span): void;
  /**
   * In a process that may be frozen afterwards: resolves once what was recorded is sent, or was given up after some 2 s. Elsewhere at
   * once, as it is sent every few seconds.
   */
  flush(): Promise<void>;
  /** Sends the rest, or gives it up after some 2 s. */
  close(): Promise<void>;
}

export const noTracing: Tracing = {
  exports: false,
  begin: async (parent) => parent,
  record: () => {},
  flush: async () => {},
  close: async () => {},
};

/** Opened with the first span, so that whoever never has one loads nothing. `open` must not reject. */
export const lazyTracing = (open: () => Promise<Tracing>): Tracing => {
  let opening: Promise<Tracing> | undefined;
  const opened = () => {
    opening ??= open();
    return opening;
  };
  return {
    exports: true,
    begin: async (...asked) => (await opened()).begin(...asked),
    record: (span) => void opened().then((tracing) => tracing.record(span)),
    // What is recorded right before is recorded first.
    flush: async () => (await opening)?.flush(),
    close: async () => (await opening)?.close(),
  };
};
