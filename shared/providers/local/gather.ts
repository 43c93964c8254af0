import { elapsed, nextTurn, pause } from './machine-time.ts';

/** Rests so many times as long as the last work took: it then takes a ninth of a core at most, however much there is. */
const REST_FACTOR = 8;
const LONGEST_REST_MS = 200;

/**
 * Answers calls that come close together with one run of `work`: in this turn of the event loop if there was none
 * lately, else once it has rested. Each call is answered by a run that began after it.
 */
export const gather = <Item, Answer>(work: (items: readonly Item[]) => Answer): ((item: Item) => Promise<Answer>) => {
  let next: { readonly items: Item[]; readonly answer: Promise<Answer> } | undefined;
  let restedAt = 0;
  const workOn = async (items: readonly Item[]): Promise<Answer> => {
    const restMs = restedAt - elapsed();
    await (restMs > 0 ? pause(restMs) : nextTurn());
    next = undefined;
    const began = elapsed();
    const answer = await untilThereIsRoom(() => work(items));
    restedAt = elapsed() + Math.min(LONGEST_REST_MS, (elapsed() - began) * REST_FACTOR);
    return answer;
  };
  return (item) => {
    if (!next) {
      const items: Item[] = [];
      next = { items, answer: workOn(items) };
    }
    next.items.push(item);
    return next.answer;
  };
};

/** What a machine may have too little of for a while. */
const SHORTAGES: readonly (string | undefined)[] = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];

const untilThereIsRoom = async <Answer>(work: () => Answer): Promise<Answer> => {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!SHORTAGES.includes((error as NodeJS.ErrnoException).code)) throw error;
      await pause(50);
    }
  }
};
