import type { Instant, Random } from '../domain/clock.ts';
import type { CommandId, TenantId, WorkflowId } from '../domain/ids.ts';
import type { NodeState, Plan, Run, RunStatus, Workflow } from '../domain/workflows.ts';
import type { Idempotency } from './commands.ts';
import {
  dueAtOf,
  dueBy,
  dueWorkflowPartitions,
  indexKeys,
  keys,
  type WorkflowReference,
  workflowReferenceOf,
} from './schema.ts';
import type { Item, Store, Write } from './store.ts';

/** A workflow with the version that a save of it must find. */
export interface StoredWorkflow {
  readonly workflow: Workflow;
  readonly version: number;
}

export type AddedWorkflow =
  | { readonly kind: 'added' }
  /** The key was used before, for this one. */
  | { readonly kind: 'repeated'; readonly id: WorkflowId; readonly sameBody: boolean };

/** The workflows, above the store. What was submitted and where it stands lie apart: the first is large and never changes. */
export interface Workflows {
  find(reference: WorkflowReference): Promise<StoredWorkflow | undefined>;
  findPlan(reference: WorkflowReference): Promise<Plan | undefined>;
  /** Stores a new one with its plan, once for each idempotency key that has not expired by `now`. */
  add(
    workflow: Workflow,
    plan: Plan,
    options: {
      readonly idempotency: Idempotency | undefined;
      readonly now: Instant;
      readonly alongside: readonly Write[];
    },
  ): Promise<AddedWorkflow>;
  /** Compare-and-set, with `alongside` in the same transaction. Undefined when someone else was faster: nothing is written then. */
  save(from: StoredWorkflow, next: Workflow, alongside?: readonly Write[]): Promise<StoredWorkflow | undefined>;
  /** The newest first. A page may hold fewer than `limit`, as some were removed since. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<{ readonly workflows: readonly Workflow[]; readonly places: readonly string[] }>;
  /** Those that someone must look at by `until`, the most overdue first. */
  due(until: Instant, limit: number): Promise<readonly WorkflowReference[]>;
}

interface WorkflowData {
  readonly workflow: Omit<Workflow, 'nodes'> & { readonly nodes: Readonly<Record<string, NodeData>> };
  /** Tells the writer of this version that it was its own write, should the answer have been lost. */
  readonly nonce: string;
}
/** Commands in few bytes, as there may be 2,000: a letter, and the id. */
type NodeData = Omit<NodeState, 'runs'> & { readonly runs?: readonly string[] };

interface IdempotencyData {
  readonly id: WorkflowId;
  readonly bodyHash: string;
}

