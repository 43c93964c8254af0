import { type CommandEvent, type Message, readMessages, toEvent } from './events.ts';
import { type Call, PATIENT_TRIES, type Transport } from './transport.ts';

export interface FollowOptions {
  readonly stream?: 'stdout' | 'stderr' | undefined;
  /** Begin with this attempt. @default the first that ran */
  readonly attempt?: number | undefined;
  /** Begin at this byte. @default 0 */
  readonly from?: number | undefined;
  /** Begin right after this event, instead of `attempt` and `from`. */
  readonly lastEventId?: string | undefined;
  /** Called when the connection broke and is tried again. */
  readonly onBreak?: ((error: unknown) => void) | undefined;
  /** Ends the following, without a fault. */
  readonly signal?: AbortSignal | undefined;
}

/** Pass `id` as `lastEventId` to follow on right after this event. */
export type FollowedEvent = CommandEvent & { readonly id: string };

/** Follows a command through broken connections, to its end event. */
export async function* followEvents(
  transport: Transport,
  commandId: string,
  path: string,
  { silenceMs, ...options }: FollowOptions & { readonly silenceMs: number },
): AsyncGenerator<FollowedEvent> {
  const { stream, attempt, from, ...more } = options;
  // From an event on, where to begin is no question.
  const queryAt = (lastEventId: string | undefined) =>
    lastEventId === undefined ? { stream, attempt, from } : { stream };
  for await (const { id, message } of followMessages(transport, path, { ...more, commandId, silenceMs, queryAt })) {
    const event = toEvent(message);
    if (!event) continue;
    yield { ...event, id };
    if (event.type === 'end') return;
  }
}

interface FollowMessagesOptions extends Pick<FollowOptions, 'lastEventId' | 'onBreak' | 'signal'> {
  readonly queryAt: (lastEventId: string | undefined) => NonNullable<Call['query']>;
  readonly silenceMs: number;
  readonly commandId?: string;
}

/** Server-sent events through broken connections, each once, until whoever reads them stops. */
export async function* followMessages(
  transport: Transport,
  path: string,
  { queryAt, silenceMs, commandId, onBreak, signal, ...options }: FollowMessagesOptions,
): AsyncGenerator<Message> {
  let { lastEventId } = options;
  const backoff = transport.backoff({
    tries: PATIENT_TRIES,
    signal,
    ...(commandId === undefined ? {} : { commandId }),
  });
  while (!signal?.aborted) {
    let isBreather = false;
    try {
      const { body } = await transport.once('GET', path, {
        query: queryAt(lastEventId),
        headers: {
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        signal,
      });
      for await (const read of readMessages(body ?? new Blob([]).stream(), { silenceMs, lastEventId })) {
        isBreather = read.message.event === 'heartbeat';
        // Each connection begins with the status: that alone is no progress.
        if (isBreather || read.id !== lastEventId) backoff.reset();
        lastEventId = read.id;
        yield read;
      }
      // Some servers have to end an answer after a while, and then say a heartbeat last.
      if (isBreather) continue;
      throw new Error('The events ended before they were over');
    } catch (error) {
      if (signal?.aborted) return;
      onBreak?.(error);
      try {
        await backoff.failed(error);
      } catch (final) {
        if (signal?.aborted) return;
        throw final;
      }
    }
  }
}
