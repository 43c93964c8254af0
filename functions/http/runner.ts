import type { Deps } from '../../shared/app/deps.ts';
import { endOwnRun, lookAtOwnRun, readOwnStdin, redeemStart, storeOwnOutput } from '../../shared/app/serve-runner.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { binary, json, noContent } from '../../shared/http/replies.ts';

/** What runners beside their commands ask and tell. */
export const runner = (deps: Deps) =>
  httpFunction(deps, {
    redeemStart: async (_, { right, body }) => json(200, await redeemStart(deps, right, body)),
    lookAtRun: async (_, { right, query }) =>
      json(200, await lookAtOwnRun(deps, right, { stored: query.stored !== undefined })),
    readRunStdin: async (_, { right, query }) => {
      const { bytes, ended } = await readOwnStdin(deps, right, query.from);
      return binary(bytes, { 'errand-input-ended': String(ended) });
    },
    storeRunOutput: async (_, { right, head, bytes }) => {
      await storeOwnOutput(deps, right, head, bytes);
      return noContent();
    },
    endRun: async (_, { right, head, bytes }) => {
      await endOwnRun(deps, right, head, bytes);
      return noContent();
    },
  });
