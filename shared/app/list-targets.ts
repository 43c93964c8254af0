import type { TargetList } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import type { Deps, Target } from './deps.ts';

type Parts = Pick<Deps, 'targets' | 'log'>;

/** Every target that the caller may use, with what it can do and whether it is healthy. */
export const listTargets = ({ targets, log }: Parts, { scope }: Pick<Actor, 'scope'>): Promise<TargetList> =>
  lookAt({ log, targets: targets.filter(({ name }) => scope.targets?.includes(name) ?? true) });

/** A provider that fails to answer is unhealthy, not an error. */
export const lookAt = async ({
  targets,
  log,
}: Pick<Deps, 'log'> & { readonly targets: readonly Target[] }): Promise<TargetList> => ({
  items: await Promise.all(
    targets.map(async ({ name, provider, features, health: look }) => {
      const health = await look().catch((error: unknown) => {
        log.error('A provider could not say how it is', { target: name, error });
        return { healthy: false, detail: 'The provider could not be reached.' };
      });
      const { leavesBehind: _, resourceLimitsAt, ...shown } = features;
      const levels = {
        isolation: [...features.isolation],
        ...(resourceLimitsAt ? { resourceLimitsAt: [...resourceLimitsAt] } : {}),
      };
      return { target: name, provider, ...health, features: { ...shown, ...levels } };
    }),
  ),
});

/** Resolves when a command can be taken and run. @throws AppError 'unavailable' */
export const checkReady = async (deps: Pick<Deps, 'store' | 'targets' | 'log'>): Promise<void> => {
  await deps.store.check();
  const { items } = await lookAt(deps);
  if (items.some(({ healthy }) => healthy)) return;
  throw new AppError('unavailable', 'No target is healthy. See GET /v1/providers.');
};
