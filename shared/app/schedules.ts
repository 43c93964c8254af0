import type * as z from 'zod';
import { requirePermission } from '../access/access.ts';
import { hashOf } from '../audit/chain.ts';
import type { CreateSchedule, PutSchedule, ScheduleList, ScheduleView } from '../contract/schedule-schemas.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { pause, resume } from '../domain/schedule-steps.ts';
import type { Schedule, ScheduleId } from '../domain/schedules.ts';
import { nextInstant } from '../domain/timing.ts';
import { scheduleReferenceOf } from '../store/schema.ts';
import { auditWrite, noteRefusal } from './audit-events.ts';
import { requireAllowed } from './decide-submission.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { requireSecrets } from './resolve-secrets.ts';
import { toTiming } from './schedule-timing.ts';
import { toScheduleSummary, toScheduleView } from './schedule-view.ts';
import { specify } from './specify.ts';
import { within } from './within.ts';

type Parts = Pick<Deps, 'schedules' | 'clock' | 'random' | 'auditLog' | 'targets' | 'pools' | 'secrets' | 'policies'>;
type View = z.output<typeof ScheduleView>;
type Body = z.output<typeof CreateSchedule>;

const ID_BYTES = 8;

/**
 * A schedule of the caller's, checked as its command would be now.
 * @throws AppError as a submission of its command would, its faults below /command; 'invalid-request' for times that cannot be read,
 * are too near, or never come; 'conflict' for too many schedules
 */
export const createSchedule = async (deps: Parts, actor: Actor, body: Body): Promise<View> => {
  const now = deps.clock.now();
  if ((await deps.schedules.count(actor.tenant, LIMITS.schedules)) >= LIMITS.schedules) {
    throw new AppError('conflict', `There are ${LIMITS.schedules} schedules, the most of a tenant. Remove some.`);
  }
  const terms = await toTerms(deps, actor, body, now);
  const schedule: Schedule = {
    ...terms,
    id: `sch_${deps.random.hex(ID_BYTES)}` as ScheduleId,
    tenant: actor.tenant,
    version: 1,
    paused: false,
    createdAt: now,
    createdBy: actor.id,
    next: nextInstant(terms.timing, now),
    waiting: [],
    open: [],
    history: [],
  };
  await deps.schedules.add(schedule, [auditWrite(deps, actor, 'schedule.put', schedule.id, detailsOf(schedule))]);
  return toScheduleView(schedule);
};

/**
 * Another in its place, the caller's own from now on: whoever says what is run answers for it with its own rights.
 * @throws AppError as `createSchedule`; 'not-found'; 'conflict' when `onVersion` is not the present one
 */
export const putSchedule = async (
  deps: Parts,
  actor: Actor,
  id: ScheduleId,
  { onVersion, ...body }: z.output<typeof PutSchedule>,
): Promise<View> => {
  const present = await requireSchedule(deps, actor, id);
  const now = deps.clock.now();
  const terms = await toTerms(deps, actor, body, now, present.createdAt);
  const put = (schedule: Schedule): Schedule => {
    if (onVersion !== undefined && onVersion !== schedule.version) {
      const detail = `The schedule is of version ${schedule.version} by now, not ${onVersion}. Read it again.`;
      throw new AppError('conflict', detail, { faults: [{ in: 'body', pointer: '/onVersion', detail }] });
    }
    const next = schedule.paused ? undefined : nextInstant(terms.timing, now);
    return { ...schedule, ...terms, version: schedule.version + 1, next };
  };
  const event = auditWrite(deps, actor, 'schedule.put', id, detailsOf({ ...present, ...terms }));
  return toScheduleView(await change(deps, actor, id, put, event));
};

/** @throws AppError 'not-found' */
export const getSchedule = async (deps: Parts, actor: Actor, id: ScheduleId): Promise<View> =>
  toScheduleView(await requireSchedule(deps, actor, id));

/** Those within the caller's scope, by id. */
export const listSchedules = async (
  { schedules }: Pick<Parts, 'schedules'>,
  { tenant, scope }: Actor,
  query: PageQuery,
): Promise<z.output<typeof ScheduleList>> => {
  const { limit, after } = toPage(tenant, query);
  const found = await schedules.list(tenant, { limit, after });
  const ids = found.map(({ id }) => id);
  return {
    items: found.filter((one) => isInScope(scope, one)).map((one) => toScheduleSummary(one)),
    ...nextCursor(tenant, ids, limit),
  };
};

/** What it submitted goes on. @throws AppError 'not-found' */
export const removeSchedule = async (deps: Parts, actor: Actor, id: ScheduleId): Promise<void> => {
  await requireSchedule(deps, actor, id);
  const event = auditWrite(deps, actor, 'schedule.removed', id);
  await deps.schedules.remove(scheduleReferenceOf(actor.tenant, id), [event]);
};

