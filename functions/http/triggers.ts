import type { Deps } from '../../shared/app/deps.ts';
import { testTrigger } from '../../shared/app/test-trigger.ts';
import {
  createTrigger,
  getTrigger,
  listTriggerDeliveries,
  listTriggers,
  pauseTrigger,
  putTrigger,
  removeTrigger,
  resumeTrigger,
  rotateTriggerSecret,
} from '../../shared/app/triggers.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, noContent } from '../../shared/http/replies.ts';

/** Webhooks in: who makes and tends them. */
export const triggers = (deps: Deps) =>
  httpFunction(deps, {
    createTrigger: async (_, { actor, body }) => {
      const trigger = await createTrigger(deps, actor, body);
      return json(201, trigger, { location: `/v1/triggers/${trigger.id}` });
    },
    listTriggers: async (_, { actor, query }) => json(200, await listTriggers(deps, actor, query)),
    getTrigger: async (_, { actor, params }) => json(200, await getTrigger(deps, actor, params.id)),
    putTrigger: async (_, { actor, params, body }) => json(200, await putTrigger(deps, actor, params.id, body)),
    removeTrigger: async (_, { actor, params }) => {
      await removeTrigger(deps, actor, params.id);
      return noContent();
    },
    pauseTrigger: async (_, { actor, params }) => json(200, await pauseTrigger(deps, actor, params.id)),
    resumeTrigger: async (_, { actor, params }) => json(200, await resumeTrigger(deps, actor, params.id)),
    rotateTriggerSecret: async (_, { actor, params, body }) =>
      json(201, await rotateTriggerSecret(deps, actor, params.id, body)),
    testTrigger: async (_, { actor, params, body }) => json(200, await testTrigger(deps, actor, params.id, body)),
    listTriggerDeliveries: async (_, { actor, params, query }) =>
      json(200, await listTriggerDeliveries(deps, actor, params.id, query)),
  });
