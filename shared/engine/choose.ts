import type { Instant } from '../domain/clock.ts';
import { type Attempt, type Command, currentAttempt, type Leg, type Place, routeOf } from '../domain/command.ts';
import type { StepContext, TargetOutlook } from './types.ts';

/** Where the next attempt is, or why there is none yet. */
export type Chosen =
  | { readonly kind: 'place'; readonly place: Place }
  /** Every target that it may run on is down, the first of them for this reason. */
  | { readonly kind: 'none'; readonly target: string; readonly why: string; readonly lookAgainAt: Instant };

type ChoiceContext = Pick<StepContext, 'now' | 'fraction' | 'rules' | 'outlook'>;

/**
 * Which target the next attempt of a command is on. None that is down; of the others those that failed it least often in a row,
 * so that all of them are tried before any is tried again; of those the one that it ran on before, or the first in the order of its
 * route. A target that it was moved to goes before all of that. Within a pool, its rule decides.
 */
export const chooseTarget = (command: Command, context: ChoiceContext): Chosen => {
  const legs = routeOf(command.spec);
  const isUp = ({ target }: Place) => context.outlook.of(target).state !== 'down';
  const up = legs.flatMap(({ places }) => places).filter(isUp);
  if (up.length === 0) return whyNone(legs, context);
  const failed = failuresOf(command);
  const fewest = Math.min(...up.map(({ target }) => failed(target)));
  const isFit = (place: Place) => isUp(place) && failed(place.target) === fewest;
  const named = (target: string | undefined) => up.find((place) => place.target === target);
  const moved = named(command.moveTo);
  const before = named(currentAttempt(command)?.target);
  if (moved) return { kind: 'place', place: moved };
  if (before && isFit(before) && fewest === 0) return { kind: 'place', place: before };
  const leg = legs.find(({ places }) => places.some(isFit)) as Leg;
  return { kind: 'place', place: chooseInLeg(leg.name, leg.places.filter(isFit), context) };
};

/** How often all targets that could take a command have failed it in a row: 0 while one of them has not. */
export const roundsFailed = (command: Command, { outlook }: Pick<ChoiceContext, 'outlook'>): number => {
  const failed = failuresOf(command);
  const targets = routeOf(command.spec).flatMap(({ places }) => places.map(({ target }) => target));
  const up = targets.filter((target) => outlook.of(target).state !== 'down');
  return Math.min(...(up.length > 0 ? up : targets).map(failed));
};

/** Whether another target than the present one could take the command right now. */
export const hasAlternative = (command: Command, { target }: Attempt, { outlook }: ChoiceContext): boolean =>
  routeOf(command.spec).some(({ places }) =>
    places.some((place) => place.target !== target && outlook.of(place.target).state !== 'down'),
  );

/** Since the last attempt that ended by itself, whatever its exit code: that was the command's own doing. */
const failuresOf = ({ attempts }: Command): ((target: string) => number) => {
  const from = attempts.findLastIndex((attempt) => attempt.endedAt === undefined || !isTargetsFault(attempt)) + 1;
  const failures = new Map<string, number>();
  for (const { target } of attempts.slice(from)) failures.set(target, (failures.get(target) ?? 0) + 1);
  return (target) => failures.get(target) ?? 0;
};

const isTargetsFault = ({ status, result }: Attempt): boolean =>
  status === 'expired' || result?.reason === 'lost' || result?.reason === 'provider-error';

/** The healthy ones before those on trial, and then by the rule of the pool. @param places at least one */
const chooseInLeg = (name: string, places: readonly Place[], context: ChoiceContext): Place => {
  const of = ({ target }: Place) => context.outlook.of(target);
  const healthy = places.filter((place) => of(place).state === 'healthy');
  const fit = healthy.length > 0 ? healthy : places;
  const [first] = fit as readonly [Place, ...Place[]];
  const pool = context.outlook.pool(name);
  const least = (amount: (target: TargetOutlook) => number): Place =>
    fit.reduce((best, place) => (amount(of(place)) < amount(of(best)) ? place : best), first);
  switch (pool?.by) {
    case undefined:
    case 'order':
      return first;
    case 'latency':
      return least(({ startMs }) => startMs);
    case 'price':
      return least(({ pricePerHour = Number.POSITIVE_INFINITY }) => pricePerHour);
    case 'weight':
      return byWeight(fit, ({ target }) => pool.weights?.[target] ?? 1, context.fraction) ?? first;
  }
};

/** @returns undefined when none weighs anything */
const byWeight = (
  places: readonly Place[],
  weightOf: (place: Place) => number,
  fraction: number,
): Place | undefined => {
  let left = fraction * places.reduce((sum, place) => sum + weightOf(place), 0);
  return places.find((place) => {
    left -= weightOf(place);
    return left < 0;
  });
};

const whyNone = (legs: readonly Leg[], { now, fraction, rules, outlook }: ChoiceContext): Chosen => {
  const targets = legs.flatMap(({ places }) => places.map(({ target }) => target));
  const until = Math.min(...targets.map((target) => outlook.of(target).downUntil ?? now));
  const [target = ''] = targets;
  // Not all at once, when it is over: whoever has checked it by then decides.
  const jitterMs = Math.floor(fraction * rules.pollSeconds * 1_000);
  const lookAgainAt = Math.min(Math.max(until, now + 1_000), now + rules.backoff.capSeconds * 1_000) + jitterMs;
  return { kind: 'none', target, why: outlook.of(target).why ?? 'It does not answer.', lookAgainAt };
};
