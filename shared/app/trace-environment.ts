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
  deps: Pick<Deps, 'tracing'>,
  command: Command,
  attempt: number,
): Readonly<Record<string, string>> => {
  const { env, secrets } = command.spec;
  return { ...traceEnvironmentOf(deps, command, attempt, { ...env, ...secrets }), ...env };
};

/** Of those alone, what to add to an environment: nothing where it has its own. */
export const traceEnvironmentOf = (
  { tracing }: Pick<Deps, 'tracing'>,
  command: Command,
  attempt: number,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> => {
  const { trace } = command;
  if (!trace || OWN.some((name) => Object.hasOwn(given, name))) return {};
  const isTold = tracing.exports && parentOf(trace).sampled;
  const { traceparent, tracestate } = isTold ? runContextOf(command, trace, attempt) : trace;
  return { TRACEPARENT: traceparent, ...(tracestate === undefined ? {} : { TRACESTATE: tracestate }) };
};

const OWN = ['TRACEPARENT', 'TRACESTATE'] as const;
