import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { OutputEvents } from '../../shared/contract/events.ts';
import type { CommandView } from '../../shared/contract/schemas.ts';

/** What happens to a command, as it happens. */
export type CommandEvent =
  | { readonly type: 'status'; readonly status: CommandView['status']; readonly attempt: number }
  | {
      readonly type: 'stdout' | 'stderr';
      readonly attempt: number;
      /** Where `bytes` lie in this stream of this attempt. */
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** Nothing happened for a while. */
  | { readonly type: 'heartbeat' }
  /** The last one. */
  | { readonly type: 'end'; readonly command: CommandView };

/** A command event with the id to resume after. */
export interface IdentifiedEvent {
  readonly id: string;
  readonly event: CommandEvent;
}

/** Reads the events of a command. @throws as readMessages */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  options?: ReadOptions,
): AsyncGenerator<IdentifiedEvent> {
  for await (const { id, message } of readMessages(body, options)) {
    const event = toEvent(message);
    if (event) yield { id, event };
  }
}

export interface ReadOptions {
  /** @default for ever */
  readonly silenceMs?: number;
  /** What a first event without an id has. */
  readonly lastEventId?: string | undefined;
}

/** A server-sent event with the id to resume after. */
export interface Message {
  readonly id: string;
  readonly message: EventSourceMessage;
}

/**
 * Reads server-sent events; ends, without a fault, where the body ends.
 * @throws Error when nothing at all comes for `silenceMs`: the connection is dead, though nobody said so
 */
export async function* readMessages(
  body: ReadableStream<Uint8Array>,
  { silenceMs = Number.POSITIVE_INFINITY, lastEventId = '' }: ReadOptions = {},
): AsyncGenerator<Message> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let id = lastEventId;
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read(), silenceMs);
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      for (const message of messages.splice(0)) {
        // An event without an id has the id of the one before (HTML, section 9.2.6).
        id = message.id ?? id;
        yield { id, message };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Only while we wait: a consumer may take its time between reads. */
const unlessSilent = async <T>(reading: Promise<T>, silenceMs: number): Promise<T> => {
  if (silenceMs === Number.POSITIVE_INFINITY) return reading;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Nothing came for ${silenceMs} ms`)), silenceMs);
  });
  try {
    return await Promise.race([reading, silence]);
  } finally {
    clearTimeout(timer);
  }
};

/** Undefined for an event that a newer server sends and this client does not know. */
export const toEvent = ({ event, data }: EventSourceMessage): CommandEvent | undefined => {
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

/** Node's is several times faster than what browsers have. */
const { Buffer: NodeBuffer } = globalThis as { Buffer?: { from(text: string, encoding: 'base64'): Uint8Array } };

const fromBase64 = (text: string): Uint8Array =>
  NodeBuffer?.from(text, 'base64') ?? Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
