import { actorOfMember } from '../access/rights.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { Instant } from '../domain/clock.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { lookAtSchedule, queueUp, settle } from '../domain/schedule-steps.ts';
import { dueAtOf, type Firing, type Schedule } from '../domain/schedules.ts';
import type { TraceContext } from '../domain/trace-context.ts';
import type { Idempotency } from '../store/commands.ts';
import { type ScheduleReference, scheduleReferenceOf } from '../store/schema.ts';
import type { Write } from '../store/store.ts';
import { firingSpanId, firingSpanOf } from '../telemetry/firing-spans.ts';
import { withinTrace } from '../telemetry/trace-scope.ts';
import { auditWrite } from './audit-events.ts';
import { cancelCommand } from './cancel-command.ts';
import type { Deps } from './deps.ts';
import { submitCommand, withdrawSubmission } from './submit-command.ts';

/** More than one look can have to do: what was missed, and what waited. */
const MOST_STEPS = 2 * (LIMITS.scheduleCatchUp + LIMITS.scheduleWaiting);
/** What was submitted is noted at once if it can be: somebody whose clock is wrong may pass its instant, and then nobody comes back to it. */
const NOTE_TRIES = 5;
const NOTE_PAUSE_MS = 1_000;
/** A fault of ours is tried again for so long; then it is a refusal, so that it does not keep a schedule for ever. */
const RETRIED_MS = 10 * 60_000;

/**
 * Fires what of a schedule is due, instant after instant. Safe to run twice, and by several at once: whatever of them submits first, the
 * others' submissions of that instant are the same one; then the schedule goes on to its next by compare-and-set.
 * Resolves with when it must be looked at next.
 * @throws whatever kept it from firing; the next look tries again
 */
export const fireSchedule = async (deps: Deps, reference: ScheduleReference): Promise<Instant | undefined> => {
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const schedule = await deps.schedules.find(reference);
    if (!schedule) return undefined;
    const now = deps.clock.now();
    const look = lookAtSchedule(schedule, now);
    if (look.kind === 'nothing') return dueAtOf(schedule);
    const at = look.kind === 'fire' ? look.at : await begunBefore(deps, schedule);
    // Whoever was faster passed the same instants: all are told from the same record.
    if (at === undefined) {
      await deps.schedules.change(reference, (latest) =>
        latest.next === schedule.next && latest.version === schedule.version ? lookAgain(latest, now) : undefined,
      );
    } else await fire(deps, schedule, at);
  }
  return deps.clock.now();
};

const lookAgain = (latest: Schedule, now: Instant): Schedule | undefined => {
  const look = lookAtSchedule(latest, now);
  return look.kind === 'pass' ? look.schedule : undefined;
};

/** What makes all tries of one firing the same submission. No caller's key can be the same: those are kept as digests. */
const idempotencyOf = ({ id }: Schedule, at: Instant): Idempotency => {
  const key = `${id}-${at}`;
  // Longer than an instant is ever fired after it passed, and a day more for clocks that differ.
  return { keyHash: key, bodyHash: key, expiresAt: at + (LIMITS.scheduleCatchUpDays + 1) * 86_400_000 };
};

/** Its owner, with the rights of now. */
export const actorOfSchedule = (deps: Pick<Deps, 'principals'>, schedule: Schedule): Promise<Actor | undefined> =>
  actorOfMember(deps.principals, schedule.tenant, {
    id: schedule.member,
    scope: schedule.scope,
    credential: { kind: 'schedule', id: schedule.id },
  });

const fire = async (deps: Deps, schedule: Schedule, at: Instant): Promise<void> => {
  const reference = scheduleReferenceOf(schedule.tenant, schedule.id);
  const idempotency = idempotencyOf(schedule, at);
  const { tracing } = deps;
  const lookedAt = deps.clock.now();
  // Whatever led here, it is the start of a trace.
  const begun = tracing.exports
    ? await tracing.begin(undefined, 'fire schedule', firingSpanId(schedule, at))
    : undefined;
  const { open, ended } = await openOf(deps, schedule);
  const isBehind = schedule.overlap === 'queue' && schedule.waiting.length > 0 && schedule.waiting[0] !== at;
  const actor = await actorOfSchedule(deps, schedule);
  const store = async (
    decided: Omit<Firing, 'at' | 'decidedAt'>,
    { alongside = [], trace = begun }: { readonly alongside?: readonly Write[]; readonly trace?: TraceContext } = {},
  ) => {
    const firing: Firing = { at, decidedAt: deps.clock.now(), ...decided };
    let isNews = false;
    await deps.schedules.change(
      reference,
      (latest) => {
        const next = settle(without(latest, ended), firing);
        isNews = next !== undefined;
        return next;
      },
      alongside,
    );
    if (isNews && trace) tracing.record(firingSpanOf(schedule, firing, { trace, lookedAt }));
  };
  const isHeldUp = open.length > 0 || isBehind;
  // Before an instant is told to be anything but submitted, here and below, it is withdrawn.
  const withdraw = () => withdrawSubmission(deps, schedule.tenant, idempotency);
  if (isHeldUp && schedule.overlap === 'skip') {
    if (!(await withdraw())) {
      return store({ outcome: 'skipped', reason: 'overlap', detail: `${open[0]?.id} had not ended.` });
    }
  } else if (isHeldUp && !(await wasSubmitted(deps, schedule, idempotency))) {
    if (schedule.overlap === 'queue') {
      await deps.schedules.change(reference, (latest) => queueUp(without(latest, ended), at, deps.clock.now()));
      return;
    }
    if (actor) await cancelAll(deps, actor, open);
  }
  try {
    const { id, trace } = await withinTrace(begun, () => submit(deps, schedule, actor, { idempotency, at }));
    // Of one that was submitted before, the trace of then.
    const within = begun && trace ? { trace } : {};
    await persistently(deps, () => store({ outcome: 'submitted', command: id }, within));
  } catch (error) {
    const refusal = refusalOf(error, deps.clock.now() - at);
    if (!refusal) throw error;
    if (!(error instanceof AppError)) deps.log.error('A schedule could not be fired', { reference, error });
    const command = await withdraw();
    if (command) return store({ outcome: 'submitted', command });
    const { reason } = refusal;
    const details = { at: new Date(at).toISOString(), reason };
    const event = auditWrite(deps, actor ?? gone(schedule), 'schedule.refused', schedule.id, details);
    await store(refusal, { alongside: [event] });
  }
};

