import { makeTargetHealth } from '../store/target-health.ts';
import type { Deps } from './deps.ts';
import { lookAt } from './list-targets.ts';

/** Asks every target how it is, and stores the answers for those who cannot ask. */
export const checkTargets = async (deps: Pick<Deps, 'store' | 'targets' | 'log' | 'clock'>): Promise<void> => {
  const health = makeTargetHealth(deps.store, deps.clock);
  const { items } = await lookAt(deps);
  await Promise.all(
    items.map(({ target, healthy, detail }) =>
      health.write(target, { healthy, ...(detail === undefined ? {} : { detail }) }),
    ),
  );
};
