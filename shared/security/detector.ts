import type { Instant } from '../domain/clock.ts';

/** What an actor usually does, as far as it was seen. Small, and bounded. */
export interface Profile {
  readonly since: Instant;
  readonly commands: number;
  /** How often it ran each program, by name. */
  readonly programs: Readonly<Record<string, number>>;
  /** How many commands it submitted in each hour of the day, in UTC. */
  readonly hours: readonly number[];
  /** From where, and when last. */
  readonly places: Readonly<Record<string, Instant>>;
  /** Commands in an hour in which there were any: how many such hours, their mean, and the sum of squares off it (Welford). */
  readonly rate: { readonly hours: number; readonly mean: number; readonly squares: number };
  readonly hour: { readonly start: Instant; readonly commands: number; readonly isTold: boolean };
  /** Refusals within a while. */
  readonly refusals: { readonly since: Instant; readonly count: number };
}

/** What an actor submitted. */
export interface Activity {
  readonly at: Instant;
  /** Names of the programs, as far as they can be told. */
  readonly programs: readonly string[];
  /** Its network, where that is known. */
  readonly place?: string | undefined;
}

type AlertKind = 'new-program' | 'unusual-hour' | 'unusual-rate' | 'new-place' | 'refusals';

export interface Alert {
  readonly kind: AlertKind;
  /** Why, in one sentence for a person, with what is usual. */
  readonly because: string;
}

