import type * as z from 'zod';
import type {
  NodeSummary,
  SubmitWorkflow,
  WorkflowEvents,
  WorkflowSummary,
  WorkflowView,
} from '../../shared/contract/workflow-schemas.ts';
import { type FollowOptions, followMessages } from './follow.ts';
import type { Json, Transport } from './transport.ts';

export type NewWorkflow = z.input<typeof SubmitWorkflow>;
export type Workflow = WorkflowView;
export type WorkflowNode = NodeSummary;
export type { WorkflowSummary };

/** What happens to a workflow, as it happens. */
export type WorkflowEvent =
  /** All of it: first of all, after a broken connection, and when it was resumed. */
  | { readonly type: 'workflow'; readonly workflow: Workflow }
  /** One of its nodes, as it is now. */
  | { readonly type: 'node'; readonly node: WorkflowNode }
  /** The last one. */
  | { readonly type: 'end'; readonly workflow: Workflow };

export interface WorkflowCalls {
  /**
   * Resolves once it is stored durably; then it will run.
   * @param idempotencyKey default: one made for this call, so that a repeated request submits once
   */
  submitWorkflow(workflow: NewWorkflow, idempotencyKey?: string): Promise<Workflow>;
  /** Submits, and waits for the end however long it takes. One that fails is a result, not an error. */
  runWorkflow(workflow: NewWorkflow, options?: Pick<FollowOptions, 'signal'>): Promise<Workflow>;
  /** With each node's state and commands. */
  getWorkflow(id: string): Promise<Workflow>;
  /** All of them, newest first, page after page. */
  listWorkflows(options?: { readonly status?: Workflow['status'] | undefined }): AsyncGenerator<WorkflowSummary>;
  /** Begins nothing more of it and cancels what runs. Twice is the same as once. @throws ApiError 'already-final' */
  cancelWorkflow(id: string): Promise<Workflow>;
  /**
   * Runs again what did not succeed, and what needs that.
   * @param onGeneration only if this is its generation now, so that a repeated request resumes once. Default: the one that it has now
   */
  resumeWorkflow(id: string, onGeneration?: number): Promise<Workflow>;
  /**
   * What happens, to the end event, through broken connections. Gives up with a ConnectionError when the server is away for about half a
   * minute; the workflow goes on.
   */
  followWorkflow(id: string, options?: Pick<FollowOptions, 'onBreak' | 'signal'>): AsyncGenerator<WorkflowEvent>;
}

const pathOf = (id: string, more = ''): string => `/v1/workflows/${encodeURIComponent(id)}${more}`;

export const makeWorkflowCalls = (
  json: Json,
  streams: Transport,
  { silenceMs, makeKey }: { readonly silenceMs: number; readonly makeKey: () => string },
): WorkflowCalls => {
  const calls: WorkflowCalls = {
    submitWorkflow: (workflow, idempotencyKey = makeKey()) =>
      json('POST', '/v1/workflows', { json: workflow, headers: { 'idempotency-key': idempotencyKey } }),
    async runWorkflow(workflow, { signal } = {}) {
      const { id } = await calls.submitWorkflow(workflow);
      for await (const event of calls.followWorkflow(id, { signal })) if (event.type === 'end') return event.workflow;
      signal?.throwIfAborted();
      return calls.getWorkflow(id);
    },
    getWorkflow: (id) => json('GET', pathOf(id)),
    async *listWorkflows({ status } = {}) {
      for (let cursor: string | undefined; ; ) {
        const query = { status, cursor, limit: 100 };
        const page = await json<{ items: WorkflowSummary[]; nextCursor?: string }>('GET', '/v1/workflows', { query });
        yield* page.items;
        cursor = page.nextCursor;
        if (cursor === undefined) return;
      }
    },
    cancelWorkflow: (id) => json('POST', pathOf(id, '/cancel')),
    async resumeWorkflow(id, onGeneration) {
      const generation = onGeneration ?? (await calls.getWorkflow(id)).generation;
      return json('POST', pathOf(id, '/resume'), { json: { onGeneration: generation } });
    },
    async *followWorkflow(id, options = {}) {
      const follow = { ...options, silenceMs, queryAt: () => ({}) };
      for await (const { message } of followMessages(streams, pathOf(id, '/events'), follow)) {
        const event = toEvent(message.event, message.data);
        if (!event) continue;
        yield event;
        if (event.type === 'end') return;
      }
    },
  };
  return calls;
};

/** Undefined for a sign of life, and for what a newer server sends and this client does not know. */
const toEvent = (name: string | undefined, data: string): WorkflowEvent | undefined => {
  if (name === 'node') return { type: name, node: JSON.parse(data) as WorkflowEvents['node'] };
  if (name === 'workflow' || name === 'end') return { type: name, workflow: JSON.parse(data) as WorkflowEvents['end'] };
  return undefined;
};
