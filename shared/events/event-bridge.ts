import { EventBridgeClient, type EventBridgeClientConfig, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import type { StoredEvent } from '../domain/events.ts';
import type { Log } from '../telemetry/log.ts';
import { EVENT_BRIDGE, type Subscription } from './subscription.ts';

/** Of one request (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html). */
const MOST_ENTRIES = 10;
const CONNECT_MS = 1_000;
const ANSWER_MS = 3_000;
const TRIES = 3;

export interface EventBridgeClientOptions {
  readonly region: string;
  /** Where EventBridge is, if not where AWS has it in that region: a VPC endpoint, or an emulator. */
  readonly endpoint?: string;
  /** @default those that the SDK finds: the role of the function */
  readonly credentials?: NonNullable<EventBridgeClientConfig['credentials']>;
}

/** A client that gives up: a request takes 15 s at the most, its retries included. */
export const eventBridgeClient = (options: EventBridgeClientOptions): EventBridgeClient =>
  new EventBridgeClient({
    ...options,
    maxAttempts: TRIES,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: ANSWER_MS,
      socketTimeout: ANSWER_MS,
      // Without it the SDK writes a warning, and goes on waiting.
      throwOnRequestTimeout: true,
    },
  });

export interface EventBridgeOptions {
  readonly client: EventBridgeClient;
  /** Its name or ARN. */
  readonly bus: string;
  readonly log: Log;
}

/**
 * Puts events onto a bus of EventBridge: source `errand`, the event's type as the detail type, the event as the detail.
 *
 * One about a subject is put only after EventBridge took the one before it. What becomes of their order behind the bus is not
 * said by AWS: `sequence` tells it. An event that was refused is put again with all that come after it, so some come twice, with the
 * same id.
 */
export const eventBridge = ({ client, bus, log }: EventBridgeOptions): Subscription => ({
  name: EVENT_BRIDGE,
  async handle(events, signal) {
    const refused = new Map<StoredEvent, string>();
    const stuck = new Set<string>();
    for (const wave of inWaves(events)) {
      const free = wave.filter(({ subject }) => !stuck.has(subject));
      for (let at = 0; at < free.length; at += MOST_ENTRIES) {
        const batch = free.slice(at, at + MOST_ENTRIES);
        const command = new PutEventsCommand({ Entries: batch.map((event) => toEntry(event, bus)) });
        const { Entries = [] } = await client.send(command, { abortSignal: signal });
        for (const [i, event] of batch.entries()) {
          const { EventId, ErrorCode = 'no answer' } = Entries[i] ?? {};
          if (EventId !== undefined) continue;
          refused.set(event, ErrorCode);
          stuck.add(event.subject);
        }
      }
    }
    if (refused.size > 0)
      log.warn('EventBridge refused events', { count: refused.size, codes: [...new Set(refused.values())] });
    const first = events.findIndex((event) => refused.has(event));
    return first < 0 ? events.length : first;
  },
});

/** The first of each subject, then the second of each, and so on. */
const inWaves = (events: readonly StoredEvent[]): readonly (readonly StoredEvent[])[] => {
  const waves: StoredEvent[][] = [];
  const counts = new Map<string, number>();
  for (const event of events) {
    const nth = counts.get(event.subject) ?? 0;
    counts.set(event.subject, nth + 1);
    waves[nth] = [...(waves[nth] ?? []), event];
  }
  return waves;
};

const toEntry = (event: StoredEvent, EventBusName: string) => ({
  EventBusName,
  Source: event.source,
  DetailType: event.type,
  Time: new Date(event.time),
  Detail: JSON.stringify(event),
});
