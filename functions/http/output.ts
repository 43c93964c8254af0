import type { Deps } from '../../shared/app/deps.ts';
import { followOutput } from '../../shared/app/follow-output.ts';
import { openOutput } from '../../shared/app/open-output.ts';
import { streamingHttpFunction } from '../../shared/http/http-function.ts';
import { eventStream, outputBytes, parseLastEventId, parsePreferWait, wantsEvents } from '../../shared/http/replies.ts';

const MARGIN_SECONDS = 10;

export const output = (deps: Deps) =>
  streamingHttpFunction(deps, {
    readOutput: async (_, { actor, params, query, headers, remainingSeconds }) => {
      if (!wantsEvents(headers['accept'])) {
        return outputBytes(await openOutput(deps, actor, params.id, query), query.from, headers['range']);
      }
      const after = parseLastEventId(headers['last-event-id']);
      // A function that Lambda cuts short would end the events in the middle of one.
      const wait = parsePreferWait(headers['prefer'], remainingSeconds);
      const forSeconds = wait ?? (remainingSeconds && remainingSeconds - MARGIN_SECONDS);
      const poll = wait !== undefined;
      return eventStream(await followOutput(deps, actor, params.id, { ...query, after, forSeconds, poll }));
    },
  });
