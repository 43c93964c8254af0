import { createHash } from 'node:crypto';
import { hashOf } from '../audit/chain.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import type { Instant } from '../domain/clock.ts';
import type { Command } from '../domain/command.ts';
import { AppError, type Fault } from '../domain/errors.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { hasQuotas } from '../domain/quotas.ts';
import type { SessionId } from '../domain/sessions.ts';
import type { TraceContext } from '../domain/trace-context.ts';
import type { Watch } from '../events/changes.ts';
import { Overtaken } from '../store/command-order.ts';
import { allOf, type Idempotency } from '../store/commands.ts';
import { type Reference, referenceOf } from '../store/schema.ts';
import { spanIdOf } from '../telemetry/command-spans.ts';
import { currentTrace } from '../telemetry/trace-scope.ts';
import { askBefore, noteAsked } from './answers.ts';
import { noteRefusal } from './audit-events.ts';
import { type Admitted, decideSubmission } from './decide-submission.ts';
import type { Deps } from './deps.ts';
import { noteChange } from './note-change.ts';
import { requireSecrets } from './resolve-secrets.ts';
import { specify } from './specify.ts';

export interface Submission {
  readonly body: SubmitCommand;
  /** The caller's own key, to make a repeated request the same one. */
  readonly idempotencyKey?: string | undefined;
  readonly replayOf?: CommandId;
  /** The schedule that submits it, and for which instant. */
  readonly scheduledBy?: Command['scheduledBy'];
  /** Whose shell runs it. */
  readonly session?: SessionId;
  /** The trigger that submits it, and for which delivery. */
  readonly triggeredBy?: Command['triggeredBy'];
  /** The node of a workflow that it is of. */
  readonly workflow?: Command['workflow'];
  /** Called once it is stored, and before anything could happen to it. Not for a repetition. */
  readonly stored?: (id: CommandId) => void;
  /** In place of a key: what else makes a repetition the same submission. */
  readonly idempotency?: Idempotency;
  /** Whether the caller will wait for the end. */
  readonly watched?: boolean;
}

/** What the caller is told: the command, whether this request was a repeated one, and whether it asked for an earlier result and got it. */
export interface Submitted {
  readonly command: Command;
  readonly repeated: boolean;
  /** Only where the submission had `cacheSeconds`. */
  readonly cache?: 'hit' | 'miss';
  /** Of its record, begun before anything could happen to it; the caller disposes of it. Only with `watched`. */
  readonly watch?: Watch | undefined;
}

/**
 * Stores a command durably and wakes a worker. Nothing is stored when it throws.
 * @throws AppError 'invalid-request' for an unknown target or secret; 'forbidden' for labels, targets or secrets beyond the caller's rights; 'unsupported-by-target' and
 * 'isolation-unavailable' for what the target cannot do; 'policy-denied' and 'approval-required' by the tenant's policy; 'idempotency-mismatch' for a key that was used with another body;
 * 'quota-exceeded' when its tenant has used what it may
 */
export const submitCommand = async (deps: Deps, actor: Actor, submission: Submission): Promise<Submitted> => {
  for (;;) {
    try {
      return await submitWithAnId(deps, actor, submission);
    } catch (error) {
      // While it was decided about, the audit log went on past its id. Nothing is stored yet.
      if (!(error instanceof Overtaken)) throw error;
    }
  }
};

