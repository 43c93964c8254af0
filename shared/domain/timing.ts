import { Cron } from 'croner';
import type { Instant } from './clock.ts';
import type { Timing } from './schedules.ts';

/** No dates, which croner would take too, and no years. */
const FIELDS = /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|\S+( \S+){4,5})$/i;

/**
 * The first instant after `after`, or undefined when none is left.
 *
 * Cron runs by the wall clock of its time zone, as croner has it (after Vixie cron). A job of one time of day runs once on each day: at the
 * first moment after the gap where its time does not exist, and at the first of the two where it exists twice. A job of many times
 * of day (a list, a range, a step, `*`) runs at all that exist, twice where one does.
 */
export const nextInstant = (timing: Timing, after: Instant): Instant | undefined => {
  const { startAt, endAt = Number.POSITIVE_INFINITY } = timing;
  const found = nextOf(timing, startAt === undefined ? after : Math.max(after, startAt - 1));
  return found !== undefined && found <= endAt ? found : undefined;
};

/** The last `count` instants until `until`, that one included, the oldest first. */
export const lastInstants = (timing: Timing, until: Instant, count: number): readonly Instant[] => {
  const { startAt = Number.NEGATIVE_INFINITY, endAt = Number.POSITIVE_INFINITY } = timing;
  return lastOf(timing, Math.min(until, endAt), count).filter((instant) => instant >= startAt);
};

/** The first `count` instants after `after`. */
export const nextInstants = (timing: Timing, after: Instant, count: number): readonly Instant[] => {
  const found: Instant[] = [];
  for (let last: Instant | undefined = after; found.length < count; ) {
    last = nextInstant(timing, last);
    if (last === undefined) break;
    found.push(last);
  }
  return found;
};

const nextOf = (timing: Timing, after: Instant): Instant | undefined => {
  if (timing.kind === 'at') return timing.at > after ? timing.at : undefined;
  if (timing.kind === 'cron') return cronOf(timing).nextRun(new Date(after))?.getTime();
  const { anchor, everySeconds } = timing;
  return anchor + Math.max(0, Math.floor((after - anchor) / (everySeconds * 1_000)) + 1) * everySeconds * 1_000;
};

const lastOf = (timing: Timing, until: Instant, count: number): readonly Instant[] => {
  if (timing.kind === 'at') return timing.at <= until ? [timing.at] : [];
  if (timing.kind === 'cron') {
    // It looks before a moment, to the second.
    const before = new Date((Math.floor(until / 1_000) + 1) * 1_000);
    const found = cronOf(timing).previousRuns(count, before);
    return found.map((date) => date.getTime()).toReversed();
  }
  const { anchor, everySeconds } = timing;
  const last = Math.floor((until - anchor) / (everySeconds * 1_000));
  const first = Math.max(0, last - count + 1);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => anchor + (first + i) * everySeconds * 1_000);
};

const MOST_KEPT = 1_000;
const kept = new Map<string, Cron>();

/** Reading an expression takes as long as ten looks at the clock. */
const cronOf = ({ cron, timeZone }: { readonly cron: string; readonly timeZone: string }): Cron => {
  const name = `${timeZone} ${cron}`;
  const known = kept.get(name);
  if (known) return known;
  if (!FIELDS.test(cron)) {
    throw new TypeError('must be five fields (minute, hour, day, month, weekday), or six with seconds before them');
  }
  const made = new Cron(cron, { timezone: timeZone });
  if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value as string);
  kept.set(name, made);
  return made;
};

/**
 * What is wrong with a cron expression, in words that follow its name; undefined when nothing is.
 * Whether it ever fires is another question: `nextInstant`.
 */
export const cronFault = (cron: string, timeZone: string): string | undefined => {
  try {
    cronOf({ cron, timeZone });
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, '');
  }
};
