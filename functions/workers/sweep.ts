import type { ScheduledEvent } from 'aws-lambda';
import * as z from 'zod';
import { checkTargets } from '../../shared/app/check-targets.ts';
import { deliverEvents } from '../../shared/app/deliver-events.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { endOrphans } from '../../shared/app/end-orphans.ts';
import { removeTenants } from '../../shared/app/remove-tenants.ts';
import { sealAudit } from '../../shared/app/seal-audit.ts';
import { type Settled, settleRestored } from '../../shared/app/settle-restored.ts';
import { sweep } from '../../shared/app/sweep.ts';
import { sweepWorkflows } from '../../shared/app/sweep-workflows.ts';

/** Each of these is worth its price less often than each minute. */
const CHECK_EVERY_MINUTES = 5;
const ORPHANS_EVERY_MINUTES = 10;
/** Then the next minute goes on. */
const REMOVAL_SECONDS = 60;

/** What a person invokes it with, once, after the table was restored: as `errand restore` says it of a data folder. */
const Restored = z.strictObject({ restoredTo: z.iso.datetime(), queued: z.enum(['lost', 'run']) });

/**
 * On a schedule of one minute: sees to what is due, gives what happened its place and publishes it, looks how the targets are, ends runs
 * that nobody waits for, and removes tenants. Told that its table was restored, it settles that instead.
 */
export const sweepOnSchedule =
  (deps: Deps) =>
  async (event: Pick<ScheduledEvent, 'time'> | z.input<typeof Restored>): Promise<Settled | undefined> => {
    if (!('time' in event)) {
      const { restoredTo, queued } = Restored.parse(event);
      return settleRestored(deps, {
        backedUpAt: Date.parse(restoredTo),
        waitsOn: queued === 'run',
        // There is one installation of a stage.
        takesOver: true,
      });
    }
    const minute = Math.floor(Date.parse(event.time) / 60_000);
    await sweep(deps);
    await sweepWorkflows(deps);
    await sealAudit(deps);
    await deliverEvents(deps);
    await checkTargets(deps, minute % CHECK_EVERY_MINUTES === 0 ? {} : { only: 'troubled' });
    if (minute % ORPHANS_EVERY_MINUTES === 0) await endOrphans(deps);
    await removeTenants(deps, { seconds: REMOVAL_SECONDS });
    await deps.tracing.flush();
    return undefined;
  };
