import { AppError } from '../../shared/domain/errors.ts';
import type { Queue, WakeUp } from '../../shared/queue/queue.ts';
import type { Faults } from './faults.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** A queue across a network, as SQS is: it knows no order, and what was not handled comes again, some times. */
export interface FarQueue {
  /** As one process sends to it. */
  sender(life: Life): Queue;
  /** Hands messages to a process until it dies. `handle` resolves with whether it was handled. */
  consume(life: Life, handle: (body: string) => Promise<boolean>): void;
}

interface Message {
  readonly body: string;
  receives: number;
}

const VISIBILITY_MS = 60_000;
const MOST_RECEIVES = 3;
const LONGEST_DELAY_SECONDS = 900;
/** Of a run. What comes too early is sent again, so copies of copies without end would be all that happens. */
const MOST_DOUBLED = 100;
/** Where nobody consumes, it is asked again after so long. */
const IDLE_MS = 1_000;

export const makeFarQueue = (world: World, faults: Faults): FarQueue => {
  let doubled = 0;
  const consumers: { readonly life: Life; readonly handle: (body: string) => Promise<boolean> }[] = [];

  const receive = (message: Message): void => {
    const alive = consumers.filter(({ life }) => life.isAlive());
    if (alive.length === 0) return void world.after(IDLE_MS, () => receive(message));
    const { life, handle } = world.rng.pick(alive);
    let isDone = false;
    // Whoever died with it, or took too long, is not waited for.
    world.after(VISIBILITY_MS, () => {
      if (isDone) return;
      isDone = true;
      if (++message.receives < MOST_RECEIVES) receive(message);
    });
    life.deliver(() => {
      void handle(message.body).then((handled) => {
        if (handled) isDone = true;
      });
    });
  };

  const enqueue = (wakeUp: WakeUp, delaySeconds: number): void => {
    const delayMs = Math.min(LONGEST_DELAY_SECONDS, Math.ceil(delaySeconds)) * 1_000;
    const isLost = faults.strikes('message-lost');
    const isDoubled = !isLost && doubled < MOST_DOUBLED && faults.strikes('message-doubled');
    if (isDoubled) doubled++;
    const copies = isLost ? 0 : isDoubled ? world.rng.between(2, 5) : 1;
    for (let copy = 0; copy < copies; copy++) {
      const lateMs = faults.strikes('message-late') ? world.rng.between(1_000, 2 * 3_600_000) : 0;
      const message = { body: JSON.stringify(wakeUp), receives: 0 };
      world.after(delayMs + lateMs + world.rng.between(5, 80), () => receive(message));
    }
  };

  return {
    sender: (life) => ({
      send: (wakeUp, { delaySeconds = 0 }) =>
        life.call('queue.send', (answer) => {
          const isRefused = faults.strikes('queue-refuses');
          // A send that failed may have been taken all the same.
          if (!isRefused || world.rng.chance(0.3)) enqueue(wakeUp, Math.max(0, delaySeconds));
          world.after(world.rng.between(2, 20), () => {
            if (isRefused) answer.reject(new AppError('unavailable', 'The simulated queue takes no message.'));
            else answer.resolve(undefined);
          });
        }),
    }),
    consume: (life, handle) => void consumers.push({ life, handle }),
  };
};
