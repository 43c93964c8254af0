import type { Deps } from '../../shared/app/deps.ts';
import { testWebhook } from '../../shared/app/test-webhook.ts';
import { listWebhookDeliveries, redeliver } from '../../shared/app/webhook-deliveries.ts';
import {
  changeWebhook,
  createWebhook,
  getWebhook,
  listWebhooks,
  removeWebhook,
  rotateWebhook,
} from '../../shared/app/webhooks.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, noContent } from '../../shared/http/replies.ts';

/** Events that are posted to somebody outside. */
export const webhooks = (deps: Deps) =>
  httpFunction(deps, {
    createWebhook: async (_, { actor, body }) => {
      const webhook = await createWebhook(deps, actor, body);
      return json(201, webhook, { location: `/v1/webhooks/${webhook.id}` });
    },
    listWebhooks: async (_, { actor, query }) => json(200, await listWebhooks(deps, actor, query)),
    getWebhook: async (_, { actor, params }) => json(200, await getWebhook(deps, actor, params.id)),
    changeWebhook: async (_, { actor, params, body }) => json(200, await changeWebhook(deps, actor, params.id, body)),
    removeWebhook: async (_, { actor, params }) => {
      await removeWebhook(deps, actor, params.id);
      return noContent();
    },
    rotateWebhook: async (_, { actor, params, body }) => json(201, await rotateWebhook(deps, actor, params.id, body)),
    listWebhookDeliveries: async (_, { actor, params, query }) =>
      json(200, await listWebhookDeliveries(deps, actor, params.id, query)),
    redeliver: async (_, { actor, params, body }) => json(202, await redeliver(deps, actor, params.id, body)),
    testWebhook: async (_, { actor, params }) => json(200, await testWebhook(deps, actor, params.id)),
  });
