import type { Instant } from './clock.ts';
import type { CommandId } from './ids.ts';
import { LIMITS } from './limits.ts';
import { type Firing, jitterOf, type Schedule } from './schedules.ts';
import { lastInstants, nextInstant } from './timing.ts';

/** What is to be done about a schedule now. */
export type Look =
  | { readonly kind: 'nothing' }
  /** Instants passed that are not fired: store this. */
  | { readonly kind: 'pass'; readonly schedule: Schedule }
  | { readonly kind: 'fire'; readonly at: Instant };

/** One that is later than this was missed. */
const LATE_MS = LIMITS.scheduleLateSeconds * 1_000;
const LOOK_BACK_MS = LIMITS.scheduleCatchUpDays * 86_400_000;
/** Whether the command before has ended. */
const LOOK_AGAIN_MS = 5_000;
/** More are counted roughly. */
const MOST_COUNTED = 1_000;

/**
 * Whatever is fired is the stored `next`, or waits: what is passed over is stored as passed before anything after it is fired, so that
 * all who look, whenever they do, fire the same instants.
 */
export const lookAtSchedule = (schedule: Schedule, now: Instant): Look => {
  const { paused, next, waiting, lookAt = 0, catchUp, timing } = schedule;
  if (paused) return { kind: 'nothing' };
  const [first] = waiting;
  if (first !== undefined && lookAt <= now) return { kind: 'fire', at: first };
  if (next === undefined || next + jitterOf(schedule, next) > now) return { kind: 'nothing' };
  // Whatever the jitter of each is, these are due.
  const horizon = now - schedule.jitterSeconds * 1_000;
  const latest = lastInstants(timing, horizon, catchUp === 'all' ? LIMITS.scheduleCatchUp : 1);
  const [resumeAt] = latest.filter((at) => at >= now - LOOK_BACK_MS);
  if (resumeAt !== undefined && resumeAt > next) return { kind: 'pass', schedule: passTo(schedule, resumeAt, now) };
  const late = now - next - jitterOf(schedule, next);
  if (late > LOOK_BACK_MS || (catchUp === 'none' && late > LATE_MS)) {
    return { kind: 'pass', schedule: passTo(schedule, nextInstant(timing, Math.max(next, horizon)), now) };
  }
  return { kind: 'fire', at: next };
};

const passTo = (schedule: Schedule, resumeAt: Instant | undefined, now: Instant, reason = 'late'): Schedule => {
  const { timing, next: first } = schedule;
  if (first === undefined) return schedule;
  let count = 0;
  for (let at: Instant | undefined = first; at !== undefined && at < (resumeAt ?? now); at = nextInstant(timing, at)) {
    if (++count >= MOST_COUNTED) break;
  }
  const missed = {
    at: first,
    decidedAt: now,
    outcome: 'missed' as const,
    reason,
    ...(count > 1 ? { count } : {}),
  };
  return noteFiring({ ...schedule, next: resumeAt }, missed);
};

/**
 * Nothing until now is fired, as it may have been: the store is an older one than whoever fired last had. Undefined when nothing is to pass.
 */
export const passRestored = (schedule: Schedule, now: Instant): Schedule | undefined => {
  const { waiting, next, timing } = schedule;
  const [first] = waiting;
  const isPast = next !== undefined && next <= now;
  if (first === undefined && !isPast) return undefined;
  const dropped: Firing | undefined =
    first === undefined
      ? undefined
      : {
          ...{ at: first, decidedAt: now, outcome: 'missed', reason: 'restored' },
          ...(waiting.length > 1 ? { count: waiting.length } : {}),
        };
  const left: Schedule = { ...schedule, waiting: [], lookAt: undefined };
  const noted = dropped ? noteFiring(left, dropped) : left;
  return isPast ? passTo(noted, nextInstant(timing, now), now, 'restored') : noted;
};

/** Where a schedule stands once it is known what became of an instant. Undefined when another has stored that before. */
export const settle = (schedule: Schedule, firing: Firing): Schedule | undefined => {
  const { next, waiting, history, open, overlap } = schedule;
  const { at, command } = firing;
  const isNext = next === at;
  const isWaiting = waiting.includes(at);
  const isStored = command === undefined || history.some((one) => one.command === command);
  if (!isNext && !isWaiting && isStored) return undefined;
  const moved: Schedule = {
    ...schedule,
    // A command that was submitted is what became of it, whatever somebody slower or faster made of the same instant.
    history: command === undefined ? history : history.filter((one) => one.at !== at || one.command !== undefined),
    ...(isNext ? { next: nextInstant(schedule.timing, at) } : {}),
    waiting: isWaiting ? waiting.filter((one) => one !== at) : waiting,
    open: command === undefined || overlap === 'allow' ? open : withOpen(open, command),
  };
  return noteFiring({ ...moved, lookAt: moved.waiting.length > 0 ? firing.decidedAt : undefined }, firing);
};

/** Fired by hand: the clock goes on as it would have. Undefined when this is known already. */
export const noteManual = (schedule: Schedule, firing: Firing): Schedule | undefined => {
  const { command } = firing;
  if (command === undefined) return noteFiring(schedule, firing);
  if (schedule.history.some((one) => one.command === command)) return undefined;
  const open = schedule.overlap === 'allow' ? schedule.open : withOpen(schedule.open, command);
  return noteFiring({ ...schedule, open }, firing);
};

const withOpen = (open: Schedule['open'], command: CommandId): Schedule['open'] =>
  open.includes(command) ? open : [command, ...open].slice(0, LIMITS.scheduleOpen);

/** Puts an instant among those that wait, or says of it that there are too many. Undefined when it was decided about. */
export const queueUp = (schedule: Schedule, at: Instant, now: Instant): Schedule | undefined => {
  const lookAt = now + LOOK_AGAIN_MS;
  if (schedule.waiting[0] === at) return { ...schedule, lookAt };
  if (schedule.next !== at) return undefined;
  if (schedule.waiting.length >= LIMITS.scheduleWaiting) {
    const detail = `${LIMITS.scheduleWaiting} earlier ones wait for a command to end.`;
    return settle(schedule, { at, decidedAt: now, outcome: 'skipped', reason: 'queue-full', detail });
  }
  const waiting = [...schedule.waiting, at];
  return { ...schedule, next: nextInstant(schedule.timing, at), waiting, lookAt: schedule.lookAt ?? lookAt };
};

/** The newest first, so many. */
const noteFiring = (schedule: Schedule, firing: Firing): Schedule => ({
  ...schedule,
  history: [firing, ...schedule.history].slice(0, LIMITS.scheduleHistory),
});

/** No instant is fired until it is resumed; those that wait are dropped. */
export const pause = (schedule: Schedule, now: Instant): Schedule => {
  const [first] = schedule.waiting;
  const paused: Schedule = { ...schedule, paused: true, next: undefined, waiting: [], lookAt: undefined };
  if (first === undefined) return paused;
  const count = schedule.waiting.length;
  const dropped: Firing = { at: first, decidedAt: now, outcome: 'skipped', reason: 'paused' };
  return noteFiring(paused, count > 1 ? { ...dropped, count } : dropped);
};

/** The next instant is the first from now on: what passed meanwhile is not made up for. */
export const resume = (schedule: Schedule, now: Instant): Schedule => ({
  ...schedule,
  paused: false,
  next: nextInstant(schedule.timing, now),
});

export type ScheduleState = 'active' | 'paused' | 'ended';
export const stateOf = ({ paused, next, waiting }: Schedule): ScheduleState =>
  paused ? 'paused' : next === undefined && waiting.length === 0 ? 'ended' : 'active';
