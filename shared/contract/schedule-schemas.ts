import * as z from 'zod';
import { LIMITS } from '../domain/limits.ts';
import { CATCH_UPS, OUTCOMES, OVERLAPS, SCHEDULE_ID, type ScheduleId } from '../domain/schedules.ts';
import { Name } from './access-schemas.ts';
import { CommandIdText, SubmitCommand, TimeZone } from './schemas.ts';

export const ScheduleIdText = z
  .string()
  .regex(SCHEDULE_ID, 'must be a schedule’s id: sch_ and 16 characters')
  .meta({ id: 'ScheduleId' }) as unknown as z.ZodType<ScheduleId, string>;

const Time = z.iso.datetime();

const fields = {
  name: Name.describe('For people. Default: none.').optional(),
  cron: z
    .string()
    .max(LIMITS.cronCharacters)
    .describe('Five fields (minute, hour, day, month, weekday), six with seconds before them, or @daily and the like.')
    .optional(),
  timeZone: TimeZone.describe('Of `cron`. Default UTC.').optional(),
  everySeconds: z
    .int()
    .min(LIMITS.scheduleLeastSeconds)
    .max(LIMITS.scheduleMostSeconds)
    .describe('Each so many seconds, counted from `startAt`, or from when the schedule was made.')
    .optional(),
  at: Time.describe('Once, then.').optional(),
  startAt: Time.describe('Not before.').optional(),
  endAt: Time.describe('Not after.').optional(),
  jitterSeconds: z
    .int()
    .min(0)
    .max(LIMITS.scheduleJitterSeconds)
    .describe('Fires up to so much later, each time another while, so that not all do at once. Default 0.')
    .optional(),
  overlap: z
    .enum(OVERLAPS)
    .describe(
      'While the command before has not ended: submit nonetheless, skip, cancel that one, or wait. Default skip.',
    )
    .optional(),
  catchUp: z
    .enum(CATCH_UPS)
    .describe('Of the firings that were missed while nothing ran here: none, the last, or all. Default last.')
    .optional(),
  command: SubmitCommand.describe('What is submitted, as to POST /v1/commands.'),
};

const isOneTiming = (body: { cron?: unknown; everySeconds?: unknown; at?: unknown }): boolean =>
  [body.cron, body.everySeconds, body.at].filter((one) => one !== undefined).length === 1;
const oneTiming = { error: 'exactly one of cron, everySeconds and at must be given', path: ['cron'] };
const isZoneOfCron = (body: { cron?: unknown; timeZone?: unknown }): boolean =>
  body.timeZone === undefined || body.cron !== undefined;
const zoneOfCron = { error: 'is of cron only: other times are in UTC', path: ['timeZone'] };
const isInOrder = ({ startAt, endAt }: { startAt?: string | undefined; endAt?: string | undefined }): boolean =>
  startAt === undefined || endAt === undefined || Date.parse(startAt) < Date.parse(endAt);
const inOrder = { error: 'must be after startAt', path: ['endAt'] };

export const CreateSchedule = z
  .strictObject(fields)
  .refine(isOneTiming, oneTiming)
  .refine(isZoneOfCron, zoneOfCron)
  .refine(isInOrder, inOrder)
  .meta({ id: 'CreateSchedule' });

export const PutSchedule = z
  .strictObject({
    ...fields,
    onVersion: z.int().min(1).describe('Only if this is its version now.').optional(),
  })
  .refine(isOneTiming, oneTiming)
  .refine(isZoneOfCron, zoneOfCron)
  .refine(isInOrder, inOrder)
  .meta({ id: 'PutSchedule', description: 'All of a schedule: what is not given is as if it never had been.' });

export const FiringView = z
  .object({
    at: Time.describe('When it was planned for, less the jitter; of one by hand, when that was.'),
    decidedAt: Time,
    outcome: z.enum(OUTCOMES),
    command: CommandIdText.nullable(),
    reason: z.string().nullable().describe('overlap, queue-full, paused, late, restored, or the code of an error.'),
    detail: z.string().nullable().describe('For a person.'),
    count: z.int().min(1).describe('How many firings in a row this stands for, the first of them at `at`.'),
    manual: z.boolean().describe('By hand, and not by the clock.'),
  })
  .meta({ id: 'Firing' });

const summary = {
  id: ScheduleIdText,
  name: z.string(),
  version: z.int().min(1).describe('One more with each change.'),
  state: z.enum(['active', 'paused', 'ended']).describe('Ended: no firing is left.'),
  cron: z.string().nullable(),
  timeZone: z.string().nullable(),
  everySeconds: z.int().nullable(),
  at: Time.nullable(),
  startAt: Time.nullable(),
  endAt: Time.nullable(),
  jitterSeconds: z.int(),
  overlap: z.enum(OVERLAPS),
  catchUp: z.enum(CATCH_UPS),
  command: z
    .object({
      argv: z.array(z.string()).optional(),
      script: z.string().optional(),
      target: z.string(),
      envNames: z.array(z.string()).describe('Values are not shown.'),
      hasStdin: z.boolean(),
      labels: z.record(z.string(), z.string()),
    })
    .loose()
    .describe('As it was submitted, without the values of its environment and without its input.'),
  member: z.string().describe('Whoever stored it last: it fires with this member’s rights.'),
  createdAt: Time,
  createdBy: z.string(),
  updatedAt: Time,
  waiting: z.int().describe('Firings that wait for a command to end.'),
  nextAt: z.array(Time).describe('The next five firings, with their jitter; one of each in a list.'),
};

export const ScheduleSummary = z.object(summary).meta({ id: 'ScheduleSummary' });

export const ScheduleView = z
  .object({ ...summary, history: z.array(FiringView).describe('The last 20 firings, newest first.') })
  .meta({ id: 'Schedule' });

export const ScheduleList = z
  .object({ items: z.array(ScheduleSummary), nextCursor: z.string().optional() })
  .meta({ id: 'ScheduleList' });
