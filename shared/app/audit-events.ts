import { hashOf } from '../audit/chain.ts';
import type { Actor } from '../domain/actor.ts';
import type { AuditEvent, AuditType } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import { type Command, isFinal } from '../domain/command.ts';
import type { CommandId } from '../domain/ids.ts';
import type { Write } from '../store/store.ts';
import type { Deps } from './deps.ts';

type Parts = Pick<Deps, 'auditLog' | 'clock'>;

/** What an actor did, to be written with it. */
export const auditWrite = (
  deps: Parts,
  actor: Actor,
  ...[type, subject, details = {}]: readonly [type: AuditType, subject: string, details?: AuditEvent['details']]
): Write => deps.auditLog.eventWrite(actor.tenant, eventOf(deps, actor, type, subject, details));

/** That an actor was refused, which changes nothing else. */
export const noteRefusal = (
  deps: Parts,
  actor: Actor,
  ...[type, subject, details = {}]: readonly [type: AuditType, subject: string, details?: AuditEvent['details']]
): Promise<void> => deps.auditLog.note(actor.tenant, eventOf(deps, actor, type, subject, details));

/** That an actor may from now on do to a command what nobody writes down: what is typed on its terminal. */
export const noteAttached = (deps: Parts, actor: Actor, id: CommandId): Promise<void> =>
  deps.auditLog.note(actor.tenant, eventOf(deps, actor, 'command.attached', id, {}));

const eventOf = (
  { clock }: Pick<Parts, 'clock'>,
  { id, role, credential }: Actor,
  type: AuditType,
  subject: string,
  details: AuditEvent['details'],
): AuditEvent => ({ type, at: toTimestamp(clock.now()), actor: { id, role, credential }, subject, details });

/** What the record of a command says of its submission. */
export const submissionOf = (command: Command): AuditEvent => {
  const { id, spec, submittedBy, submittedWith, submittedAt, policy, replayOf, scheduledBy, triggeredBy, workflow } =
    command;
  const { session } = command;
  return {
    type: 'command.submitted',
    at: toTimestamp(submittedAt),
    actor: {
      id: submittedBy,
      ...(submittedWith ? { role: submittedWith.role, credential: submittedWith.credential } : {}),
    },
    subject: id,
    details: {
      commandHash: hashOf(spec),
      target: spec.target,
      ...(spec.failover ? { failover: spec.failover } : {}),
      isolation: spec.isolation,
      ...(spec.image === undefined ? {} : { image: spec.image }),
      ...(spec.secrets ? { secrets: Object.values(spec.secrets) } : {}),
      ...(policy ? { policy } : {}),
      ...(replayOf === undefined ? {} : { replayOf }),
      ...(scheduledBy ? { schedule: scheduledBy.schedule } : {}),
      ...(session === undefined ? {} : { session }),
      ...(triggeredBy ? { trigger: triggeredBy.trigger } : {}),
      ...(workflow ? { workflow: workflow.id, node: workflow.node } : {}),
    },
  };
};

/** What it says of the starts of its attempts after one. */
export const startsOf = ({ id, submittedBy, attempts }: Command, after: number): readonly AuditEvent[] =>
  attempts.flatMap(({ number, target, startedAt }) =>
    startedAt === undefined || number <= after
      ? []
      : {
          type: 'command.started' as const,
          at: toTimestamp(startedAt),
          actor: { id: submittedBy },
          subject: id,
          details: { attempt: number, target },
        },
  );

/** What it says of its end; undefined before. */
export const endOf = ({
  id,
  spec,
  status,
  submittedBy,
  endedAt,
  result,
  attempts,
}: Command): AuditEvent | undefined => {
  if (!isFinal(status) || endedAt === undefined) return undefined;
  return {
    type: 'command.ended',
    at: toTimestamp(endedAt),
    actor: { id: submittedBy },
    subject: id,
    details: {
      status,
      target: spec.target,
      attempts: attempts.length,
      ...(result
        ? {
            exitCode: result.exitCode,
            signal: result.signal,
            reason: result.reason,
            durationMs: result.durationMs,
            resultHash: hashOf(result),
          }
        : {}),
    },
  };
};
