import { checkTargets } from '../shared/app/check-targets.ts';
import type { Deps } from '../shared/app/deps.ts';
import { endOrphans } from '../shared/app/end-orphans.ts';
import { loseSessions, tendSessions } from '../shared/app/end-session.ts';
import { removeTenants } from '../shared/app/remove-tenants.ts';
import { sealAudit } from '../shared/app/seal-audit.ts';
import { recover, sweep } from '../shared/app/sweep.ts';
import { sweepWorkflows } from '../shared/app/sweep-workflows.ts';
import type { Loop } from '../shared/telemetry/metrics.ts';

const SWEEP_SECONDS = 5;
/** In one turn: the next sweep should not wait for long. */
const REMOVAL_SECONDS = 5;
const ORPHANS_EVERY_SECONDS = 10 * 60;
const CHECK_EVERY_SECONDS = 5 * 60;

/**
 * Recovers, then sweeps from time to time, asks targets how they are, and ends runs elsewhere that nobody waits for, until the
 * process is about to end.
 */
export const keepSweeping = async (deps: Deps): Promise<void> => {
  const { clock, closing, log, metrics } = deps;
  const attempt = async (what: () => Promise<unknown>, loop?: Loop) => {
    try {
      await what();
      if (loop) metrics.passed(loop);
    } catch (error) {
      if (!closing.aborted) log.error('A sweep failed; the next one will try again', { error });
    }
  };
  // What a killed server left on this machine does not go on for ten minutes more.
  const targets = deps.targets.filter(({ features }) => features.mode === 'inline' && features.leavesBehind);
  // Before the commands, whose sessions are then known to be lost.
  await attempt(() => loseSessions(deps));
  await attempt(() => recover(deps));
  await attempt(() => sweepWorkflows(deps, { all: true }));
  await attempt(() => endOrphans({ ...deps, targets }));
  let orphansAt = clock.now() + ORPHANS_EVERY_SECONDS * 1_000;
  let checkAt = clock.now() + CHECK_EVERY_SECONDS * 1_000;
  while (!closing.aborted) {
    await clock.sleep(SWEEP_SECONDS * 1_000, closing);
    if (!closing.aborted) await attempt(() => sweep(deps), 'sweep');
    if (!closing.aborted) await attempt(() => tendSessions(deps));
    if (!closing.aborted) await attempt(() => sweepWorkflows(deps));
    if (!closing.aborted) await attempt(() => sealAudit(deps), 'audit');
    if (!closing.aborted) await attempt(() => removeTenants(deps, { seconds: REMOVAL_SECONDS }));
    const isTimeToCheck = clock.now() >= checkAt;
    if (isTimeToCheck) checkAt = clock.now() + CHECK_EVERY_SECONDS * 1_000;
    if (!closing.aborted) await attempt(() => checkTargets(deps, isTimeToCheck ? {} : { only: 'troubled' }), 'targets');
    if (closing.aborted || clock.now() < orphansAt) continue;
    orphansAt = clock.now() + ORPHANS_EVERY_SECONDS * 1_000;
    await attempt(() => endOrphans(deps));
  }
};
