import type { Clock, Instant } from '../domain/clock.ts';
import { PRIORITIES, type Priority } from '../domain/command.ts';
import type { TenantId } from '../domain/ids.ts';
import { tenantOf } from '../store/schema.ts';
import { type KeyedHeap, keyedHeap } from './keyed-heap.ts';
import type { ConsumedQueue, WakeUp } from './queue.ts';

export interface InProcessQueueOptions {
  readonly clock: Clock;
  /** Told of a message whose handling failed; it is dropped, since the sweeper finds what is due. Must not throw. */
  readonly onError?: (wakeUp: WakeUp, error: unknown) => void;
}

interface Message {
  readonly wakeUp: WakeUp;
  readonly priority: Priority;
  /** Not before; 0 for at once. */
  readonly at: Instant;
}

interface Ready extends Message {
  /** First in, first out among those of one priority and tenant. */
  readonly place: number;
}

interface Ageing {
  readonly id: WakeUp['id'];
  readonly at: Instant;
}

/** What waits for one tenant, and what is handled for it. */
interface Line {
  readonly tenant: TenantId;
  readonly ready: KeyedHeap<Ready>;
  handled: number;
  /** Counts hand-outs; 0: never. */
  servedAt: number;
}

/** So long a message waits as what it is; then it counts as of the next higher priority, as if it had come when it did. */
export const AGEING_SECONDS = 60;

/** Of the messages handled at once, so many more may be, each the only one of its tenant. */
const EXTRA_SHARE = 1 / 4;

/**
 * The embedded queue: messages wait in memory.
 * A command waits at most once, at the highest priority and the earliest time it was sent with, and is never handled
 * twice at one time: sent while it is handled, it is handled again afterwards. Sending and handing out take O(log n).
 *
 * Tenants have equal shares: the next is one of the tenant for which the fewest are handled, and of those, of the one that was
 * served the longest ago. Priority counts between a tenant's own messages, and between tenants that are equal so far; a message's rises
 * as it waits, so that no stream of more urgent ones holds it up for ever. A tenant for which
 * nothing is handled need not wait for the end of others' either: there is room for some more of just that kind.
 */
