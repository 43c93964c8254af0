import type { Priority } from '../domain/command.ts';
import type { Reference, WorkflowReference } from '../store/schema.ts';

/** All that a message says: "look at this command, or workflow, now". It carries nothing of it itself. */
export interface WakeUp {
  readonly v: 1;
  /** Its reference: `<tenant>/<id>`. */
  readonly id: Reference | WorkflowReference;
}

/**
 * Hints, never the truth: a message may be lost, doubled, late or out of order without harm, since the sweeper
 * finds in the store whatever is due.
 */
export interface Queue {
  /** Wakes a worker, high priority first, after `delaySeconds` (fractions allowed; @default 0). */
  send(wakeUp: WakeUp, options: { readonly priority: Priority; readonly delaySeconds?: number }): Promise<void>;
}

/** A queue whose messages are handed to a consumer in this process. */
export interface ConsumedQueue extends Queue {
  /** Starts handing out messages, `concurrency` at a time. A message whose handling fails is dropped: the sweeper has it. */
  consume(handle: (wakeUp: WakeUp) => Promise<void>, options: { readonly concurrency: number }): void;
  /** Takes no more messages and waits for those being handled. */
  close(): Promise<void>;
}

/** A queue that is opened when the first message is sent: whoever only reads never needs it. */
export const lazyQueue = (open: () => Promise<Queue>): Queue => {
  let opening: Promise<Queue> | undefined;
  return {
    async send(wakeUp, options) {
      opening ??= open();
      await (await opening).send(wakeUp, options);
    },
  };
};
