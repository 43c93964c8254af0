import type { Instant } from './clock.ts';

/*
 * When a target is used and when it is left alone: a circuit breaker whose state all workers share. Libraries for breakers
 * (cockatiel, opossum) read the machine's clock and keep their state within one process, so the rules are here: pure, with
 * the time passed in, and the state as data that is stored.
 */

/** `healthy` and `degraded` ones are used. `degraded`: on trial after it was down. `down`: no call is made. */
export const HEALTH_STATES = ['healthy', 'degraded', 'down'] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

/** How a target is, as all workers go by it. */
export interface Condition {
  readonly state: HealthState;
  readonly since: Instant;
  /** Why it is not healthy, for a person. */
  readonly why?: string;
  /** Good signs in a row since then; counted only while it is not healthy. */
  readonly good: number;
  /** While `down`: good signs before this do not count. */
  readonly downUntil?: Instant;
  /** How often it went down without having been healthy for a while in between: each time it is left alone for longer. */
  readonly falls: number;
}

export interface HealthRules {
  /** So many faults without a good sign in between put it down. */
  readonly faultsInARow: number;
  /** So do so many of all, once there were enough within the window. */
  readonly faultRate: { readonly share: number; readonly least: number; readonly windowSeconds: number };
  /** It is left alone for so long, twice as long with each further fall, and at most. */
  readonly downSeconds: number;
  readonly mostDownSeconds: number;
  /** After that, so many checks that find it well put it on trial. */
  readonly goodForTrial: number;
  /** So many good signs on trial make it healthy; one fault puts it down again. */
  readonly goodForHealthy: number;
  /** Healthy for so long, its falls are forgotten. */
  readonly calmSeconds: number;
}

export const DEFAULT_HEALTH_RULES: HealthRules = {
  faultsInARow: 3,
  faultRate: { share: 0.5, least: 10, windowSeconds: 60 },
  downSeconds: 30,
  mostDownSeconds: 600,
  goodForTrial: 2,
  goodForHealthy: 3,
  calmSeconds: 600,
};

/** Of what nobody has seen a fault. */
export const newCondition = (now: Instant): Condition => ({ state: 'healthy', since: now, good: 0, falls: 0 });

/** Whether it is left alone yet. A time that is further off than any that is given was told by a clock that was wrong. */
export const isResting = ({ downUntil = 0 }: Condition, now: Instant, { mostDownSeconds }: HealthRules): boolean =>
  now < downUntil && downUntil - now <= mostDownSeconds * 1_000;

/** What was seen of a target. `why`: for a person. */
export type Sign = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** What one process saw of a target lately. It is not stored: only what follows from it is. */
export interface Tally {
  readonly faultsInARow: number;
  /** The window that the counts are of began then. */
  readonly since: Instant;
  readonly good: number;
  readonly faults: number;
}

export const newTally = (now: Instant): Tally => ({ faultsInARow: 0, since: now, good: 0, faults: 0 });

export const count = (tally: Tally, { ok }: Sign, now: Instant, { faultRate }: HealthRules): Tally => {
  const isOver = now - tally.since >= faultRate.windowSeconds * 1_000;
  const { since, good, faults } = isOver ? { since: now, good: 0, faults: 0 } : tally;
  return ok
    ? { faultsInARow: 0, since, good: good + 1, faults }
    : { faultsInARow: tally.faultsInARow + 1, since, good, faults: faults + 1 };
};

/** Whether what was seen is enough to put a healthy target down. */
export const isFailing = ({ faultsInARow, good, faults }: Tally, rules: HealthRules): boolean =>
  faultsInARow >= rules.faultsInARow ||
  (good + faults >= rules.faultRate.least && faults / (good + faults) >= rules.faultRate.share);

/**
 * What follows from a sign. `failing`: whether the signs so far are enough to put a healthy one down.
 * The same object as before when nothing has to be stored, which is so for every good sign of a healthy one.
 */
export const judge = (
  condition: Condition,
  sign: Sign,
  { now, rules, failing }: { readonly now: Instant; readonly rules: HealthRules; readonly failing: boolean },
): Condition => {
  const { state, good, falls, since } = condition;
  if (!sign.ok) {
    if (state === 'down') return good === 0 ? condition : { ...condition, good: 0 };
    if (state === 'healthy' && !failing) return condition;
    const isCalm = state === 'healthy' && now - since >= rules.calmSeconds * 1_000;
    return fall(sign.why, isCalm ? 1 : falls + 1, now, rules);
  }
  if (state === 'healthy') return condition;
  if (state === 'down') {
    // What was under way when it went down says nothing of how it is now.
    if (isResting(condition, now, rules)) return condition;
    if (good + 1 < rules.goodForTrial) return { ...condition, good: good + 1 };
    return onTrial(condition, now);
  }
  if (good + 1 < rules.goodForHealthy) return { ...condition, good: good + 1 };
  return { state: 'healthy', since: now, good: 0, falls };
};

/** One that is down, used again from now on; what becomes of that decides. */
export const onTrial = ({ downUntil: _, ...condition }: Condition, now: Instant): Condition => ({
  ...condition,
  state: 'degraded',
  since: now,
  good: 0,
});

const fall = (why: string, falls: number, now: Instant, rules: HealthRules): Condition => {
  const seconds = Math.min(rules.mostDownSeconds, rules.downSeconds * 2 ** Math.min(falls - 1, 30));
  return { state: 'down', since: now, why, good: 0, downUntil: now + seconds * 1_000, falls };
};

/** How long starts take at a target, from being asked for until the command executes. */
export interface StartTime {
  readonly ms: number;
  readonly at: Instant;
}

/** How much of the mean the newest one is. */
const NEWEST = 0.2;
/** What was measured so long ago counts for half: what is never chosen must become worth a try again. */
const HALF_LIFE_MS = 5 * 60_000;

export const withStart = (before: StartTime | undefined, tookMs: number, now: Instant): StartTime => ({
  ms: Math.round(before === undefined ? tookMs : before.ms + NEWEST * (tookMs - before.ms)),
  at: now,
});

/** What to expect of it now; 0 for what was never measured, so that it is. */
export const expectedStartMs = (measured: StartTime | undefined, now: Instant): number =>
  measured === undefined ? 0 : measured.ms * 0.5 ** (Math.max(0, now - measured.at) / HALF_LIFE_MS);
