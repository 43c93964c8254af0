import type { ScheduledEvent } from 'aws-lambda';
import { checkTargets } from '../../shared/app/check-targets.ts';
import { deliverEvents } from '../../shared/app/deliver-events.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { endOrphans } from '../../shared/app/end-orphans.ts';
import { sealAudit } from '../../shared/app/seal-audit.ts';
import { sweep } from '../../shared/app/sweep.ts';

/** Each of these is worth its price less often than each minute. */
const CHECK_EVERY_MINUTES = 5;
const ORPHANS_EVERY_MINUTES = 10;

/** On a schedule of one minute: sees to what is due, gives what happened its place and publishes it, looks how the targets are, and ends runs that nobody waits for. */
export const sweepOnSchedule =
  (deps: Deps) =>
  async ({ time }: Pick<ScheduledEvent, 'time'>): Promise<void> => {
    const minute = Math.floor(Date.parse(time) / 60_000);
    await sweep(deps);
    await sealAudit(deps);
    await deliverEvents(deps);
    if (minute % CHECK_EVERY_MINUTES === 0) await checkTargets(deps);
    if (minute % ORPHANS_EVERY_MINUTES === 0) await endOrphans(deps);
  };
