import type { Endpoint } from '../contract/endpoint.ts';
import type { Actor } from '../domain/actor.ts';
import type { Clock } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { toNeighbourhood } from './addresses.ts';
import { type Rate, type Taken, type TokenBuckets, tokenBuckets } from './token-buckets.ts';

/** What a request counts as. */
export type RateClass = 'submit' | 'read' | 'change';

/** Per caller, unless the tenant's limits say less. A tenant has four times as much for all its callers together. */
export const RATES: Readonly<Record<RateClass, Rate>> = {
  submit: { perSecond: 1_000, burst: 5_000 },
  read: { perSecond: 1_000, burst: 10_000 },
  change: { perSecond: 100, burst: 500 },
};
const CALLERS_OF_A_TENANT = 4;
/** Calls without a credential, from one address: health checks, the API's description. */
const ANYONE: Rate = { perSecond: 100, burst: 500 };
/** Calls whose credential is not good, from one address. */
const FAILURES: Rate = { perSecond: 1, burst: 50 };

/** Deliveries of one trigger, whose senders are known. */
const DELIVERIES: Rate = { perSecond: 50, burst: 500 };
/** Deliveries of one trigger whose senders are not known, as far as they are written down. */
const FORGERIES: Rate = { perSecond: 1 / 60, burst: 5 };

/** How often an address is told of. */
const TOLD: Rate = { perSecond: 1 / 3_600, burst: 1 };

/** Of each kind; some 10 MB in all. */
const MOST_BUCKETS = 20_000;

/**
 * How often callers may call, as this process sees it. Headers as draft-ietf-httpapi-ratelimit-headers-10 has them; not a
 * standard yet.
 */
export interface Rates {
  /**
   * Counts a call of an actor, and gives the headers that tell it what is left; none for the installation's own key, which has
   * no limits.
   * @throws AppError 'rate-limited'
   */
  admit(actor: Actor, kind: RateClass): Record<string, string>;
  /** Counts a call without a credential. @throws AppError 'rate-limited' */
  admitAnyone(sourceIp: string): void;
  /**
   * Counts a credential that was not good. From an address that showed too many the answer is no longer what was wrong, but to
   * wait; a good one from there is as good as ever, so that nobody is kept out by a neighbour.
   */
  countFailure(sourceIp: string): TooManyFailures | undefined;
  /** Counts a delivery to a trigger by somebody who can sign. @throws AppError 'rate-limited' */
  admitDelivery(trigger: string): void;
  /** Whether a delivery that nobody signed is worth a line: whoever sends many shall not fill the store. */
  isForgeryNews(trigger: string): boolean;
}

export interface TooManyFailures {
  /** 'rate-limited', to answer with. */
  readonly refusal: AppError;
  /** Whether it is the first of its address for an hour: one that is worth a word. */
  readonly isNews: boolean;
}

export const makeRates = (clock: Pick<Clock, 'now'>): Rates => {
  const buckets = { caller: tokenBuckets(clock, MOST_BUCKETS), tenant: tokenBuckets(clock, MOST_BUCKETS) };
  const sources = { anyone: tokenBuckets(clock, MOST_BUCKETS), failures: tokenBuckets(clock, MOST_BUCKETS) };
  const told = tokenBuckets(clock, MOST_BUCKETS);
  const triggers = { deliveries: tokenBuckets(clock, MOST_BUCKETS), forgeries: tokenBuckets(clock, MOST_BUCKETS) };

  const takeFrom = (from: TokenBuckets, sourceIp: string, rate: Rate): AppError | undefined => {
    // A caller within this process has none.
    if (sourceIp === '') return undefined;
    const taken = from.take(toNeighbourhood(sourceIp), rate);
    return taken.allowed ? undefined : tooMany('from this address', taken);
  };

  return {
    admit(actor, kind) {
      if (actor.credential.kind === 'installation-key') return {};
      const rate = RATES[kind];
      const perTenant = actor.limits?.requestsPerSecond;
      const tenantRate =
        perTenant === undefined
          ? times(rate, CALLERS_OF_A_TENANT)
          : { perSecond: perTenant, burst: Math.max(1, perTenant) };
      const tenantName = perTenant === undefined ? `${actor.tenant}/${kind}` : actor.tenant;
      // First what the tenant has left, without taking: a caller that is refused shall not use up the others' share.
      const ofTenant = buckets.tenant.look(tenantName, tenantRate);
      if (!ofTenant.allowed) throw tooMany('of this tenant', ofTenant, headersOf([['tenant', tenantRate, ofTenant]]));
      const ofCaller = buckets.caller.take(`${actor.tenant}/${actor.id}/${kind}`, rate);
      if (!ofCaller.allowed) throw tooMany('of this caller', ofCaller, headersOf([[kind, rate, ofCaller]]));
      return headersOf([
        [kind, rate, ofCaller],
        ['tenant', tenantRate, buckets.tenant.take(tenantName, tenantRate)],
      ]);
    },
    admitAnyone(sourceIp) {
      const refused = takeFrom(sources.anyone, sourceIp, ANYONE);
      if (refused) throw refused;
    },
    countFailure(sourceIp) {
      const refusal = takeFrom(sources.failures, sourceIp, FAILURES);
      return refusal && { refusal, isNews: told.take(toNeighbourhood(sourceIp), TOLD).allowed };
    },
    admitDelivery(trigger) {
      const taken = triggers.deliveries.take(trigger, DELIVERIES);
      if (!taken.allowed) throw tooMany('of this trigger', taken);
    },
    isForgeryNews: (trigger) => triggers.forgeries.take(trigger, FORGERIES).allowed,
  };
};

/** What a call of this endpoint counts as. */
export const rateClassOf = ({
  permission,
  method,
  counts,
}: Pick<Endpoint, 'permission' | 'method' | 'counts'>): RateClass => {
  if (counts !== undefined) return counts;
  if (permission?.startsWith('commands:')) return permission === 'commands:read' ? 'read' : 'submit';
  return method === 'GET' ? 'read' : 'change';
};

const times = ({ perSecond, burst }: Rate, factor: number): Rate => ({
  perSecond: perSecond * factor,
  burst: burst * factor,
});

const tooMany = (whose: string, { retryAfterSeconds }: Taken, headers: Record<string, string> = {}): AppError => {
  const seconds = Math.max(1, Math.ceil(retryAfterSeconds));
  return new AppError('rate-limited', `Too many requests ${whose}. Wait ${seconds} s, then call less often.`, {
    headers: { ...headers, 'retry-after': String(seconds) },
  });
};

/** A policy's quota is its burst, and its window the time in which that comes back. */
const headersOf = (all: readonly (readonly [name: string, Rate, Taken])[]): Record<string, string> => ({
  'ratelimit-policy': all
    .map(([name, { perSecond, burst }]) => `"${name}";q=${burst};w=${Math.ceil(burst / perSecond)}`)
    .join(', '),
  ratelimit: all
    .map(([name, , { remaining, fullAfterSeconds }]) => `"${name}";r=${remaining};t=${Math.ceil(fullAfterSeconds)}`)
    .join(', '),
});
