import { createHash } from 'node:crypto';
import type * as z from 'zod';
import { hashOf } from '../audit/chain.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import type { NodeCommand, SubmitWorkflow, WorkflowList, WorkflowView } from '../contract/workflow-schemas.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import { AppError, type Fault } from '../domain/errors.ts';
import type { WorkflowId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { referencesOf } from '../domain/workflow-graph.ts';
import { cancelWorkflow as cancel, resumeWorkflow as resume, startWorkflow } from '../domain/workflow-steps.ts';
import type { Plan, PlannedNode, Value, Workflow, WorkflowStatus } from '../domain/workflows.ts';
import { type WorkflowReference, workflowReferenceOf } from '../store/schema.ts';
import type { Write } from '../store/store.ts';
import type { StoredWorkflow } from '../store/workflows.ts';
import { currentTrace } from '../telemetry/trace-scope.ts';
import { auditWrite, noteRefusal } from './audit-events.ts';
import { requireAllowed } from './decide-submission.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { requireSecrets } from './resolve-secrets.ts';
import { specify } from './specify.ts';
import { within } from './within.ts';
import { parseCommand, type WorkflowPlan } from './workflow-values.ts';
import { toWorkflowSummary, toWorkflowView } from './workflow-view.ts';

type Parts = Pick<
  Deps,
  'workflows' | 'clock' | 'random' | 'auditLog' | 'targets' | 'pools' | 'secrets' | 'policies' | 'queue' | 'log'
>;

const ID_BYTES = 8;
const DEFAULT_CONCURRENCY = 50;
const DEFAULT_TIMEOUT_SECONDS = 24 * 3_600;
const MOST_TRIES = 20;

export interface SubmittedWorkflow {
  readonly view: WorkflowView;
  /** Whether this request was a repeated one. */
  readonly repeated: boolean;
}

/**
 * Stores a workflow durably and wakes a worker. Each command is checked as its own submission would be, as far as it is known by now. Nothing is
 * stored when it throws.
 * @throws AppError as a submission of a command, its faults below /nodes/<name>/command; 'idempotency-mismatch' for a key that was used with
 * another body
 */
export const submitWorkflow = async (
  deps: Parts,
  actor: Actor,
  { body, idempotencyKey }: { readonly body: SubmitWorkflow; readonly idempotencyKey?: string | undefined },
): Promise<SubmittedWorkflow> => {
  const now = deps.clock.now();
  const labels = labelsOf(actor, body);
  const { plan, targets } = await toPlan(deps, actor, body, labels);
  const id = `wfl_${deps.random.hex(ID_BYTES)}` as WorkflowId;
  const trace = currentTrace();
  const workflow = startWorkflow(
    plan,
    {
      ...{ id, tenant: actor.tenant, name: body.name ?? '', labels, targets },
      ...{ member: actor.id, scope: actor.scope },
      ...(trace ? { trace } : {}),
    },
    now,
  );
  const idempotency =
    idempotencyKey === undefined
      ? undefined
      : {
          // A command's key is another's, even if it is the same text.
          keyHash: createHash('sha256').update(`workflow/${idempotencyKey}`).digest('hex'),
          bodyHash: hashOf(body),
          expiresAt: now + LIMITS.idempotencySeconds * 1_000,
        };
  const details = { planHash: hashOf(plan), nodes: Object.keys(plan.nodes).length, targets };
  const alongside = [auditWrite(deps, actor, 'workflow.submitted', id, details)];
  const added = await deps.workflows.add(workflow, plan as Plan, { idempotency, now, alongside });
  if (added.kind === 'added') {
    await wakeWorkflow(deps, workflow);
    return { view: toWorkflowView(workflow, plan), repeated: false };
  }
  if (!added.sameBody) {
    const detail = `This Idempotency-Key was used for ${added.id} with another body. Use a new key for a new workflow.`;
    const faults: Fault[] = [{ in: 'header', pointer: '/idempotency-key', detail }];
    throw new AppError('idempotency-mismatch', detail, { faults });
  }
  return { view: await getWorkflow(deps, actor, added.id), repeated: true };
};

/** @throws AppError 'not-found' */
export const getWorkflow = async (
  deps: Pick<Parts, 'workflows'>,
  actor: Actor,
  id: WorkflowId,
): Promise<WorkflowView> => {
  const { workflow } = await requireWorkflow(deps, actor, id);
  return viewOf(deps, workflow);
};

/** Those within the caller's scope, the newest first. */
export const listWorkflows = async (
  { workflows }: Pick<Parts, 'workflows'>,
  { tenant, scope }: Actor,
  { status, ...query }: PageQuery & { readonly status?: WorkflowStatus | undefined },
): Promise<z.output<typeof WorkflowList>> => {
  const { limit, after } = toPage(tenant, query);
  const { workflows: found, places } = await workflows.list(tenant, { limit, after });
  const wanted = found.filter((one) => isWithin(scope, one) && (status === undefined || one.status === status));
  return { items: wanted.map(toWorkflowSummary), ...nextCursor(tenant, places, limit) };
};

/**
 * Begins nothing more of it and cancels what runs. Twice is the same as once.
 * @throws AppError 'not-found', 'already-final'
 */
export const cancelWorkflow = async (deps: Parts, actor: Actor, id: WorkflowId): Promise<WorkflowView> => {
  const event = auditWrite(deps, actor, 'workflow.cancel-requested', id);
  const workflow = await change(deps, actor, id, [event], (latest) => {
    if (latest.status !== 'running') {
      throw new AppError('already-final', `${id} has already ended: ${latest.status}.`);
    }
    return cancel(latest, deps.clock.now());
  });
  await wakeWorkflow(deps, workflow);
  return viewOf(deps, workflow);
};

/**
 * Runs again what did not succeed, once for each generation; its commands have the rights of whoever resumes it.
 * @param onGeneration that it has now: asked again, the next one is told of
 * @throws AppError 'not-found'; 'conflict' when it runs, nothing is left to run, or it is of another generation
 */
export const resumeWorkflow = async (
  deps: Parts,
  actor: Actor,
  id: WorkflowId,
  onGeneration?: number,
): Promise<WorkflowView> => {
  const { workflow: present } = await requireWorkflow(deps, actor, id);
  const plan = await requirePlan(deps, present);
  const event = auditWrite(deps, actor, 'workflow.resumed', id, { generation: present.generation + 1 });
  const workflow = await change(deps, actor, id, [event], (latest) => {
    if (onGeneration !== undefined && latest.generation === onGeneration + 1) return undefined;
    if (latest.generation !== (onGeneration ?? present.generation)) {
      throw conflict(`${id} is of generation ${latest.generation} by now, not ${onGeneration ?? present.generation}.`);
    }
    if (latest.status === 'running') throw conflict(`${id} has not ended. Cancel it first, or wait.`);
    const resumed = resume(plan, latest, { member: actor.id, scope: actor.scope }, deps.clock.now());
    if (!resumed) throw conflict(`${id} has nothing to run again: ${latest.status}.`);
    return resumed;
  });
  await wakeWorkflow(deps, workflow);
  return viewOf(deps, workflow);
};

/** @throws AppError 'not-found', the same for what is beyond the caller's scope or another tenant's as for what never was */
export const requireWorkflow = async (
  { workflows }: Pick<Parts, 'workflows'>,
  { tenant, scope }: Actor,
  id: WorkflowId,
): Promise<StoredWorkflow> => {
  const stored = await workflows.find(workflowReferenceOf(tenant, id));
  if (stored && isWithin(scope, stored.workflow)) return stored;
  const detail = `There is no workflow ${id}.`;
  throw new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

export const requirePlan = async (
  { workflows }: Pick<Parts, 'workflows'>,
  { tenant, id }: Workflow,
): Promise<WorkflowPlan> => {
  const plan = await workflows.findPlan(workflowReferenceOf(tenant, id));
  // They are written in one transaction.
  if (!plan) throw new Error(`Workflow ${id} has no plan`);
  return plan as WorkflowPlan;
};

/** A workflow is stored, so it goes on: a queue that fails only makes it wait for the sweeper. */
export const wakeWorkflow = async (
  { queue, log }: Pick<Deps, 'queue' | 'log'>,
  { tenant, id }: Pick<Workflow, 'tenant' | 'id'>,
  delaySeconds = 0,
): Promise<void> => {
  const reference: WorkflowReference = workflowReferenceOf(tenant, id);
  await queue
    .send({ v: 1, id: reference }, { priority: 'high', delaySeconds })
    .catch((error: unknown) => log.warn('A workflow was not woken; the sweeper will find it', { reference, error }));
};

const viewOf = async (deps: Pick<Parts, 'workflows'>, workflow: Workflow): Promise<WorkflowView> =>
  toWorkflowView(workflow, await requirePlan(deps, workflow));

/** Reads, changes and stores, again when someone else was faster; a change that gives undefined leaves all as it is. */
const change = async (
  deps: Parts,
  actor: Actor,
  id: WorkflowId,
  alongside: readonly Write[],
  to: (workflow: Workflow) => Workflow | undefined,
): Promise<Workflow> => {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const stored = await requireWorkflow(deps, actor, id);
    const next = to(stored.workflow);
    if (!next) return stored.workflow;
    const saved = await deps.workflows.save(stored, next, alongside);
    if (saved) return saved.workflow;
  }
  throw conflict(`${id} is being changed by others. Try again.`);
};

const conflict = (detail: string): AppError => new AppError('conflict', detail);

/** All of its targets, with its labels: who may see a workflow may see all of its commands. */
const isWithin = (scope: Actor['scope'], { targets, labels }: Workflow): boolean =>
  targets.every((target) => isInScope(scope, { spec: { target, labels } }));

const labelsOf = ({ scope }: Actor, { labels = {} }: SubmitWorkflow): Workflow['labels'] => {
  for (const [name, value] of Object.entries(scope.labels ?? {})) {
    if ((labels[name] ?? value) === value) continue;
    const detail = `You may only submit commands with the label ${name}:${value}.`;
    throw new AppError('forbidden', detail, { faults: [{ in: 'body', pointer: `/labels/${name}`, detail }] });
  }
  return { ...labels, ...scope.labels };
};

const toPlan = async (
  deps: Parts,
  actor: Actor,
  { nodes, concurrency, failFast, timeoutSeconds }: SubmitWorkflow,
  labels: Workflow['labels'],
): Promise<{ readonly plan: WorkflowPlan; readonly targets: readonly string[] }> => {
  const planned: [string, PlannedNode<NodeCommand>][] = [];
  const targets = new Set<string>();
  for (const [name, node] of Object.entries(nodes)) {
    const target = await within(`/nodes/${name}/command`, () => requireCommand(deps, actor, node.command, labels));
    targets.add(target);
    // The default of today: what is checked here is what is submitted later.
    planned.push([name, { ...node, command: { ...node.command, target } }]);
  }
  const plan: WorkflowPlan = {
    nodes: Object.fromEntries(planned),
    concurrency: concurrency ?? DEFAULT_CONCURRENCY,
    failFast: failFast ?? false,
    timeoutSeconds: timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
  };
  return { plan, targets: [...targets] };
};

/** Resolves with its target. What is not known yet stands as an empty text, and the policy decides about it once it is known. */
const requireCommand = async (
  deps: Parts,
  actor: Actor,
  command: NodeCommand,
  labels: Workflow['labels'],
): Promise<string> => {
  const submitted = parseCommand({ ...withoutReferences(command), labels: { ...labels, ...command.labels } });
  const { body, spec, landings } = specify(deps, actor.scope, submitted);
  await requireSecrets(deps, actor, body);
  if (referencesOf(command).length > 0) return spec.target;
  try {
    await requireAllowed(deps, actor, { spec, landings });
  } catch (refusal) {
    if (refusal instanceof AppError && refusal.code === 'policy-denied') {
      await noteRefusal(deps, actor, 'command.denied', spec.target, { commandHash: hashOf(spec) });
    }
    throw refusal;
  }
  return spec.target;
};

const withoutReferences = ({ argv, env, stdin, ...command }: NodeCommand): Partial<SubmitCommand> => {
  const known = (value: Value) => (typeof value === 'string' ? value : '');
  return {
    ...command,
    ...(argv ? { argv: argv.map(known) } : {}),
    ...(env ? { env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, known(value)])) } : {}),
    ...(stdin === undefined ? {} : { stdin: known(stdin) }),
  };
};