export interface Observed {
  readonly profile: Profile;
  readonly alerts: readonly Alert[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Before so much was seen, nothing is unusual. */
const LEAST = { programs: 50, places: 20, hours: 100, hourDays: 7, rateHours: 24 };
/** What is that rare is unusual. */
const RARE_PROGRAM = 0.02;
const RARE_HOUR = 0.005;
const DEVIATIONS = 6;
const LEAST_RATE = 30;
const REFUSALS = { count: 10, withinMs: 10 * 60_000 };
const MOST = { programs: 200, places: 50, commands: 10_000 };

const newProfile = (at: Instant): Profile => ({
  since: at,
  commands: 0,
  programs: {},
  hours: Array.from({ length: 24 }, () => 0),
  places: {},
  rate: { hours: 0, mean: 0, squares: 0 },
  hour: { start: hourOf(at), commands: 0, isTold: false },
  refusals: { since: at, count: 0 },
});

const hourOf = (at: Instant): Instant => Math.floor(at / HOUR_MS) * HOUR_MS;

/** What is unusual about a command, and what is usual from then on. */
export const observeCommand = (before: Profile | undefined, activity: Activity): Observed => {
  const profile = withFinishedHour(before ?? newProfile(activity.at), activity.at);
  const { alert: rateAlert, hour } = countInHour(profile);
  const alerts = [
    ...programAlerts(profile, activity),
    ...hourAlert(profile, activity),
    ...placeAlert(profile, activity),
    ...rateAlert,
  ];
  return { profile: learn({ ...profile, hour }, activity), alerts };
};

/** What is unusual about one more refusal. */
export const observeRefusal = (before: Profile | undefined, at: Instant): Observed => {
  const profile = before ?? newProfile(at);
  const isOver = at - profile.refusals.since > REFUSALS.withinMs;
  const refusals = isOver ? { since: at, count: 1 } : { ...profile.refusals, count: profile.refusals.count + 1 };
  const minutes = REFUSALS.withinMs / 60_000;
  const alerts: Alert[] =
    refusals.count === REFUSALS.count
      ? [{ kind: 'refusals', because: `${REFUSALS.count} of its requests were refused within ${minutes} minutes.` }]
      : [];
  return { profile: { ...profile, refusals }, alerts };
};

/**
 * How probable it is that the next program is one that was never seen: the share of those that were seen once (Good and Turing; I. J. Good,
 * Biometrika 40, 1953). Whoever runs something new each day is not told on; whoever runs the same five is.
 */
const programAlerts = ({ commands, programs }: Profile, activity: Activity): Alert[] => {
  if (commands < LEAST.programs) return [];
  const counts = Object.values(programs);
  const once = counts.filter((count) => count === 1).length;
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (once / all >= RARE_PROGRAM) return [];
  const fresh = activity.programs.filter((program) => !Object.hasOwn(programs, program));
  if (fresh.length === 0) return [];
  const usual = Object.entries(programs).toSorted(([, a], [, b]) => b - a);
  const names = usual.slice(0, 5).map(([name]) => name);
  return [
    {
      kind: 'new-program',
      because: `It ran ${quoted(fresh)} for the first time, after ${commands} commands with ${usual.length} programs (${quoted(names)}).`,
    },
  ];
};

const hourAlert = ({ commands, hours, since }: Profile, { at }: Activity): Alert[] => {
  const days = Math.floor((at - since) / DAY_MS);
  if (commands < LEAST.hours || days < LEAST.hourDays) return [];
  const hour = new Date(at).getUTCHours();
  // Its neighbours count, as nobody is on time to the minute.
  const near = [hour + 23, hour, hour + 1].reduce((sum, one) => sum + (hours[one % 24] ?? 0), 0);
  const share = near / hours.reduce((sum, count) => sum + count, 0);
  if (share >= RARE_HOUR) return [];
  const percent = (share * 100).toFixed(1);
  return [
    {
      kind: 'unusual-hour',
      because: `It is ${hour}:00 UTC; of its commands in ${days} days ${percent} % were within an hour of that.`,
    },
  ];
};

const placeAlert = ({ commands, places }: Profile, { place }: Activity): Alert[] => {
  if (place === undefined || Object.hasOwn(places, place) || commands < LEAST.places) return [];
  const known = Object.keys(places).length;
  return known === 0
    ? []
    : [
        {
          kind: 'new-place',
          because: `It called from a network for the first time; known are ${known}. The command’s record has which.`,
        },
      ];
};

/** Told once in an hour. */
const countInHour = ({ hour, rate }: Profile): { readonly alert: Alert[]; readonly hour: Profile['hour'] } => {
  const commands = hour.commands + 1;
  const deviation = rate.hours > 1 ? Math.sqrt(rate.squares / (rate.hours - 1)) : 0;
  const most = Math.max(LEAST_RATE, rate.mean + DEVIATIONS * deviation);
  const isUnusual = rate.hours >= LEAST.rateHours && commands > most && !hour.isTold;
  const because = `It submitted ${commands} commands within an hour; usual are ${rate.mean.toFixed(1)} ± ${deviation.toFixed(1)}.`;
  return {
    alert: isUnusual ? [{ kind: 'unusual-rate', because }] : [],
    hour: { ...hour, commands, isTold: hour.isTold || isUnusual },
  };
};

const withFinishedHour = (profile: Profile, at: Instant): Profile => {
  const { hour, rate } = profile;
  const start = hourOf(at);
  if (start <= hour.start) return profile;
  const next = { start, commands: 0, isTold: false };
  if (hour.commands === 0) return { ...profile, hour: next };
  const hours = rate.hours + 1;
  const delta = hour.commands - rate.mean;
  const mean = rate.mean + delta / hours;
  return { ...profile, hour: next, rate: { hours, mean, squares: rate.squares + delta * (hour.commands - mean) } };
};

/** What is long past counts less: habits change. */
const learn = (profile: Profile, { at, programs, place }: Activity): Profile => {
  const counts: Record<string, number> = { ...profile.programs };
  for (const program of programs) counts[program] = (counts[program] ?? 0) + 1;
  const hour = new Date(at).getUTCHours();
  const hours = profile.hours.map((count, i) => (i === hour ? count + 1 : count));
  const places = place === undefined ? profile.places : { ...profile.places, [place]: at };
  const learnt = {
    ...profile,
    commands: profile.commands + 1,
    programs: keepMost(counts, MOST.programs),
    hours,
    places: keepMost(places, MOST.places),
  };
  if (learnt.commands < MOST.commands) return learnt;
  const halved = (count: number) => Math.ceil(count / 2);
  return {
    ...learnt,
    commands: halved(learnt.commands),
    hours: learnt.hours.map((count) => Math.floor(count / 2)),
    programs: Object.fromEntries(Object.entries(learnt.programs).map(([name, count]) => [name, halved(count)])),
  };
};

const keepMost = (counts: Readonly<Record<string, number>>, most: number): Readonly<Record<string, number>> => {
  const all = Object.entries(counts);
  if (all.length <= most) return counts;
  return Object.fromEntries(all.toSorted(([, a], [, b]) => b - a).slice(0, most));
};

const quoted = (names: readonly string[]): string => names.map((name) => JSON.stringify(name.slice(0, 60))).join(', ');
