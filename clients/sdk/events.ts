import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { OutputEvents } from '../../shared/contract/events.ts';
import type { CommandView } from '../../shared/contract/schemas.ts';

/** What happens to a command, as it happens. */
export type CommandEvent =
  | { readonly type: 'status'; readonly status: CommandView['status']; readonly attempt: number }
  | {
      readonly type: 'stdout' | 'stderr';
      readonly attempt: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'heartbeat' }
  /** The last one. */
  | { readonly type: 'end'; readonly command: CommandView };

/** A command event with the id to resume after. */
export interface IdentifiedEvent {
  readonly id: string;
  readonly event: CommandEvent;
}

/** Reads server-sent events; ends, without a fault, where the body ends. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<IdentifiedEvent> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      for (const message of messages.splice(0)) {
        const event = toEvent(message);
        if (event) yield { id: message.id ?? '', event };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Undefined for an event that a newer server sends and this client does not know. */
const toEvent = ({ event, data }: EventSourceMessage): CommandEvent | undefined => {
  switch (event) {
    case 'status':
      return { type: event, ...(JSON.parse(data) as OutputEvents['status']) };
    case 'stdout':
    case 'stderr': {
      const { attempt, offset, data: base64 } = JSON.parse(data) as OutputEvents['stdout'];
      return { type: event, attempt, offset, bytes: fromBase64(base64) };
    }
    case 'heartbeat':
      return { type: event };
    case 'end':
      return { type: event, command: JSON.parse(data) as OutputEvents['end'] };
    default:
      return undefined;
  }
};

/** Node's Buffer is many times faster than what browsers have. */
const fromBase64 = (text: string): Uint8Array =>
  typeof Buffer === 'undefined'
    ? Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
    : Buffer.from(text, 'base64');
