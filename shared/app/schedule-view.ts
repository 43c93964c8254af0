import type * as z from 'zod';
import type { FiringView, ScheduleSummary, ScheduleView } from '../contract/schedule-schemas.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { stateOf } from '../domain/schedule-steps.ts';
import { type Firing, jitterOf, type Schedule } from '../domain/schedules.ts';
import { nextInstants } from '../domain/timing.ts';

const SHOWN = 5;

/** A schedule as callers see it, with its next firings and its last ones. */
export const toScheduleView = (schedule: Schedule): z.output<typeof ScheduleView> => ({
  ...toScheduleSummary(schedule, SHOWN),
  history: schedule.history.map(toFiringView),
});

/** As it is listed. */
export const toScheduleSummary = (schedule: Schedule, shown = 1): z.output<typeof ScheduleSummary> => {
  const { id, name, version, timing, jitterSeconds, overlap, catchUp, member, createdBy, waiting } = schedule;
  return {
    ...{ id, name, version, jitterSeconds, overlap, catchUp, member, createdBy },
    state: stateOf(schedule),
    cron: timing.kind === 'cron' ? timing.cron : null,
    timeZone: timing.kind === 'cron' ? timing.timeZone : null,
    everySeconds: timing.kind === 'every' ? timing.everySeconds : null,
    at: timing.kind === 'at' ? toTimestamp(timing.at) : null,
    startAt: timestampOrNull(timing.startAt),
    endAt: timestampOrNull(timing.endAt),
    command: toCommandView(schedule.template as SubmitCommand, schedule.spec.target),
    createdAt: toTimestamp(schedule.createdAt),
    updatedAt: toTimestamp(schedule.updatedAt),
    waiting: waiting.length,
    nextAt: nextOf(schedule, shown).map((at) => toTimestamp(at + jitterOf(schedule, at))),
  };
};

export const toFiringView = (firing: Firing): z.output<typeof FiringView> => ({
  at: toTimestamp(firing.at),
  decidedAt: toTimestamp(firing.decidedAt),
  outcome: firing.outcome,
  command: firing.command ?? null,
  reason: firing.reason ?? null,
  detail: firing.detail ?? null,
  count: firing.count ?? 1,
  manual: firing.manual ?? false,
});

/** Values of an environment and input may be anybody's business, as with commands. */
const toCommandView = (template: SubmitCommand, target: string): z.output<typeof ScheduleView>['command'] => {
  const { env = {}, stdin, stdinBase64, labels = {}, ...shown } = template;
  const hasStdin = stdin !== undefined || stdinBase64 !== undefined;
  return { ...shown, target, envNames: Object.keys(env), hasStdin, labels };
};

const nextOf = ({ next, timing }: Schedule, count: number): readonly Instant[] =>
  next === undefined ? [] : [next, ...nextInstants(timing, next, count - 1)];

const timestampOrNull = (instant: Instant | undefined): string | null =>
  instant === undefined ? null : toTimestamp(instant);
