import { waitsFor } from '../domain/command.ts';
import { splitAttemptKey } from '../domain/ids.ts';
import type { HeldRun } from '../providers/provider.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps, Target } from './deps.ts';

/** A run younger than this may not have been stored as started yet. */
const GRACE_MS = 10 * 60_000;

type SearchDeps = Pick<Deps, 'commands' | 'clock' | 'log'>;

/**
 * Ends runs that providers hold and nobody waits for: made by a start whose answer was lost, or left by a release that
 * failed for good. Only what carries this installation's mark is ever touched.
 */
export const endOrphans = async (deps: SearchDeps & { readonly targets: readonly Target[] }): Promise<void> => {
  await Promise.all(
    deps.targets
      .filter(({ features }) => features.mode === 'detached' || features.leavesBehind)
      .map((target) =>
        endOrphansOf(deps, target).catch((error: unknown) =>
          deps.log.error('A target could not be searched for orphans', { target: target.name, error }),
        ),
      ),
  );
};

const endOrphansOf = async (deps: SearchDeps, target: Target): Promise<void> => {
  const provider = await target.load();
  for await (const run of provider.held?.() ?? []) {
    if (!(await isOrphan(deps, run))) continue;
    deps.log.warn('A run that nobody waits for is ended', { target: target.name, attempt: run.key });
    await provider
      .cancel(run)
      .catch((error: unknown) => deps.log.warn('An orphan could not be ended yet', { attempt: run.key, error }));
  }
};

const isOrphan = async (deps: SearchDeps, run: HeldRun): Promise<boolean> => {
  if (run.createdAt === undefined || deps.clock.now() - run.createdAt < GRACE_MS) return false;
  const { id, attempt } = splitAttemptKey(run.key);
  const stored = await deps.commands.find(referenceOf(run.tenant, id));
  return !stored || !waitsFor(stored.command, attempt);
};
