import { DEFAULT_HEALTH_RULES, isResting } from '../domain/health.ts';
import type { Deps, Target } from './deps.ts';
import { checkTarget } from './list-targets.ts';

/** What is not well is looked at again no sooner than this. */
const LEAST_MS = 10_000;

/**
 * Asks targets how they are, and stores the answers for those who cannot ask, and for the workers: checks alone bring back
 * what is down.
 * @param only `troubled`: those that are not well, or were not when last asked
 */
export const checkTargets = async (
  deps: Pick<Deps, 'targets' | 'log' | 'clock' | 'fleet'>,
  { only }: { readonly only?: 'troubled' } = {},
): Promise<void> => {
  const { fleet, clock, targets, log } = deps;
  await fleet.refresh();
  const isDue = ({ name }: Target): boolean => {
    const { condition, check } = fleet.of(name);
    if (condition && isResting(condition, clock.now(), DEFAULT_HEALTH_RULES)) return false;
    if (only === undefined) return true;
    const isWell = (condition?.state ?? 'healthy') === 'healthy' && check?.healthy !== false;
    return !isWell && clock.now() - (check?.at ?? 0) >= LEAST_MS;
  };
  await Promise.all(
    targets.filter(isDue).map(async (target) => {
      const check = await checkTarget(target, log);
      await fleet
        .checked(target.name, check)
        .catch((error: unknown) => log.warn('How a target is could not be stored', { target: target.name, error }));
    }),
  );
};
