import type { WorkflowEvent } from '../app/follow-workflow.ts';
import type { FollowedEvent } from '../app/read-events.ts';
import type { Reply } from './http-function.ts';
import { invalidHeader, liveReply } from './replies.ts';

/** The number in a Last-Event-ID header. @throws AppError 'invalid-request' when it is not one of ours */
export const parseLastSequence = (id: string | undefined): number | undefined => {
  if (id === undefined || id === '') return undefined;
  if (/^\d{1,12}$/.test(id)) return Number(id);
  throw invalidHeader('last-event-id', 'must be the id of an event of this stream');
};

/** Events live, each by its type, and signs of life in between. */
export const eventReply = (events: AsyncGenerator<FollowedEvent>): Reply => liveReply(toText(events));

/** A workflow live. */
export const workflowReply = (events: AsyncGenerator<WorkflowEvent>): Reply => liveReply(toWorkflowText(events));

async function* toWorkflowText(events: AsyncGenerator<WorkflowEvent>): AsyncGenerator<Buffer> {
  yield Buffer.from('retry: 1000\n\n');
  for await (const { name, data, version } of events) {
    yield Buffer.from(`event: ${name}\nid: ${version}\ndata: ${JSON.stringify(data)}\n\n`);
  }
}

async function* toText(events: AsyncGenerator<FollowedEvent>): AsyncGenerator<Buffer> {
  yield Buffer.from('retry: 1000\n\n');
  for await (const { event, position } of events) {
    const [name, data] = event ? [event.type, event] : ['heartbeat', {}];
    yield Buffer.from(`event: ${name}\nid: ${position}\ndata: ${JSON.stringify(data)}\n\n`);
  }
}
