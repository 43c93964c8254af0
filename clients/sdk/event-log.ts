import type { EventPage, EventView } from '../../shared/contract/event-schemas.ts';
import type { EventType } from '../../shared/domain/events.ts';
import { type FollowOptions, followMessages } from './follow.ts';
import type { Json, Transport } from './transport.ts';

export type ErrandEvent = EventView;

export interface EventsOptions extends Pick<FollowOptions, 'onBreak' | 'signal'> {
  /** @default all that the caller may read */
  readonly types?: readonly EventType[] | undefined;
  /** Only about this one. */
  readonly command?: string | undefined;
  /** Those after this `sequence`. @default from now on, and with `follow: false` from the first on */
  readonly after?: number | undefined;
  /** Whether to go on with what comes, instead of ending with what is there. @default true */
  readonly follow?: boolean | undefined;
}

export interface EventCalls {
  /**
   * What happens in the tenant, in its order, through broken connections: each event once. Keep the `sequence` of the last one that
   * you are done with: `after` goes on from there. Gives up with a ConnectionError when the server is away for about half a
   * minute.
   */
  events(options?: EventsOptions): AsyncGenerator<ErrandEvent>;
}

const PATH = '/v1/events';

export const makeEventCalls = (json: Json, streams: Transport, silenceMs: number): EventCalls => ({
  async *events({ follow = true, types, command, after, onBreak, signal } = {}) {
    const type = types && types.length > 0 ? types.join(',') : undefined;
    const query = { type, command };
    if (!follow) {
      let page: EventPage = { items: [], after: after ?? 0, more: true };
      while (page.more && !signal?.aborted) {
        page = await json<EventPage>('GET', PATH, { query: { ...query, after: page.after }, signal });
        yield* page.items;
      }
      return;
    }
    const queryAt = (lastEventId: string | undefined) => (lastEventId === undefined ? { ...query, after } : query);
    for await (const { message } of followMessages(streams, PATH, { queryAt, silenceMs, onBreak, signal })) {
      // What a newer server says besides has no data of an event.
      if (message.event !== 'heartbeat') yield JSON.parse(message.data) as ErrandEvent;
    }
  },
});