/** @throws AppError 'not-found' */
export const pauseSchedule = async (deps: Parts, actor: Actor, id: ScheduleId): Promise<View> => {
  await requireSchedule(deps, actor, id);
  const now = deps.clock.now();
  const event = auditWrite(deps, actor, 'schedule.paused', id);
  const paused = (one: Schedule) => (one.paused ? undefined : pause(one, now));
  return toScheduleView(await change(deps, actor, id, paused, event));
};

/** @throws AppError 'not-found' */
export const resumeSchedule = async (deps: Parts, actor: Actor, id: ScheduleId): Promise<View> => {
  await requireSchedule(deps, actor, id);
  const now = deps.clock.now();
  const event = auditWrite(deps, actor, 'schedule.resumed', id);
  const resumed = (one: Schedule) => (one.paused ? resume(one, now) : undefined);
  return toScheduleView(await change(deps, actor, id, resumed, event));
};

/** @throws AppError 'not-found', the same for what is beyond the caller's scope or another tenant's as for what never was */
export const requireSchedule = async (
  { schedules }: Pick<Parts, 'schedules'>,
  { tenant, scope }: Actor,
  id: ScheduleId,
): Promise<Schedule> => {
  const schedule = await schedules.find(scheduleReferenceOf(tenant, id));
  if (schedule && isInScope(scope, schedule)) return schedule;
  throw noSchedule(id);
};

const change = async (
  { schedules }: Pick<Parts, 'schedules'>,
  { tenant }: Actor,
  id: ScheduleId,
  to: (schedule: Schedule) => Schedule | undefined,
  event: ReturnType<typeof auditWrite>,
): Promise<Schedule> => {
  const changed = await schedules.change(scheduleReferenceOf(tenant, id), to, [event]);
  if (!changed) throw noSchedule(id);
  return changed;
};

const noSchedule = (id: ScheduleId): AppError => {
  const detail = `There is no schedule ${id}.`;
  return new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

type Terms = Pick<
  Schedule,
  | 'name'
  | 'timing'
  | 'jitterSeconds'
  | 'overlap'
  | 'catchUp'
  | 'template'
  | 'spec'
  | 'member'
  | 'scope'
  | 'updatedAt'
  | 'lookAt'
>;

const toTerms = async (deps: Parts, actor: Actor, body: Body, now: number, anchor = now): Promise<Terms> => {
  requirePermission(actor, 'commands:submit');
  const timing = toTiming(body, anchor, now);
  const { template, spec } = await within('/command', () => requireTemplate(deps, actor, body.command));
  return {
    name: body.name ?? '',
    timing,
    jitterSeconds: body.jitterSeconds ?? 0,
    overlap: body.overlap ?? 'skip',
    catchUp: body.catchUp ?? 'last',
    template,
    spec,
    member: actor.id,
    scope: actor.scope,
    updatedAt: now,
    // What waits is looked at by the new rules.
    lookAt: now,
  };
};

/** With the labels of the caller's scope and the target of today: what is checked here is what is submitted later. */
const requireTemplate = async (
  deps: Parts,
  actor: Actor,
  submitted: SubmitCommand,
): Promise<{ readonly template: SubmitCommand; readonly spec: Schedule['spec'] }> => {
  if (submitted.stdin === 'open') throw fault('/stdin', 'must not be open: nobody is there to write it');
  if (submitted.terminal) throw fault('/terminal', 'must not be there: nobody is there to use it');
  const { body, spec, landings } = specify(deps, actor.scope, submitted);
  const template = { ...body, target: spec.target };
  if (Buffer.byteLength(JSON.stringify(template)) > LIMITS.scheduleTemplateBytes) {
    throw fault('', `must be at most ${LIMITS.scheduleTemplateBytes} bytes of JSON`);
  }
  await requireSecrets(deps, actor, body);
  try {
    await requireAllowed(deps, actor, { spec, landings });
  } catch (refusal) {
    if (refusal instanceof AppError && refusal.code === 'policy-denied') {
      await noteRefusal(deps, actor, 'command.denied', spec.target, { commandHash: hashOf(spec) });
    }
    throw refusal;
  }
  return { template, spec: { target: spec.target, labels: spec.labels } };
};

const fault = (pointer: string, detail: string): AppError =>
  new AppError('invalid-request', `/command${pointer}: ${detail}`, { faults: [{ in: 'body', pointer, detail }] });

const detailsOf = ({ template, timing, overlap, catchUp, spec: { target } }: Terms) => ({
  commandHash: hashOf(template),
  target,
  timing: timing.kind,
  overlap,
  catchUp,
});
