import type { TargetList } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Check } from '../store/target-health.ts';
import type { Deps, Target } from './deps.ts';

type Parts = Pick<Deps, 'targets' | 'pools' | 'fleet' | 'log'>;

/** Every target and pool that the caller may use, with what it can do and how it is. */
export const listTargets = async (deps: Parts, { scope }: Pick<Actor, 'scope'>): Promise<TargetList> => {
  const isInScope = ({ name }: { readonly name: string }) => scope.targets?.includes(name) ?? true;
  await deps.fleet.refresh();
  return {
    items: await Promise.all(deps.targets.filter(isInScope).map((target) => toView(deps, target))),
    pools: deps.pools.filter(isInScope).map(({ name, targets, by, weights }) => ({
      pool: name,
      targets: [...targets],
      by,
      ...(weights && { weights }),
    })),
  };
};

const toView = async ({ fleet, log }: Pick<Parts, 'fleet' | 'log'>, target: Target) => {
  const { name, provider, features, pricePerHour } = target;
  const { leavesBehind: _, resourceLimitsAt, sessions, terminals, ...shown } = features;
  const levels = {
    isolation: [...features.isolation],
    ...(resourceLimitsAt ? { resourceLimitsAt: [...resourceLimitsAt] } : {}),
    ...(sessions ? { sessions: [...sessions] } : {}),
    ...(terminals ? { terminals: [...terminals] } : {}),
  };
  const { condition } = fleet.of(name);
  return {
    target: name,
    provider,
    ...(await checkTarget(target, log)),
    state: condition?.state ?? 'healthy',
    ...(condition ? { since: toTimestamp(condition.since) } : {}),
    ...(condition?.why === undefined ? {} : { why: condition.why }),
    ...(pricePerHour === undefined ? {} : { pricePerHour }),
    features: { ...shown, ...levels },
  };
};

/** A provider that fails to answer is unhealthy, not an error. */
export const checkTarget = ({ name, health }: Target, log: Deps['log']): Promise<Check> =>
  health().catch((error: unknown) => {
    log.error('A provider could not say how it is', { target: name, error });
    return { healthy: false, detail: 'The provider could not be reached.' };
  });

/** Resolves when a command can be taken and run. @throws AppError 'unavailable' */
export const checkReady = async ({ store, targets, log }: Pick<Deps, 'store' | 'targets' | 'log'>): Promise<void> => {
  await store.check();
  const checks = await Promise.all(targets.map((target) => checkTarget(target, log)));
  if (checks.some(({ healthy }) => healthy)) return;
  throw new AppError('unavailable', 'No target is healthy. See GET /v1/providers.');
};
