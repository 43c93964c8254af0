import type { Clock, Instant } from '../domain/clock.ts';
import { PRIORITIES, type Priority } from '../domain/command.ts';
import type { ConsumedQueue, WakeUp } from './queue.ts';

export interface InProcessQueueOptions {
  readonly clock: Clock;
  /** A message whose handling failed; it is dropped, since the sweeper finds what is due. */
  readonly onError?: (wakeUp: WakeUp, error: unknown) => void;
}

interface Waiting {
  readonly wakeUp: WakeUp;
  priority: Priority;
  /** Not before; 0 for at once. */
  at: Instant;
}

/** The embedded queue: messages wait in memory. A command waits at most once, and is never handled twice at one time. */
export const inProcessQueue = ({ clock, onError = () => {} }: InProcessQueueOptions): ConsumedQueue => {
  /** Ready, by priority, first in first out: a Map keeps the order of insertion. */
  const ready: Record<Priority, Map<string, WakeUp>> = { high: new Map(), normal: new Map(), low: new Map() };
  const delayed = new Map<string, Waiting>();
  /** Being handled; what is sent meanwhile waits here until the handling ends. */
  const handling = new Map<string, Waiting | undefined>();
  let handle: ((wakeUp: WakeUp) => Promise<void>) | undefined;
  let concurrency = 0;
  let closed = false;
  let timer: { at: Instant; stop: AbortController } | undefined;
  let idle: (() => void) | undefined;

  const enqueue = (message: Waiting): void => {
    const { id } = message.wakeUp;
    if (handling.has(id)) {
      handling.set(id, sooner(handling.get(id), message));
    } else if (message.at > clock.now()) {
      if (isReady(id)) return;
      delayed.set(id, sooner(delayed.get(id), message));
      if (!timer || message.at < timer.at) setTimer();
    } else {
      delayed.delete(id);
      makeReady(message);
      handOut();
    }
  };

  const isReady = (id: string): boolean => PRIORITIES.some((priority) => ready[priority].has(id));

  const makeReady = ({ wakeUp, priority }: Waiting): void => {
    const present = PRIORITIES.find((other) => ready[other].has(wakeUp.id));
    if (present !== undefined && PRIORITIES.indexOf(present) <= PRIORITIES.indexOf(priority)) return;
    if (present !== undefined) ready[present].delete(wakeUp.id);
    ready[priority].set(wakeUp.id, wakeUp);
  };

  const takeReady = (): WakeUp | undefined => {
    for (const priority of PRIORITIES) {
      for (const [id, wakeUp] of ready[priority]) {
        ready[priority].delete(id);
        return wakeUp;
      }
    }
    return undefined;
  };

  const handOut = (): void => {
    while (handle && !closed && handling.size < concurrency) {
      const wakeUp = takeReady();
      if (!wakeUp) return;
      handling.set(wakeUp.id, undefined);
      handle(wakeUp)
        .catch((error: unknown) => onError(wakeUp, error))
        .finally(() => {
          const again = handling.get(wakeUp.id);
          handling.delete(wakeUp.id);
          if (again) enqueue(again);
          handOut();
          if (handling.size === 0) idle?.();
        });
    }
  };

  /** One timer, for the earliest of those that wait for a time. */
  const setTimer = (): void => {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { at } of delayed.values()) earliest = Math.min(earliest, at);
    if (closed || earliest === Number.POSITIVE_INFINITY) return;
    timer?.stop.abort();
    const mine = { at: earliest, stop: new AbortController() };
    timer = mine;
    void clock.sleep(earliest - clock.now(), mine.stop.signal).then(() => {
      if (timer !== mine) return;
      timer = undefined;
      const now = clock.now();
      for (const message of [...delayed.values()].filter(({ at }) => at <= now)) {
        delayed.delete(message.wakeUp.id);
        makeReady(message);
      }
      setTimer();
      handOut();
    });
  };

  return {
    async send(wakeUp, { priority, delaySeconds = 0 }) {
      if (!closed) enqueue({ wakeUp, priority, at: delaySeconds > 0 ? clock.now() + delaySeconds * 1_000 : 0 });
    },
    consume(handler, options) {
      handle = handler;
      concurrency = options.concurrency;
      handOut();
    },
    async close() {
      closed = true;
      timer?.stop.abort();
      if (handling.size > 0) await new Promise<void>((resolve) => (idle = resolve));
    },
  };
};

const sooner = (a: Waiting | undefined, b: Waiting): Waiting =>
  a === undefined
    ? b
    : {
        wakeUp: b.wakeUp,
        at: Math.min(a.at, b.at),
        priority: PRIORITIES.indexOf(a.priority) <= PRIORITIES.indexOf(b.priority) ? a.priority : b.priority,
      };
