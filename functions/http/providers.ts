import type { Deps } from '../../shared/app/deps.ts';
import { listTargets } from '../../shared/app/list-targets.ts';
import { readMetrics } from '../../shared/app/read-metrics.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json } from '../../shared/http/replies.ts';

export const providers = (deps: Deps) =>
  httpFunction(deps, {
    readMetrics: async () => {
      const { text, contentType } = await readMetrics(deps);
      return { statusCode: 200, headers: { 'content-type': contentType }, body: text };
    },
    listProviders: async (_, { actor }) => json(200, await listTargets(deps, actor)),
  });
