import type { Deps } from '../../shared/app/deps.ts';
import {
  cancelWorkflow,
  getWorkflow,
  listWorkflows,
  resumeWorkflow,
  submitWorkflow,
} from '../../shared/app/workflows.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, parseIdempotencyKey } from '../../shared/http/replies.ts';

/** Commands that need each other. Whoever follows one live is served by output.ts. */
export const workflows = (deps: Deps) =>
  httpFunction(deps, {
    submitWorkflow: async (_, { actor, body, headers }) => {
      const idempotencyKey = parseIdempotencyKey(headers['idempotency-key']);
      const { view, repeated } = await submitWorkflow(deps, actor, { body, idempotencyKey });
      return json(202, view, {
        location: `/v1/workflows/${view.id}`,
        ...(repeated ? { 'idempotent-replayed': 'true' } : {}),
      });
    },
    listWorkflows: async (_, { actor, query }) => json(200, await listWorkflows(deps, actor, query)),
    getWorkflow: async (_, { actor, params }) => json(200, await getWorkflow(deps, actor, params.id)),
    cancelWorkflow: async (_, { actor, params }) => json(202, await cancelWorkflow(deps, actor, params.id)),
    resumeWorkflow: async (_, { actor, params, body }) =>
      json(202, await resumeWorkflow(deps, actor, params.id, body.onGeneration)),
  });
