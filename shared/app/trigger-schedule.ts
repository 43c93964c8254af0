import type * as z from 'zod';
import { requirePermission } from '../access/access.ts';
import type { FiringView } from '../contract/schedule-schemas.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { noteManual } from '../domain/schedule-steps.ts';
import type { Firing, ScheduleId } from '../domain/schedules.ts';
import { scheduleReferenceOf } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { actorOfSchedule, requireSubmitter } from './fire-schedule.ts';
import { toFiringView } from './schedule-view.ts';
import { requireSchedule } from './schedules.ts';
import { submitCommand } from './submit-command.ts';

/**
 * Fires a schedule by hand, as its member, whatever its clock and its overlap rule say; paused ones too.
 * @throws AppError 'not-found'; 'forbidden' for who may not submit commands; as `submitCommand`, which the schedule's history then says too
 */
export const triggerSchedule = async (
  deps: Deps,
  actor: Actor,
  id: ScheduleId,
  idempotencyKey: string | undefined,
): Promise<z.output<typeof FiringView>> => {
  // The rights are the schedule's member's, but who has none is not lent them.
  requirePermission(actor, 'commands:submit');
  const schedule = await requireSchedule(deps, actor, id);
  const at = deps.clock.now();
  const note = (firing: Firing) =>
    deps.schedules.change(scheduleReferenceOf(actor.tenant, id), (latest) => noteManual(latest, firing), [
      auditWrite(deps, actor, 'schedule.triggered', id, {
        ...(firing.command === undefined ? { reason: firing.reason } : { command: firing.command }),
      }),
    ]);
  try {
    const submitter = requireSubmitter(schedule, await actorOfSchedule(deps, schedule));
    const { command } = await submitCommand(deps, submitter, {
      body: schedule.template as SubmitCommand,
      scheduledBy: { schedule: id, at },
      // One key for two schedules is two firings.
      idempotencyKey: idempotencyKey && `${id}/${idempotencyKey}`,
    });
    const firing: Firing = {
      at: command.scheduledBy?.at ?? at,
      decidedAt: command.submittedAt,
      outcome: 'submitted',
      command: command.id,
      manual: true,
    };
    await note(firing);
    return toFiringView(firing);
  } catch (error) {
    if (error instanceof AppError && error.code !== 'unavailable') {
      const detail = error.message.slice(0, LIMITS.detailCharacters);
      await note({ at, decidedAt: at, outcome: 'refused', reason: error.code, detail, manual: true });
    }
    throw error;
  }
};
