import { type CommandEvent, readEvents } from './events.ts';
import { PATIENT_TRIES, type Transport } from './transport.ts';

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
  const { stream, attempt, from, onBreak, signal } = options;
  let { lastEventId } = options;
  const backoff = transport.backoff({ tries: PATIENT_TRIES, signal, commandId });
  while (!signal?.aborted) {
    let isBreather = false;
    try {
      const { body } = await transport.once('GET', path, {
        query: lastEventId === undefined ? { stream, attempt, from } : { stream },
        headers: {
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        signal,
      });
      for await (const { id, event } of readEvents(body ?? new Blob([]).stream(), { silenceMs, lastEventId })) {
        // Each connection begins with the status: that alone is no progress.
        if (event.type === 'heartbeat' || id !== lastEventId) backoff.reset();
        isBreather = event.type === 'heartbeat';
        lastEventId = id;
        yield { ...event, id };
        if (event.type === 'end') return;
      }
      // Some servers have to end an answer after a while, and then say a heartbeat last.
      if (isBreather) continue;
      throw new Error('The events ended before the command did');
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