export const makeWorkflows = (
  store: Store,
  random: Random,
  stored: (reference: WorkflowReference) => void = () => {},
): Workflows => {
  const itemOf = (workflow: Workflow, version: number): Item => {
    const { tenant, id, submittedAt, dueAt } = workflow;
    const reference = workflowReferenceOf(tenant, id);
    return {
      ...keys.workflow(reference),
      version,
      data: { workflow: pack(workflow), nonce: random.hex(8) } satisfies WorkflowData,
      list: indexKeys.listWorkflow(tenant, id, submittedAt),
      ...(dueAt === undefined ? {} : { due: indexKeys.dueWorkflow(reference, dueAt) }),
    };
  };

  return {
    async find(reference) {
      const item = await store.get(keys.workflow(reference));
      return item && { workflow: unpack((item.data as WorkflowData).workflow), version: item.version };
    },

    async findPlan(reference) {
      return (await store.get(keys.workflowPlan(reference)))?.data as Plan | undefined;
    },

    async add(workflow, plan, { idempotency, now, alongside }) {
      const reference = workflowReferenceOf(workflow.tenant, workflow.id);
      const item = itemOf(workflow, 1);
      const writes: Write[] = [
        { put: item, ifVersion: 0 },
        { put: { ...keys.workflowPlan(reference), version: 1, data: plan }, ifVersion: 0 },
        ...alongside,
      ];
      if (idempotency) {
        const key = keys.idempotency(workflow.tenant, idempotency.keyHash);
        const before = await store.get(key);
        if (before && (before.expiresAt ?? 0) > now) return toRepeated(before, idempotency);
        const record: Item = {
          ...key,
          version: (before?.version ?? 0) + 1,
          data: { id: workflow.id, bodyHash: idempotency.bodyHash } satisfies IdempotencyData,
          expiresAt: idempotency.expiresAt,
        };
        writes.unshift({ put: record, ifVersion: before?.version ?? 0 });
      }
      const written = await store.write(writes);
      if (!written.ok) {
        const { actual } = written;
        const isKey = idempotency !== undefined && written.index === 0 && actual !== undefined;
        if (isKey && (actual.data as IdempotencyData).id !== workflow.id) return toRepeated(actual, idempotency);
        // One's own write, the answer to which was lost.
        const there = await store.get(item);
        if ((there?.data as WorkflowData | undefined)?.nonce !== (item.data as WorkflowData).nonce) {
          throw new Error(`Workflow id ${workflow.id} is taken`);
        }
      }
      stored(reference);
      return { kind: 'added' };
    },

    async save(from, next, alongside = []) {
      const version = from.version + 1;
      const item = itemOf(next, version);
      const written = await store.write([{ put: item, ifVersion: from.version }, ...alongside]);
      if (!written.ok) {
        const { nonce } = item.data as WorkflowData;
        const isOwn = (written.actual?.data as WorkflowData | undefined)?.nonce === nonce;
        if (!isOwn) return undefined;
      }
      stored(workflowReferenceOf(next.tenant, next.id));
      return { workflow: next, version };
    },

    async list(tenant, { limit, after }) {
      const { pk } = indexKeys.listWorkflow(tenant, '' as WorkflowId, 0);
      // The range is inclusive, so the last one seen comes first again.
      const range = { ...(after === undefined ? {} : { to: after }), limit: limit + 1, reverse: true };
      const entries = (await store.queryIndex('list', pk, range))
        .filter(({ indexKey }) => indexKey.sk !== after)
        .slice(0, limit);
      const items = entries.length > 0 ? await store.getAll(entries.map(({ key }) => key)) : [];
      return {
        workflows: items.flatMap((item) => (item ? [unpack((item.data as WorkflowData).workflow)] : [])),
        places: entries.map(({ indexKey }) => indexKey.sk),
      };
    },

    async due(until, limit) {
      const range = { to: dueBy(until), limit };
      const shards = await Promise.all(dueWorkflowPartitions.map((pk) => store.queryIndex('due', pk, range)));
      return shards
        .flat()
        .sort((a, b) => dueAtOf(a.indexKey) - dueAtOf(b.indexKey))
        .slice(0, limit)
        .map(({ key }) => key.pk as WorkflowReference);
    },
  };
};

const toRepeated = ({ data }: Item, { bodyHash }: Idempotency): AddedWorkflow => {
  const { id, bodyHash: earlier } = data as IdempotencyData;
  return { kind: 'repeated', id, sameBody: bodyHash === earlier };
};

const LETTERS = {
  waiting: 'w',
  claimed: 'c',
  running: 'r',
  succeeded: 's',
  failed: 'f',
  canceled: 'x',
} as const satisfies Record<RunStatus, string>;
const STATUSES = new Map(Object.entries(LETTERS).map(([status, letter]) => [letter as string, status as RunStatus]));

const pack = (workflow: Workflow): WorkflowData['workflow'] => ({
  ...workflow,
  nodes: mapNodes(workflow.nodes, ({ runs, ...state }) => ({
    ...state,
    ...(runs ? { runs: runs.map(({ status, command = '' }) => LETTERS[status] + command) } : {}),
  })),
});

const unpack = (workflow: WorkflowData['workflow']): Workflow => ({
  ...workflow,
  nodes: mapNodes(workflow.nodes, ({ runs, ...state }) => ({
    ...state,
    ...(runs ? { runs: runs.map(toRun) } : {}),
  })),
});

const toRun = (text: string): Run => {
  const status = STATUSES.get(text.slice(0, 1)) ?? 'waiting';
  return text.length > 1 ? { status, command: text.slice(1) as CommandId } : { status };
};

const mapNodes = <A, B>(nodes: Readonly<Record<string, A>>, to: (node: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, to(node)]));
