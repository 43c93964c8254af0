import type * as z from 'zod';
import { getWorkflow, submitWorkflow } from '../../shared/app/workflows.ts';
import { SubmitWorkflow, type WorkflowView } from '../../shared/contract/workflow-schemas.ts';
import { toTenantId, type WorkflowId } from '../../shared/domain/ids.ts';
import { startWorkflow } from '../../shared/domain/workflow-steps.ts';
import type { Plan, PlannedNode, Workflow } from '../../shared/domain/workflows.ts';
import { T0 } from './commands.ts';
import { owner, type TestWorker } from './deps.ts';

export const workflowId = (n = 1): WorkflowId => `wfl_${String(n).padStart(16, '0')}` as WorkflowId;

/** A node that runs `true`. */
export const aNode = (over: Partial<PlannedNode> = {}): PlannedNode => ({ command: { argv: ['true'] }, ...over });

export const aPlan = (nodes: Plan['nodes'], over: Partial<Plan> = {}): Plan => ({
  ...{ nodes, concurrency: 50, failFast: false, timeoutSeconds: 3_600 },
  ...over,
});

/** The owner's, begun at T0. */
export const aWorkflow = (plan: Plan, over: Partial<Workflow> = {}): Workflow => ({
  ...startWorkflow(
    plan,
    {
      ...{ id: workflowId(), tenant: toTenantId('default'), name: '', labels: {}, targets: ['local'] },
      ...{ member: 'owner', scope: {} },
    },
    T0,
  ),
  ...over,
});

export type NewWorkflow = z.input<typeof SubmitWorkflow>;

/** Stores one of the owner's. */
export const submit = async (deps: TestWorker, workflow: NewWorkflow, idempotencyKey?: string): Promise<WorkflowView> =>
  (await submitWorkflow(deps, owner, { body: SubmitWorkflow.parse(workflow), idempotencyKey })).view;

export const read = (deps: TestWorker, { id }: Pick<WorkflowView, 'id'>): Promise<WorkflowView> =>
  getWorkflow(deps, owner, id);

/** `build:succeeded test:failed`, in the order of the graph. */
export const told = ({ nodes }: WorkflowView): string => nodes.map(({ name, status }) => `${name}:${status}`).join(' ');
