import type * as z from 'zod';
import type { NodeSummary, NodeView, WorkflowSummary, WorkflowView } from '../contract/workflow-schemas.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { parentOf } from '../domain/trace-context.ts';
import { orderOf } from '../domain/workflow-graph.ts';
import { NODE_STATUSES, type NodeState, type Plan, type Run, type Workflow } from '../domain/workflows.ts';

/** A workflow as callers see it. */
export const toWorkflowView = (workflow: Workflow, plan: Plan<unknown>): WorkflowView => ({
  ...toWorkflowSummary(workflow),
  nodes: orderOf(plan.nodes).map((name) => toNodeView(workflow, plan, name)),
});

/** As it is listed. */
export const toWorkflowSummary = (workflow: Workflow): WorkflowSummary => {
  const { id, name, status, stop, generation, labels, member, submittedAt, startedAt, deadlineAt, endedAt, trace } =
    workflow;
  return {
    ...{ id, name, status, generation, member, labels: { ...labels } },
    stopping: status === 'running' && stop !== undefined,
    submittedAt: toTimestamp(submittedAt),
    startedAt: toTimestamp(startedAt),
    deadlineAt: toTimestamp(deadlineAt),
    endedAt: timestampOrNull(endedAt),
    counts: countsOf(workflow),
    ...(trace ? { traceId: parentOf(trace).traceId } : {}),
  };
};

export const countsOf = ({ nodes }: Workflow): WorkflowSummary['counts'] => {
  const counts = Object.fromEntries(NODE_STATUSES.map((status) => [status, 0])) as WorkflowSummary['counts'];
  for (const { status } of Object.values(nodes)) counts[status]++;
  return counts;
};

const toNodeView = (workflow: Workflow, plan: Plan<unknown>, name: string): z.output<typeof NodeView> => ({
  ...toNodeSummary(workflow, plan, name),
  runs: (workflow.nodes[name]?.runs ?? []).map(({ status, command }) => ({ status, command: command ?? null })),
});

/** One node without the commands of its items, of which there may be many. */
export const toNodeSummary = ({ nodes }: Workflow, plan: Plan<unknown>, name: string): NodeSummary => {
  const { needs = [], forEach } = plan.nodes[name] ?? {};
  const state: NodeState = nodes[name] ?? { status: 'waiting' };
  const { status, runs, exitCode, reason, detail, startedAt, endedAt } = state;
  return {
    ...{ name, status, needs: [...needs] },
    command: (forEach ? undefined : runs?.[0]?.command) ?? null,
    exitCode: exitCode ?? null,
    reason: reason ?? null,
    detail: detail ?? null,
    startedAt: timestampOrNull(startedAt),
    endedAt: timestampOrNull(endedAt),
    items: forEach && runs ? itemsOf(runs) : null,
  };
};

const itemsOf = (runs: readonly Run[]): NonNullable<NodeSummary['items']> => {
  const count = (...wanted: readonly Run['status'][]) => runs.filter(({ status }) => wanted.includes(status)).length;
  return {
    total: runs.length,
    running: count('claimed', 'running'),
    succeeded: count('succeeded'),
    failed: count('failed'),
    canceled: count('canceled'),
  };
};

const timestampOrNull = (instant: Instant | undefined): string | null =>
  instant === undefined ? null : toTimestamp(instant);
