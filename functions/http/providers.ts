import type { Deps } from '../../shared/app/deps.ts';
import { listTargets } from '../../shared/app/list-targets.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json } from '../../shared/http/replies.ts';

export const providers = (deps: Deps) =>
  httpFunction(deps, {
    listProviders: async (_, { actor }) => json(200, await listTargets(deps, actor)),
  });
