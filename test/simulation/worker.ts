import { parentPort, workerData } from 'node:worker_threads';
import { plant } from './plant.ts';
import type { Played, Task } from './pool.ts';

/** A thread that plays seeds, on the product as it is or with a bug planted in it. */
const { mutant } = workerData as { readonly mutant?: string };
// Traces of stacks are most of what an expected error costs.
Error.stackTraceLimit = 0;
const planted = mutant === undefined ? undefined : plant(mutant);
const { runSeed } = await import('./run-seed.ts');
planted?.assertPlanted();

parentPort?.on('message', ({ seed, profile }: Task) => {
  void runSeed(seed, profile)
    .then(({ violations, trace, events, struck, statuses }): Played => {
      return { seed, profile, violations, trace, events, struck, statuses };
    })
    .catch((error: unknown): Played => {
      const violations = [`The simulation failed: ${error instanceof Error ? error.message : error}`];
      return { seed, profile, violations, trace: '', events: 0, struck: new Map(), statuses: new Map() };
    })
    .then((played) => parentPort?.postMessage(played));
});
