import { performance } from 'node:perf_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';

/** Processes start and end in the machine's own time, whatever clock the product is given. */
export const pause = (milliseconds: number): Promise<void> => setTimeout(milliseconds);

/** As `pause`, for a wait that is no reason to keep this process alive. */
export const idle = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  setTimeout(milliseconds, undefined, { ref: false, ...(signal && { signal }) }).catch(() => {});

/** Resolves when what has arrived by now was heard. */
export const nextTurn = (): Promise<void> => setImmediate();

/** Milliseconds since some moment, never stepping back. */
export const elapsed = (): number => performance.now();