const submitWithAnId = async (deps: Deps, actor: Actor, submission: Submission): Promise<Submitted> => {
  const { idempotencyKey, replayOf, scheduledBy, triggeredBy, workflow, session, watched = false } = submission;
  const { body, spec, landings } = specify(deps, actor.scope, submission.body);
  await requireSecrets(deps, actor, body);
  const now = deps.clock.now();
  const id = await deps.order.next(actor.tenant);
  using _ = deps.order.expect(actor.tenant, id);
  const idempotency: Idempotency | undefined =
    idempotencyKey === undefined
      ? submission.idempotency
      : {
          keyHash: sha256(idempotencyKey),
          bodyHash: hashOf([replayOf ?? null, body, ...(session === undefined ? [] : [session])]),
          expiresAt: now + LIMITS.idempotencySeconds * 1_000,
        };
  let admitted: Admitted;
  try {
    admitted = await decideSubmission(deps, actor, { spec, landings, id });
  } catch (refusal) {
    // What was let in once is answered as it was, whatever has changed since.
    const earlier = idempotency && (await findStored(deps, actor, idempotency, now));
    if (!earlier) {
      if (refusal instanceof AppError && refusal.code === 'policy-denied') {
        await noteRefusal(deps, actor, 'command.denied', spec.target, { commandHash: hashOf(spec) });
      }
      throw refusal;
    }
    return { command: await repeatedCommand(deps, actor, earlier), repeated: true };
  }
  const asked =
    replayOf === undefined && !scheduledBy && !triggeredBy ? await askBefore(deps, actor, spec, now) : undefined;
  if (asked?.answer) {
    const earlier = idempotency && (await deps.commands.findRepeated(actor.tenant, idempotency, now));
    if (earlier) return { command: await repeatedCommand(deps, actor, earlier), repeated: true };
    return { command: asked.answer, repeated: false, cache: 'hit' };
  }
  const trace = await traceOf(deps, { tenant: actor.tenant, id });
  const expiresAt = now + spec.queueTtlSeconds * 1_000;
  const quota = hasQuotas(actor.limits) ? deps.meter.submission(actor.tenant, actor.limits) : undefined;
  const command: Command = {
    id,
    tenant: actor.tenant,
    spec,
    status: 'queued',
    submittedBy: actor.id,
    submittedWith: {
      role: actor.role,
      credential: actor.credential,
      ...(actor.place === undefined ? {} : { place: actor.place }),
    },
    submittedAt: now,
    dueAt: Math.min(expiresAt, now + deps.rules.requeueSeconds * 1_000),
    expiresAt,
    signals: [],
    attempts: [],
    ...(replayOf === undefined ? {} : { replayOf }),
    ...(scheduledBy ? { scheduledBy } : {}),
    ...(session === undefined ? {} : { session }),
    ...(triggeredBy ? { triggeredBy } : {}),
    ...(workflow ? { workflow } : {}),
    ...(admitted.admission ? { policy: admitted.admission } : {}),
    ...(quota ? { metered: true } : {}),
    ...(trace ? { trace } : {}),
  };
  const added = await deps.commands.add(
    command,
    idempotency,
    now,
    allOf(quota, admitted.toll, deps.order.toll(actor.tenant, id)),
  );
  if (added.kind === 'repeated') return { command: await repeatedCommand(deps, actor, added), repeated: true };
  const { stored } = added;
  submission.stored?.(stored.command.id);
  const reference = referenceOf(actor.tenant, stored.command.id);
  const watch = watched ? deps.changes.watch(reference, ['record']) : undefined;
  deps.changes.announce(reference, 'record');
  noteChange(deps, undefined, stored.command);
  await wake(deps, stored.command);
  if (asked) await noteAsked(deps, asked, stored.command);
  return { command: stored.command, repeated: false, watch, ...(asked ? { cache: 'miss' } : {}) };
};

/**
 * Gives a submission up: nobody stores its command any more, who may be just about to. Resolves with the command, if somebody has stored it
 * already, who may not have lived to say so.
 */
export const withdrawSubmission = async (
  { commands, order, clock }: Pick<Deps, 'commands' | 'order' | 'clock'>,
  tenant: TenantId,
  idempotency: Idempotency,
): Promise<CommandId | undefined> =>
  commands.withdraw(tenant, idempotency, { id: await order.next(tenant), now: clock.now() });

/** What a key was used for. One that is taken by a request whose command is stored in a moment was used for nothing yet. */
const findStored = async ({ commands }: Deps, { tenant }: Actor, idempotency: Idempotency, now: Instant) => {
  const earlier = await commands.findRepeated(tenant, idempotency, now);
  return earlier && (await commands.find(referenceOf(tenant, earlier.id))) ? earlier : undefined;
};

const repeatedCommand = async (
  deps: Deps,
  { tenant, scope }: Actor,
  { id, sameBody }: { id: CommandId; sameBody: boolean },
): Promise<Command> => {
  if (!sameBody) {
    const detail = `This Idempotency-Key was used for ${id} with another body. Use a new key for a new command.`;
    const faults: Fault[] = [{ in: 'header', pointer: '/idempotency-key', detail }];
    throw new AppError('idempotency-mismatch', detail, { faults });
  }
  const stored = await deps.commands.find(referenceOf(tenant, id));
  if (!stored || !isInScope(scope, stored.command)) {
    throw new AppError('conflict', `${id}, submitted with this Idempotency-Key, is no longer kept.`);
  }
  return stored.command;
};

/** What it is submitted within; without that, where traces are told of, it is the start of one. */
const traceOf = async (
  { tracing }: Pick<Deps, 'tracing'>,
  command: Pick<Command, 'tenant' | 'id'>,
): Promise<TraceContext | undefined> =>
  currentTrace() ?? (tracing.exports ? tracing.begin(undefined, 'command', spanIdOf(command, 'command')) : undefined);

/** The command is stored, so it will run: a queue that fails only makes it wait for the sweeper. */
const wake = async (deps: Deps, { id, tenant, spec }: Command): Promise<void> => {
  const reference: Reference = referenceOf(tenant, id);
  await deps.queue
    .send({ v: 1, id: reference }, { priority: spec.priority })
    .catch((error: unknown) =>
      deps.log.warn('A wake-up was not sent; the sweeper will find the command', { reference, error }),
    );
};

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
