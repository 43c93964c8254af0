import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/*
 * Loaded into the server that is watched (node --import): what only the process itself knows, a line of JSON each second in the file that
 * ERRAND_SOAK_PROBE names.
 */

export interface Inside {
  readonly heapMB: number;
  /** Of the last second. */
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

const file = process.env['ERRAND_SOAK_PROBE'];
// Not for those that the server starts.
delete process.env['ERRAND_SOAK_PROBE'];

if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const write = (): void => {
    const inside: Inside = {
      heapMB: process.memoryUsage().heapUsed / 1e6,
      delayP99Ms: delay.percentile(99) / 1e6,
      delayMaxMs: delay.max / 1e6,
    };
    delay.reset();
    appendFileSync(file, `${JSON.stringify(inside)}\n`);
  };
  setInterval(write, 1_000).unref();
}
