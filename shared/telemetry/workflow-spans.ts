import { parentOf, type TraceContext, withSpan } from '../domain/trace-context.ts';
import { isEnded, type NodeState, type Workflow } from '../domain/workflows.ts';
import { hashedSpanId } from './span-ids.ts';
import type { Span } from './tracing.ts';

/*
 * A workflow's spans follow from its record, as a command's do:
 *
 *   <the span of the request that submitted it>
 *   └─ workflow        one for each generation: begun … ended
 *      └─ node         one for each that began
 *         └─ command   one, or one for each item
 */

type Named = Pick<Workflow, 'tenant' | 'id' | 'generation'>;

const workflowSpanId = ({ tenant, id, generation }: Named): string => hashedSpanId(tenant, id, generation);
const nodeSpanId = ({ tenant, id, generation }: Named, node: string): string =>
  hashedSpanId(tenant, id, generation, node);

/** What a node's commands belong to: its span where spans are told of, else what the workflow itself was told. */
export const nodeContextOf = (workflow: Workflow, node: string, isTold: boolean): TraceContext | undefined => {
  const { trace } = workflow;
  if (!trace || !isTold || !parentOf(trace).sampled) return trace;
  return withSpan(trace, { spanId: nodeSpanId(workflow, node) });
};

/** The spans that ended with a change. */
export const workflowSpansOf = (before: Workflow, after: Workflow): readonly Span[] => {
  const { trace, tenant, id, generation, status, startedAt, endedAt, nodes } = after;
  if (!trace) return [];
  const parent = parentOf(trace);
  const spanId = workflowSpanId(after);
  const common = { 'errand.workflow.id': id, 'errand.tenant.id': tenant, 'errand.workflow.generation': generation };
  const spans: Span[] = [];
  for (const [name, state] of Object.entries(nodes)) {
    if (!isEnded(state.status) || before.nodes[name]?.status === state.status) continue;
    const span = spanOfNode(state);
    if (!span) continue;
    const attributes = { ...common, 'errand.workflow.node': name, 'errand.status': state.status };
    spans.push({ at: { ...parent, spanId: nodeSpanId(after, name) }, parentSpanId: spanId, ...span, attributes });
  }
  if (endedAt === undefined || before.endedAt !== undefined) return spans;
  spans.push({
    at: { ...parent, spanId },
    parentSpanId: parent.spanId,
    name: 'workflow',
    startedAt,
    endedAt: Math.max(startedAt, endedAt),
    attributes: { ...common, 'errand.status': status },
    failure: status === 'failed' || status === 'timed_out' ? status : undefined,
  });
  return spans;
};

/** What was skipped, or canceled before it began, took no time. */
const spanOfNode = ({ status, startedAt, endedAt = 0, reason }: NodeState) => {
  const isFailed = status === 'failed';
  if (startedAt === undefined && !isFailed) return undefined;
  const began = startedAt ?? endedAt;
  return {
    name: 'node',
    startedAt: began,
    // Clocks of several machines need not agree.
    endedAt: Math.max(began, endedAt),
    failure: isFailed ? (reason ?? status) : undefined,
  };
};
