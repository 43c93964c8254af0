/** Where in a trace something belongs, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/). */
export interface TraceContext {
  readonly traceparent: string;
  /** What tracing systems keep for themselves along the way. */
  readonly tracestate?: string;
}

/** The parts of a `traceparent`. */
export interface TraceParent {
  /** 32 hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 hexadecimal digits, not all zero: the span that is the parent of what follows. */
  readonly spanId: string;
  /** Whether whoever came before records the trace. */
  readonly sampled: boolean;
}

/** A later version may go on after the flags, and means the same up to there. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/** Undefined for what is no `traceparent`: then there is no trace, and it is nobody's fault. */
export const parseTraceparent = (text: string): TraceParent | undefined => {
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || (version === '00' && rest !== undefined)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
};

export const toTraceparent = ({ traceId, spanId, sampled }: TraceParent): string =>
  `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;

const MOST_STATE_CHARACTERS = 512;
const MOST_STATE_MEMBERS = 32;
const STATE_MEMBER =
  /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** The context that a request's headers name. A `tracestate` that is none is left out, as the standard has it. */
export const readTraceContext = (headers: Readonly<Record<string, string | undefined>>): TraceContext | undefined => {
  const parent = parseTraceparent(headers['traceparent'] ?? '');
  if (!parent) return undefined;
  const members = (headers['tracestate'] ?? '').split(',').flatMap((member) => member.trim() || []);
  const tracestate = members.join(',');
  const isState =
    members.length > 0 &&
    members.length <= MOST_STATE_MEMBERS &&
    tracestate.length <= MOST_STATE_CHARACTERS &&
    members.every((member) => STATE_MEMBER.test(member));
  return { traceparent: toTraceparent(parent), ...(isState ? { tracestate } : {}) };
};

/** @throws TypeError for a context that was not read or made here */
export const parentOf = ({ traceparent }: TraceContext): TraceParent => {
  const parent = parseTraceparent(traceparent);
  if (!parent) throw new TypeError('Not a trace context');
  return parent;
};

/** The same trace, with another span as the parent of what follows. */
export const withSpan = (context: TraceContext, span: Partial<TraceParent>): TraceContext => ({
  ...context,
  traceparent: toTraceparent({ ...parentOf(context), ...span }),
});
