import type { Deps } from '../../shared/app/deps.ts';
import { followOutput } from '../../shared/app/follow-output.ts';
import { followWorkflow } from '../../shared/app/follow-workflow.ts';
import { openOutput } from '../../shared/app/open-output.ts';
import { followEvents, readEvents } from '../../shared/app/read-events.ts';
import { getWorkflow } from '../../shared/app/workflows.ts';
import { eventReply, parseLastSequence, workflowReply } from '../../shared/http/event-replies.ts';
import { streamingHttpFunction } from '../../shared/http/http-function.ts';
import {
  eventStream,
  json,
  outputBytes,
  parseLastEventId,
  parsePreferWait,
  wantsEvents,
} from '../../shared/http/replies.ts';

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
    readEvents: async (_, { actor, query, headers, remainingSeconds }) => {
      if (!wantsEvents(headers['accept'])) return json(200, await readEvents(deps, actor, query));
      const after = parseLastSequence(headers['last-event-id']) ?? query.after;
      const wait = parsePreferWait(headers['prefer'], remainingSeconds);
      const forSeconds = wait ?? (remainingSeconds && remainingSeconds - MARGIN_SECONDS);
      return eventReply(await followEvents(deps, actor, { ...query, after }, { forSeconds, poll: wait !== undefined }));
    },
    followWorkflow: async (_, { actor, params, headers, remainingSeconds }) => {
      if (!wantsEvents(headers['accept'])) return json(200, await getWorkflow(deps, actor, params.id));
      const wait = parsePreferWait(headers['prefer'], remainingSeconds);
      const forSeconds = wait ?? (remainingSeconds && remainingSeconds - MARGIN_SECONDS);
      return workflowReply(await followWorkflow(deps, actor, params.id, { forSeconds, poll: wait !== undefined }));
    },
  });
