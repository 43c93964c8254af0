import { createHash } from 'node:crypto';
import type * as z from 'zod';
import { hashOf } from '../audit/chain.ts';
import type { AnswerApproval, ApprovalList, ApprovalView } from '../contract/policy-schemas.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import { type Approval, stateOf } from '../domain/approvals.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import type { Admission, CommandSpec } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Toll } from '../store/commands.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';

type Parts = Pick<Deps, 'approvals' | 'clock' | 'auditLog'>;
type View = z.output<typeof ApprovalView>;

interface Asked {
  readonly spec: CommandSpec;
  readonly id: CommandId;
  readonly because: string;
  readonly admission: Admission;
}

/**
 * The approval of just this command of just this caller, to be used up when it is stored.
 * @throws AppError 'approval-required' when there is none yet: then it was asked for; 'policy-denied' when it was rejected
 */
export const useOfApproval = async (
  deps: Parts,
  actor: Actor,
  { spec, id: command, because, admission }: Asked,
): Promise<{ readonly id: string; readonly toll: Toll }> => {
  const { approvals, clock } = deps;
  const { tenant } = actor;
  const now = clock.now();
  const id = approvalIdOf(actor, spec);
  const found = await approvals.find(tenant, id);
  const state = found && stateOf(found, now);
  if (state === 'approved') {
    const use = (latest: Approval | undefined): Approval => {
      if (latest && stateOf(latest, clock.now()) === 'approved') return { ...latest, usedFor: command };
      throw waiting(id, because, 'was just used for another command. Submit this again');
    };
    return { id, toll: async () => [await approvals.changeWrite(tenant, id, use)] };
  }
  if (state === 'rejected' && found && now < found.expiresAt) {
    const { comment } = found.answer ?? {};
    const why = comment === undefined ? '' : ` ${comment}`;
    throw new AppError('policy-denied', `${because} The approval ${id} was rejected.${why}`);
  }
  if (state !== 'pending') {
    const details = { commandHash: hashOf(spec), policy: admission };
    const event = auditWrite(deps, actor, 'approval.requested', id, details);
    await approvals.ask(tenant, newApproval(id, actor, spec, admission, now), [event]);
  }
  throw waiting(id, because, 'was asked for. Once it is approved, submit the same again');
};

const waiting = (id: string, because: string, what: string): AppError =>
  new AppError(
    'approval-required',
    `${because} The approval ${id} ${what}, within ${LIMITS.approvalSeconds / 60} minutes.`,
    {
      headers: { location: `/v1/approvals/${id}` },
    },
  );

/** All of what is asked, and who asks. */
const approvalIdOf = ({ tenant, id }: Actor, spec: CommandSpec): string =>
  `apr_${hashOf([tenant, id, spec]).slice(0, 32)}`;

const newApproval = (id: string, actor: Actor, spec: CommandSpec, admission: Admission, now: Instant): Approval => ({
  id,
  requestedBy: actor.id,
  requestedAt: now,
  expiresAt: now + LIMITS.approvalSeconds * 1_000,
  policyVersion: admission.version,
  ...(admission.rule === undefined ? {} : { rule: admission.rule }),
  request: {
    ...(spec.argv ? { argv: spec.argv } : {}),
    ...(spec.script === undefined ? {} : { script: spec.script, shell: spec.shell }),
    target: spec.target,
    ...(spec.failover ? { failover: spec.failover } : {}),
    ...(spec.image === undefined ? {} : { image: spec.image }),
    isolation: spec.isolation,
    envNames: Object.keys(spec.env),
    secrets: spec.secrets ?? {},
    timeoutSeconds: spec.timeoutSeconds,
    labels: spec.labels,
    ...(spec.stdin.kind === 'fixed'
      ? { stdinHash: createHash('sha256').update(Buffer.from(spec.stdin.base64, 'base64')).digest('hex') }
      : {}),
  },
});

/** @throws AppError 'not-found', also for one beyond the caller's scope */
export const getApproval = async (
  { approvals, clock }: Pick<Parts, 'approvals' | 'clock'>,
  actor: Actor,
  id: string,
): Promise<View> => {
  const found = await approvals.find(actor.tenant, id);
  if (!found || !isSeen(actor, found)) throw noApproval(id);
  return toView(found, clock.now());
};

const isSeen = ({ scope }: Actor, { request }: Approval): boolean => isInScope(scope, { spec: request });

export const listApprovals = async (
  { approvals, clock }: Pick<Parts, 'approvals' | 'clock'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof ApprovalList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await approvals.list(actor.tenant, { limit, after });
  return {
    items: found.filter((one) => isSeen(actor, one)).map((one) => toView(one, clock.now())),
    ...nextCursor(
      actor.tenant,
      found.map(({ id }) => id),
      limit,
    ),
  };
};

/**
 * An answer, which is final. A yes is good for as long again, for one command.
 * @throws AppError 'not-found'; 'forbidden' for one's own; 'conflict' when it was answered or is no longer to be
 */
export const answerApproval = async (
  deps: Parts,
  actor: Actor,
  id: string,
  { approve, comment }: z.output<typeof AnswerApproval>,
): Promise<View> => {
  const at = deps.clock.now();
  const event = auditWrite(deps, actor, 'approval.answered', id, { approved: approve });
  const answer = { approved: approve, by: actor.id, at, ...(comment === undefined ? {} : { comment }) };
  const change = (latest: Approval): Approval => {
    if (!isSeen(actor, latest)) throw noApproval(id);
    if (latest.requestedBy === actor.id) {
      throw new AppError('forbidden', 'Whoever asks for an approval cannot answer it; somebody else has to.');
    }
    const state = stateOf(latest, at);
    if (state !== 'pending') throw new AppError('conflict', `${id} is ${state}; it cannot be answered any more.`);
    return { ...latest, answer, expiresAt: at + LIMITS.approvalSeconds * 1_000 };
  };
  const answered = await deps.approvals.change(actor.tenant, id, change, [event]);
  if (!answered) throw noApproval(id);
  return toView(answered, at);
};

const noApproval = (id: string): AppError => {
  const detail = `There is no approval ${id}.`;
  return new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

const toView = (approval: Approval, now: Instant): View => {
  const { rule, request, answer, usedFor, requestedAt, expiresAt, ...same } = approval;
  return {
    ...same,
    state: stateOf(approval, now),
    requestedAt: toTimestamp(requestedAt),
    expiresAt: toTimestamp(expiresAt),
    rule: rule ?? null,
    request: request as View['request'],
    answeredBy: answer?.by ?? null,
    answeredAt: answer ? toTimestamp(answer.at) : null,
    comment: answer?.comment ?? null,
    usedFor: usedFor ?? null,
  };
};
