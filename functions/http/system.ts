import type { Deps } from '../../shared/app/deps.ts';
import { checkReady } from '../../shared/app/list-targets.ts';
import { openapi } from '../../shared/contract/openapi.ts';
import { httpFunction, type Reply } from '../../shared/http/http-function.ts';
import { protectedResource } from '../../shared/http/protected-resource.ts';
import { json } from '../../shared/http/replies.ts';

/** Also the `$default` route: what no other function serves is answered here, with a problem. */
export const system = (deps: Deps) => {
  // Once: it takes some 10 ms, and anyone may ask.
  let description: Reply | undefined;
  return httpFunction(deps, {
    ...protectedResource,
    checkHealth: async () => json(200, { status: 'ok' }),
    checkReady: async () => {
      await checkReady(deps);
      return json(200, { status: 'ok' });
    },
    describeApi: async () => {
      description ??= json(200, openapi(), { 'cache-control': 'public, max-age=300' });
      return description;
    },
  });
};
