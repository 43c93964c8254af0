import type { Deps } from '../../shared/app/deps.ts';
import { receiveDelivery } from '../../shared/app/receive-delivery.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json } from '../../shared/http/replies.ts';

const STATUS = { submitted: 202, skipped: 200, refused: 422 } as const;

/** Webhooks in: who sends something to them. */
export const hooks = (deps: Deps) =>
  httpFunction(deps, {
    receiveDelivery: async (_, { params, headers, bytes }) => {
      const answer = await receiveDelivery(deps, params.id, { headers, body: bytes });
      return json(STATUS[answer.outcome], answer);
    },
  });
