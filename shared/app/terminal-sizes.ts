import type { TerminalSize } from '../domain/terminal.ts';
import type { Reference } from '../store/schema.ts';

/**
 * The sizes that terminals were given by those who look at them. In this process alone, and kept by nobody: whoever looks
 * at a terminal again says its size again.
 */
export interface TerminalSizes {
  /** Of several who say one, the last one counts. It is known until this is disposed of, also to a run that starts later. */
  look(reference: Reference): TerminalLook;
  /** Calls `hear` with each size, and with the one that is known already; until it is disposed of. */
  hear(reference: Reference, hear: (size: TerminalSize) => void): Disposable;
}

export interface TerminalLook extends Disposable {
  resize(size: TerminalSize): void;
}

interface Entry {
  size: TerminalSize | undefined;
  looks: number;
  readonly hearers: Set<(size: TerminalSize) => void>;
}

export const makeTerminalSizes = (): TerminalSizes => {
  const entries = new Map<Reference, Entry>();
  const entryOf = (reference: Reference): Entry => {
    const entry = entries.get(reference) ?? { size: undefined, looks: 0, hearers: new Set() };
    entries.set(reference, entry);
    return entry;
  };
  const letGo = (reference: Reference, { looks, hearers }: Entry): void => {
    if (looks === 0 && hearers.size === 0) entries.delete(reference);
  };

  return {
    look(reference) {
      const entry = entryOf(reference);
      entry.looks++;
      let isOver = false;
      return {
        resize(size) {
          if (isOver) return;
          entry.size = size;
          for (const hear of entry.hearers) hear(size);
        },
        [Symbol.dispose]() {
          if (isOver) return;
          isOver = true;
          entry.looks--;
          letGo(reference, entry);
        },
      };
    },
    hear(reference, hear) {
      const entry = entryOf(reference);
      entry.hearers.add(hear);
      if (entry.size) hear(entry.size);
      return {
        [Symbol.dispose]() {
          entry.hearers.delete(hear);
          letGo(reference, entry);
        },
      };
    },
  };
};