export const inProcessQueue = ({ clock, onError = () => {} }: InProcessQueueOptions): ConsumedQueue => {
  const byTenant = new Map<TenantId, Line>();
  /** Those in which something waits. */
  const lines = keyedHeap<Line>(isServedBefore);
  const delayed = keyedHeap<Message>(isEarlier);
  /** Those whose priority is to rise, and when. */
  const ageing = keyedHeap<Ageing>(isEarlier);
  /** Being handled; what is sent meanwhile waits here until the handling ends. */
  const handling = new Map<string, Message | undefined>();
  let handler: ((wakeUp: WakeUp) => Promise<void>) | undefined;
  let concurrency = 0;
  let places = 0;
  let served = 0;
  let timer: { readonly at: Instant; readonly stop: AbortController } | undefined;
  let closing: Promise<void> | undefined;
  let idle = () => {};

  const enqueue = (message: Message): void => {
    const { id } = message.wakeUp;
    if (handling.has(id)) {
      handling.set(id, merge(handling.get(id), message));
      return;
    }
    const before = byTenant.get(tenantOf(id))?.ready.get(id) ?? delayed.get(id);
    const next = merge(before, message);
    if (next === before) return;
    if (next.at > clock.now()) delayed.set(id, next);
    else makeReady(next);
    setTimer();
    handOut();
  };

  const lineOf = (tenant: TenantId): Line => {
    const line = byTenant.get(tenant) ?? { tenant, ready: keyedHeap<Ready>(isBefore), handled: 0, servedAt: 0 };
    byTenant.set(tenant, line);
    return line;
  };

  /** Puts a line where it belongs now that something of it has changed. */
  const settle = (line: Line): void => {
    if (line.ready.peek()) lines.set(line.tenant, line);
    else lines.delete(line.tenant);
    if (!line.ready.peek() && line.handled === 0) byTenant.delete(line.tenant);
  };

  const makeReady = (message: Message): void => {
    const { id } = message.wakeUp;
    delayed.delete(id);
    const line = lineOf(tenantOf(id));
    line.ready.set(id, { ...message, at: 0, place: ++places });
    age(id, message.priority);
    settle(line);
  };

  const age = (id: WakeUp['id'], priority: Priority): void => {
    if (priority === HIGHEST) ageing.delete(id);
    else ageing.set(id, { id, at: clock.now() + AGEING_SECONDS * 1_000 });
  };

  /** Only before a choice: else nobody would see it. */
  const raiseAged = (): void => {
    const now = clock.now();
    for (let next = ageing.peek(); next && next.at <= now; next = ageing.peek()) {
      const line = lineOf(tenantOf(next.id));
      const waiting = line.ready.get(next.id);
      if (!waiting) throw new Error(`${next.id} ages, and does not wait`);
      const priority = PRIORITIES[PRIORITIES.indexOf(waiting.priority) - 1] ?? HIGHEST;
      line.ready.set(next.id, { ...waiting, priority });
      age(next.id, priority);
      settle(line);
    }
  };

  const hasRoomFor = ({ handled }: Line): boolean =>
    handling.size < concurrency ||
    (handled === 0 && handling.size < concurrency + Math.ceil(concurrency * EXTRA_SHARE));

  const handOut = (): void => {
    if (handler && !closing) raiseAged();
    while (handler && !closing) {
      const line = lines.peek();
      const next = line?.ready.peek();
      if (!line || !next || !hasRoomFor(line)) return;
      line.ready.delete(next.wakeUp.id);
      ageing.delete(next.wakeUp.id);
      line.handled++;
      line.servedAt = ++served;
      settle(line);
      void handle(next.wakeUp, line);
    }
  };

  const handle = async (wakeUp: WakeUp, line: Line): Promise<void> => {
    handling.set(wakeUp.id, undefined);
    try {
      await handler?.(wakeUp);
    } catch (error) {
      onError(wakeUp, error);
    } finally {
      const again = handling.get(wakeUp.id);
      handling.delete(wakeUp.id);
      line.handled--;
      settle(line);
      if (again && !closing) enqueue(again);
      handOut();
      if (handling.size === 0) idle();
    }
  };

  /** One timer, for the earliest of those that wait for a time; none when none does. */
  const setTimer = (): void => {
    const earliest = delayed.peek();
    // A timer that is too early finds nothing to do and sets the next.
    if (earliest && timer && timer.at <= earliest.at) return;
    timer?.stop.abort('another time');
    timer = undefined;
    if (!earliest) return;
    const mine = { at: earliest.at, stop: new AbortController() };
    timer = mine;
    void clock.sleep(earliest.at - clock.now(), mine.stop.signal).then(() => {
      if (timer === mine) takeDue();
    });
  };

  const takeDue = (): void => {
    timer = undefined;
    const now = clock.now();
    for (let next = delayed.peek(); next && next.at <= now; next = delayed.peek()) makeReady(next);
    setTimer();
    handOut();
  };

  return {
    async send(wakeUp, { priority, delaySeconds = 0 }) {
      if (!closing) enqueue({ wakeUp, priority, at: delaySeconds > 0 ? clock.now() + delaySeconds * 1_000 : 0 });
    },

    consume(handleOne, options) {
      handler = handleOne;
      concurrency = options.concurrency;
      handOut();
    },

    close() {
      closing ??= new Promise((resolve) => {
        idle = resolve;
        if (handling.size === 0) resolve();
      });
      lines.clear();
      byTenant.clear();
      delayed.clear();
      ageing.clear();
      setTimer();
      return closing;
    },
  };
};

const HIGHEST = PRIORITIES[0];

const isEarlier = (a: { readonly at: Instant }, b: { readonly at: Instant }): boolean => a.at < b.at;

const isBefore = (a: Ready, b: Ready): boolean =>
  a.priority === b.priority ? a.place < b.place : isHigher(a.priority, b.priority);

const isServedBefore = (a: Line, b: Line): boolean => {
  if (a.handled !== b.handled) return a.handled < b.handled;
  const [first, second] = [a.ready.peek()?.priority, b.ready.peek()?.priority];
  if (first !== second && first && second) return isHigher(first, second);
  return a.servedAt < b.servedAt;
};

const isHigher = (a: Priority, b: Priority): boolean => PRIORITIES.indexOf(a) < PRIORITIES.indexOf(b);

/** The highest priority and the earliest time of both; `waiting` itself when `sent` adds nothing to it. */
const merge = <M extends Message>(waiting: M | undefined, sent: Message): M | Message => {
  if (!waiting) return sent;
  if (waiting.at <= sent.at && !isHigher(sent.priority, waiting.priority)) return waiting;
  return {
    wakeUp: sent.wakeUp,
    at: Math.min(waiting.at, sent.at),
    priority: isHigher(sent.priority, waiting.priority) ? sent.priority : waiting.priority,
  };
};
