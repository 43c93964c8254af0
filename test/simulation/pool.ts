import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ProfileName } from './profiles.ts';
import type { Outcome } from './run-seed.ts';

export interface Task {
  readonly seed: number;
  readonly profile: ProfileName;
}

/** What one seed came to, without its history. */
export type Played = Pick<Outcome, 'seed' | 'profile' | 'violations' | 'trace' | 'events' | 'struck' | 'statuses'>;

interface PoolOptions {
  /** Threads. */
  readonly jobs: number;
  /** A bug to plant in the product first. */
  readonly mutant?: string;
  /** Told of each seed as it was played; ends the play when it returns true. */
  readonly onPlayed: (played: Played) => boolean | undefined;
}

/** Plays tasks on several threads, until there are no more or it was enough. */
export const play = async (tasks: Iterable<Task>, { jobs, mutant, onPlayed }: PoolOptions): Promise<void> => {
  const rest = tasks[Symbol.iterator]();
  let isEnough = false;
  const work = async (): Promise<void> => {
    let worker: Worker | undefined;
    try {
      for (;;) {
        const { value: task, done } = rest.next();
        if (done || isEnough) return;
        worker ??= new Worker(new URL('./worker.ts', import.meta.url), { workerData: { mutant } });
        const answered = once(worker, 'message');
        worker.postMessage(task);
        const [played] = (await answered) as [Played];
        if (!isEnough) isEnough = onPlayed(played) ?? false;
      }
    } finally {
      await worker?.terminate();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
};

/** So many seeds of each profile, in turns. */
export function* tasksOf(profiles: readonly ProfileName[], from: number, seeds: number): Generator<Task> {
  for (let seed = from; seed < from + seeds; seed++) for (const profile of profiles) yield { seed, profile };
}