const persistently = async ({ clock, closing }: Pick<Deps, 'clock' | 'closing'>, act: () => Promise<unknown>) => {
  for (let tries = 1; ; tries++) {
    try {
      return await act();
    } catch (error) {
      const isPassing = error instanceof AppError && error.code === 'unavailable';
      if (!isPassing || tries === NOTE_TRIES || closing.aborted) throw error;
      await clock.sleep(NOTE_PAUSE_MS, closing);
    }
  }
};

const submit = async (
  deps: Deps,
  schedule: Schedule,
  actor: Actor | undefined,
  { idempotency, at }: { readonly idempotency: Idempotency; readonly at: Instant },
): Promise<Command> => {
  const submitter = requireSubmitter(schedule, actor);
  const body = schedule.template as SubmitCommand;
  const scheduledBy = { schedule: schedule.id, at };
  const { command } = await submitCommand(deps, submitter, { body, idempotency, scheduledBy });
  return command;
};

/** @throws AppError 'forbidden' when the member that it belongs to may not submit any more */
export const requireSubmitter = ({ member }: Schedule, actor: Actor | undefined): Actor => {
  if (actor?.permissions.has('commands:submit')) return actor;
  const why = actor ? 'may not submit commands any more' : 'is gone or disabled, or its tenant is suspended';
  throw new AppError('forbidden', `The schedule’s member ${member} ${why}. Whoever puts the schedule again owns it.`);
};

/** What cannot be retried, or was for long enough. */
const refusalOf = (error: unknown, lateMs: number): Omit<Firing, 'at' | 'decidedAt'> | undefined => {
  // Somebody withdrew it, who did not come to say so.
  if (error instanceof AppError && error.code === 'conflict') {
    return {
      outcome: 'refused',
      reason: 'unavailable',
      detail: 'It was given up by a process that failed, or whose clock was wrong.',
    };
  }
  if (error instanceof AppError && error.code !== 'unavailable') {
    return { outcome: 'refused', reason: error.code, detail: error.message.slice(0, LIMITS.detailCharacters) };
  }
  if (lateMs < RETRIED_MS) return undefined;
  return { outcome: 'refused', reason: 'unavailable', detail: 'It failed again and again; the server’s log says why.' };
};

/** For the audit log, when nobody is left whose rights could be asked for. */
const gone = ({ member, tenant, id, scope }: Schedule): Actor => ({
  ...{ id: member, tenant, scope },
  role: 'none',
  permissions: new Set(),
  credential: { kind: 'schedule', id },
});

/** Of its commands those that have not ended, and those that have or are no longer kept. */
const openOf = async (
  { commands }: Pick<Deps, 'commands'>,
  { tenant, open: ids, overlap }: Schedule,
): Promise<{ readonly open: readonly Command[]; readonly ended: readonly CommandId[] }> => {
  if (overlap === 'allow') return { open: [], ended: ids };
  const open = (await commands.findAll(tenant, ids)).filter(({ status }) => !isFinal(status));
  return { open, ended: ids.filter((id) => !open.some((one) => one.id === id)) };
};

const without = (latest: Schedule, ended: readonly CommandId[]): Schedule => ({
  ...latest,
  open: latest.open.filter((id) => !ended.includes(id)),
});

const wasSubmitted = async (
  { commands, clock }: Pick<Deps, 'commands' | 'clock'>,
  { tenant }: Schedule,
  idempotency: Idempotency,
): Promise<boolean> => (await commands.findRepeated(tenant, idempotency, clock.now())) !== undefined;

/** The next instant, if it was submitted before: missed it was not. */
const begunBefore = async (deps: Deps, schedule: Schedule): Promise<Instant | undefined> => {
  const { next, tenant } = schedule;
  if (next === undefined) return undefined;
  return (await withdrawSubmission(deps, tenant, idempotencyOf(schedule, next))) ? next : undefined;
};

const cancelAll = async (deps: Deps, actor: Actor, open: readonly Command[]): Promise<void> => {
  for (const { id } of open) {
    await cancelCommand(deps, actor, id).catch((error: unknown) => {
      // It has ended meanwhile, or is not this member's to end.
      if (!(error instanceof AppError) || error.code === 'unavailable') throw error;
    });
  }
};
