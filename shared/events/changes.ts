import type { Clock } from '../domain/clock.ts';

/** What changed about a command: its record, or its output or input. */
export type Topic = 'record' | 'output' | 'input';

/** Waits for the next change. Dispose of it when done. */
export interface Watch extends Disposable {
  /**
   * Resolves when something was announced since this was last called (or since the watch began), or after
   * `timeoutMs`, whichever is first. A hint only: look at the store either way.
   */
  next(timeoutMs: number): Promise<void>;
}

/**
 * Tells those who wait on a command that it is worth another look. A hint, never the truth: whoever waits also
 * looks from time to time, since a change made by another process may not be announced here.
 */
export interface Changes {
  announce(reference: string, topic: Topic): void;
  watch(reference: string, topics: readonly Topic[]): Watch;
}

interface Watcher {
  readonly topics: readonly Topic[];
  dirty: boolean;
  wake: AbortController | undefined;
}

/** A reason of its own: without one each abort makes an error with its stack, a tenth of what a short command costs. */
const AWAKE = 'awake';

/** Changes announced and watched within one process. */
export const inProcessChanges = (clock: Clock): Changes => {
  const watchersByReference = new Map<string, Set<Watcher>>();

  return {
    announce(reference, topic) {
      for (const watcher of watchersByReference.get(reference) ?? []) {
        if (!watcher.topics.includes(topic)) continue;
        watcher.dirty = true;
        watcher.wake?.abort(AWAKE);
      }
    },

    watch(reference, topics) {
      const watcher: Watcher = { topics, dirty: false, wake: undefined };
      const watchers = watchersByReference.get(reference) ?? new Set();
      watchersByReference.set(reference, watchers.add(watcher));
      return {
        async next(timeoutMs) {
          if (!watcher.dirty && timeoutMs > 0) {
            watcher.wake = new AbortController();
            await clock.sleep(timeoutMs, watcher.wake.signal);
            watcher.wake = undefined;
          }
          watcher.dirty = false;
        },
        [Symbol.dispose]() {
          watcher.wake?.abort(AWAKE);
          watchers.delete(watcher);
          if (watchers.size === 0) watchersByReference.delete(reference);
        },
      };
    },
  };
};
