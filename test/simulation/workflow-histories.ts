import type { Deps } from '../../shared/app/deps.ts';
import { getWorkflow, listWorkflows } from '../../shared/app/workflows.ts';
import type { Actor } from '../../shared/domain/actor.ts';
import type { WorkflowId } from '../../shared/domain/ids.ts';
import type { Item } from '../../shared/store/store.ts';
import type { Generation, Place, SeenNode, WorkflowHistory } from './history.ts';
import type { WorkflowEvent } from './workflow-caller.ts';
import { jobOf, type WorkflowPlan } from './workflow-scenario.ts';

/** Keeps what workflows were, of which each itself keeps but the latest. */
export interface WorkflowHistories {
  /** Told of each item that is stored. */
  saw(item: Item, place: Place, at: number): void;
  heard(event: WorkflowEvent, place: Place): void;
  /** How many run, or have a caller that is not done with them. */
  open(): number;
  /** What callers were told that cannot be. */
  readonly refusals: readonly string[];
  /** All of them, as they are read when everything is over. */
  read(deps: Deps, actor: Actor, audit: Audited | undefined): Promise<readonly WorkflowHistory[]>;
}

/** Subjects of the audit log's entries. */
export interface Audited {
  readonly submitted: readonly string[];
  readonly ended: readonly string[];
}

interface StoredWorkflow {
  readonly id: string;
  readonly status: string;
  readonly generation: number;
  /** Of this generation. */
  readonly startedAt: number;
  /** Of each run a letter, and its command if it has one. */
  readonly nodes: Readonly<Record<string, { readonly runs?: readonly string[] }>>;
}

const MOST = 100;

export const watchWorkflows = (plans: readonly WorkflowPlan[]): WorkflowHistories => {
  const generations = new Map<string, Generation[]>();
  const running = new Set<string>();
  const waiting = new Set(plans.map(({ name }) => name));
  const acknowledged = new Map<string, string[]>();
  const canceled = new Map<string, Place>();
  const refusals: string[] = [];

  return {
    refusals,
    saw({ sk, data }, place, at) {
      if (sk !== 'workflow') return;
      const { id, status, generation, startedAt, nodes } = (data as { workflow: StoredWorkflow }).workflow;
      const own = generations.get(id) ?? [];
      generations.set(id, own);
      if (own.at(-1)?.number !== generation) own.push({ number: generation, begins: place, beganAt: startedAt });
      if (status === 'running') {
        running.add(id);
        return;
      }
      running.delete(id);
      const last = own.pop() as Generation;
      const commands = Object.values(nodes).flatMap(({ runs = [] }) => runs.map((run) => run.slice(1)));
      own.push({ ...last, ends: place, endedAt: at, status, commands });
    },
    heard(event, place) {
      const { workflow } = event;
      if (event.kind === 'over') waiting.delete(workflow);
      if (event.kind === 'cancel-confirmed') canceled.set(workflow, place);
      if (event.kind === 'refused') refusals.push(`${workflow}: its ${event.what} was refused: ${event.code}`);
      if (event.kind === 'acknowledged') {
        acknowledged.set(workflow, [...(acknowledged.get(workflow) ?? []), event.id]);
      }
    },
    open: () => running.size + waiting.size,
    async read(deps, actor, audit) {
      const { items } = await listWorkflows(deps, actor, { limit: MOST });
      const histories: WorkflowHistory[] = [];
      for (const plan of plans) {
        const { name, body } = plan;
        const found = items.filter((one) => one.name === name).map(({ id }) => id);
        const [id] = found;
        const view = id === undefined ? undefined : await getWorkflow(deps, actor, id as WorkflowId);
        const times = (subjects: readonly string[]) => subjects.filter((subject) => subject === id).length;
        histories.push({
          ...{ name, found, id: id ?? 'none', status: view?.status ?? 'not there' },
          concurrency: body.concurrency ?? Number.POSITIVE_INFINITY,
          failFast: body.failFast ?? false,
          timeoutSeconds: body.timeoutSeconds ?? Number.POSITIVE_INFINITY,
          acknowledged: acknowledged.get(name) ?? [],
          canceled: canceled.get(name),
          wasToCancel: plan.cancelAfterMs !== undefined,
          generations: generations.get(id ?? '') ?? [],
          nodes: view ? view.nodes.map((node) => toSeenNode(plan, node)) : [],
          ...(audit ? { audited: { submitted: times(audit.submitted), ended: times(audit.ended) } } : {}),
        });
      }
      return histories;
    },
  };
};

type NodeView = Awaited<ReturnType<typeof getWorkflow>>['nodes'][number];

const toSeenNode = ({ name: workflow, body }: WorkflowPlan, view: NodeView): SeenNode => {
  const { name, status, exitCode, reason, runs } = view;
  const planned = body.nodes[name];
  if (!planned) throw new Error(`${workflow} has a node ${name} that nobody asked for.`);
  const { needs = [], if: condition = 'succeeded', forEach, allowFailure = false, command } = planned;
  const source = (command.argv ?? []).flatMap((one) =>
    typeof one === 'object' && 'fromOutput' in one ? [one.fromOutput] : [],
  );
  return {
    ...{ name, needs, allowFailure, status, exitCode, reason, runs },
    job: jobOf(workflow, name),
    condition: condition as SeenNode['condition'],
    items: forEach && ('items' in forEach ? forEach.items.map(String) : { linesOf: forEach.fromOutput }),
    reads: source[0],
    retryOn: command.retry?.on ?? [],
    maxAttempts: command.retry?.maxAttempts ?? 1,
  };
};
