import type { EventType, StoredEvent } from '../domain/events.ts';

/**
 * Somebody in this installation who is told of events: each at least once, and those of one tenant in their order. How far it
 * was told is stored, for each tenant, so that a crash repeats and never loses.
 */
export interface Subscription {
  /** Names what is stored of it: of no other one, and never changed. */
  readonly name: string;
  /** @default all */
  readonly types?: readonly EventType[];
  /**
   * Is handed events of one tenant in their order, at most 100, and resolves with how many of the first are done: they are not
   * handed over again, the others are, in a while. The same is so for all when it throws. It gives up when `signal` aborts, since
   * another process may be told then.
   */
  handle(events: readonly StoredEvent[], signal: AbortSignal): Promise<number>;
}

/** The subscription that puts all events onto the installation's own bus of EventBridge. */
export const EVENT_BRIDGE = 'event-bridge';

/** A subscription that is opened when there is an event for it. */
export const lazySubscription = (name: string, open: () => Promise<Subscription>): Subscription => {
  let opening: Promise<Subscription> | undefined;
  return {
    name,
    async handle(events, signal) {
      opening ??= open();
      return (await opening).handle(events, signal);
    },
  };
};
