import type { Command } from '../domain/command.ts';
import { parentOf } from '../domain/trace-context.ts';
import { runContextOf } from '../telemetry/command-spans.ts';
import type { Deps } from './deps.ts';

/**
 * The command's variables, and the trace that its process belongs to, as
 * https://opentelemetry.io/docs/specs/otel/context/env-carriers/ has it. A command's own TRACEPARENT stays, also as a secret. Where
 * no spans are told of, the caller's own is passed on.
 */
export const environmentOf = (
  { tracing }: Pick<Deps, 'tracing'>,
  command: Command,
  attempt: number,
): Readonly<Record<string, string>> => {
  const { trace, spec } = command;
  if (!trace || OWN.some((name) => Object.hasOwn({ ...spec.env, ...spec.secrets }, name))) return spec.env;
  const isTold = tracing.exports && parentOf(trace).sampled;
  const { traceparent, tracestate } = isTold ? runContextOf(command, trace, attempt) : trace;
  return { TRACEPARENT: traceparent, ...(tracestate === undefined ? {} : { TRACESTATE: tracestate }), ...spec.env };
};

const OWN = ['TRACEPARENT', 'TRACESTATE'] as const;
