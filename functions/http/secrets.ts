import type { Deps } from '../../shared/app/deps.ts';
import { listSecrets, putSecret, removeSecret } from '../../shared/app/secrets.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, noContent } from '../../shared/http/replies.ts';

/** Named values that commands are given by reference. */
export const secrets = (deps: Deps) =>
  httpFunction(deps, {
    listSecrets: async (_, { actor, query }) => json(200, await listSecrets(deps, actor, query)),
    putSecret: async (_, { actor, params, body }) => json(200, await putSecret(deps, actor, params.name, body)),
    removeSecret: async (_, { actor, params }) => {
      await removeSecret(deps, actor, params.name);
      return noContent();
    },
  });
