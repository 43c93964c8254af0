import type { AttemptKey } from '../domain/ids.ts';

/** The runs that this process carries: it looks after them itself. */
export interface HeldRuns {
  has(key: AttemptKey): boolean;
  /** Holds until disposed of. */
  hold(key: AttemptKey): Disposable;
}

export const makeHeldRuns = (): HeldRuns => {
  const held = new Set<AttemptKey>();
  return {
    has: (key) => held.has(key),
    hold(key) {
      held.add(key);
      return { [Symbol.dispose]: () => void held.delete(key) };
    },
  };
};
