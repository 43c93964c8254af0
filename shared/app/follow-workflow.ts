import type { WorkflowEvents } from '../contract/workflow-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { WorkflowId } from '../domain/ids.ts';
import { orderOf } from '../domain/workflow-graph.ts';
import { workflowReferenceOf } from '../store/schema.ts';
import type { StoredWorkflow } from '../store/workflows.ts';
import type { Deps } from './deps.ts';
import type { WorkflowPlan } from './workflow-values.ts';
import { toNodeSummary, toWorkflowView } from './workflow-view.ts';
import { requirePlan, requireWorkflow } from './workflows.ts';

/** One event, with the version of the workflow that it tells of. */
export type WorkflowEvent = {
  [N in keyof WorkflowEvents]: { readonly name: N; readonly data: WorkflowEvents[N]; readonly version: number };
}[keyof WorkflowEvents];

interface FollowOptions {
  /** Ends the events after so long, with a heartbeat, when the workflow has not ended. @default never */
  readonly forSeconds?: number | undefined;
  /** A long poll: the events end as soon as a node changed, with a heartbeat. @default false */
  readonly poll?: boolean;
}

const HEARTBEAT_SECONDS = 15;

/**
 * Follows a workflow live: all of it first, then each node that changes, until it has ended. A reader that comes back is told all of it again.
 * @throws AppError 'not-found'
 */
export const followWorkflow = async (
  deps: Deps,
  actor: Actor,
  id: WorkflowId,
  options: FollowOptions,
): Promise<AsyncGenerator<WorkflowEvent>> => {
  const stored = await requireWorkflow(deps, actor, id);
  return follow(deps, stored, await requirePlan(deps, stored.workflow), options);
};

async function* follow(
  deps: Deps,
  first: StoredWorkflow,
  plan: WorkflowPlan,
  { forSeconds = Number.POSITIVE_INFINITY, poll = false }: FollowOptions,
): AsyncGenerator<WorkflowEvent> {
  const reference = workflowReferenceOf(first.workflow.tenant, first.workflow.id);
  using watch = deps.changes.watch(reference, ['record']);
  const order = orderOf(plan.nodes);
  const told = new Map<string, string>();
  const endAt = deps.clock.now() + forSeconds * 1_000;
  let silentSince = deps.clock.now();
  let latest: StoredWorkflow | undefined;
  for (;;) {
    const before = latest;
    latest = (await deps.workflows.find(reference)) ?? latest ?? first;
    const { workflow, version } = latest;
    if (workflow.status !== 'running') {
      yield { name: 'end', data: toWorkflowView(workflow, plan), version };
      return;
    }
    const news = order
      .map((name) => toNodeSummary(workflow, plan, name))
      .filter((node) => {
        const text = JSON.stringify(node);
        const isNews = told.get(node.name) !== text;
        told.set(node.name, text);
        return isNews;
      });
    // One that was resumed is told as a whole again.
    const isWhole = before === undefined || before.workflow.generation !== workflow.generation;
    if (isWhole) yield { name: 'workflow', data: toWorkflowView(workflow, plan), version };
    else for (const node of news) yield { name: 'node', data: node, version };
    if (isWhole || news.length > 0) silentSince = deps.clock.now();
    const heartbeatAt = Math.min(endAt, silentSince + HEARTBEAT_SECONDS * 1_000);
    const isAnswered = poll && !isWhole && news.length > 0;
    if (!isAnswered) {
      await watch.next(Math.min(deps.lookEverySeconds * 1_000, Math.max(0, heartbeatAt - deps.clock.now())));
      if (deps.clock.now() < heartbeatAt) continue;
    }
    yield { name: 'heartbeat', data: {}, version };
    if (isAnswered || deps.clock.now() >= endAt) return;
    silentSince = deps.clock.now();
  }
}
