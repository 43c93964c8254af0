import { makeRng, type Rng } from './rng.ts';

/** One line of what happened: who did what, and when. */
export interface Line {
  readonly at: number;
  readonly who: string;
  readonly what: string;
}

/** Time and chance of one run. Everything that happens is an event in here; two at one time happen in the order in which they were asked for. */
export interface World {
  /** The true time, which no process knows. */
  now(): number;
  /** Chance of the world: what takes how long, and what goes wrong. */
  readonly rng: Rng;
  /** Calls back after so long, unless what it returns was called before. */
  after(milliseconds: number, act: () => void): () => void;
  /** Writes a line of the history. It counts for the trace, so it must tell nothing that is not of the run itself. */
  note(who: string, what: string): void;
  /** The lines, if they are kept. */
  readonly lines: readonly Line[];
  /** Of every line so far: two runs of one seed have the same. */
  trace(): string;
  /** How many events have happened. */
  events(): number;
  /** Lets time pass, event by event, until it is over or late. */
  run(isOver: () => boolean, until: number): Promise<void>;
}

interface Event {
  readonly at: number;
  readonly order: number;
  act: (() => void) | undefined;
}

/** @param keepsLines for a person; the trace is made either way */
export const makeWorld = (seed: number, startAt: number, keepsLines: boolean): World => {
  const rng = makeRng(seed);
  const heap: Event[] = [];
  const lines: Line[] = [];
  let now = startAt;
  let order = 0;
  let happened = 0;
  let low = 0x811c9dc5;
  let high = 0x01000193;

  const mix = (text: string): void => {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      low = Math.imul(low ^ code, 0x01000193);
      high = Math.imul(high ^ (code + i), 0x85ebca6b) + low;
    }
  };

  return {
    now: () => now,
    rng,
    lines,
    after(milliseconds, act) {
      const event: Event = { at: now + Math.max(0, Math.ceil(milliseconds)), order: ++order, act };
      push(heap, event);
      return () => (event.act = undefined);
    },
    note(who, what) {
      mix(who);
      mix(what);
      low = Math.imul(low ^ (now & 0xffffffff), 0x01000193);
      if (keepsLines) lines.push({ at: now, who, what });
    },
    trace: () => (low >>> 0).toString(16).padStart(8, '0') + (high >>> 0).toString(16).padStart(8, '0'),
    events: () => happened,
    async run(isOver, until) {
      while (!isOver()) {
        const next = heap[0];
        if (!next || next.at > until) break;
        pop(heap);
        if (!next.act) continue;
        now = next.at;
        happened++;
        next.act();
        await settled();
      }
      if (!isOver()) now = Math.max(now, until);
    },
  };
};

/** Whatever follows from an event by itself has happened before the next one does. Ticks would be cheaper, but some of what runs here asks for ticks itself. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const isBefore = (a: Event, b: Event): boolean => (a.at === b.at ? a.order < b.order : a.at < b.at);

const push = (heap: Event[], event: Event): void => {
  let hole = heap.length;
  for (let parent = (hole - 1) >> 1; hole > 0; parent = (hole - 1) >> 1) {
    const above = heap[parent] as Event;
    if (!isBefore(event, above)) break;
    heap[hole] = above;
    hole = parent;
  }
  heap[hole] = event;
};

const pop = (heap: Event[]): void => {
  const last = heap.pop() as Event;
  if (heap.length === 0) return;
  let hole = 0;
  for (;;) {
    const left = 2 * hole + 1;
    if (left >= heap.length) break;
    const right = left + 1;
    const below = right < heap.length && isBefore(heap[right] as Event, heap[left] as Event) ? right : left;
    if (!isBefore(heap[below] as Event, last)) break;
    heap[hole] = heap[below] as Event;
    hole = below;
  }
  heap[hole] = last;
};
