import { append, type LogEnd, rootOf } from '../audit/chain.ts';
import { signCheckpoint } from '../audit/signing.ts';
import type { AuditEvent, Checkpoint, SignedCheckpoint } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import { type CommandId, firstCommandId, isCommandId, type TenantId } from '../domain/ids.ts';
import type { LogHead, StoredEntry } from '../store/audit-log.ts';
import type { Deps } from './deps.ts';
import { nextInLog, READ_AT_ONCE } from './next-in-log.ts';
import { tenantsOf } from './tenants-of.ts';
import { watchActors } from './watch-actors.ts';

type Parts = Pick<
  Deps,
  | 'auditLog'
  | 'commands'
  | 'order'
  | 'principals'
  | 'clock'
  | 'log'
  | 'signer'
  | 'keepCheckpoint'
  | 'auditSettleSeconds'
>;

/** The next pass does the rest. */
const MOST_BATCHES = 200;
const CHECKPOINT_EVERY_SECONDS = 60;

/** Gives what happened its place in the logs of all tenants. Safe to run at any time, by any number at once. */
export const sealAudit = async (deps: Parts): Promise<void> => {
  for await (const tenant of tenantsOf(deps)) await trySealing(deps, tenant);
};

/** One tenant's log must not keep the others' waiting. */
const trySealing = (deps: Parts, tenant: TenantId): Promise<void> =>
  sealTenant(deps, tenant).catch((error: unknown) => deps.log.error('An audit log could not go on', { tenant, error }));

export interface SealOptions {
  /** Whether the log ends in a checkpoint. @default false */
  readonly checkpoint?: boolean;
  /** Of the commands whose end is not in the log, only these are looked at. @default all, in turns */
  readonly look?: readonly CommandId[];
}

/**
 * Gives what happened its place in a tenant's log: events that wait there, and what the records of commands say of their submission, their starts and their
 * end, which are written once and never change.
 */
export const sealTenant = async (
  deps: Parts,
  tenant: TenantId,
  { checkpoint = false, look }: SealOptions = {},
): Promise<void> => {
  // What is younger may still come in between: indexes lag, writes take time, and clocks differ.
  const settled = firstCommandId(deps.clock.now() - deps.auditSettleSeconds * 1_000);
  const pass: Pass = { checkpoint, to: (await deps.order.close(tenant)) ?? settled, look };
  for (let batch = 1; batch <= MOST_BATCHES; batch++) {
    if ((await sealBatch(deps, tenant, pass)) === 'done') return;
  }
};

interface Pass {
  readonly checkpoint: boolean;
  /** Commands up to what sorts so. */
  readonly to: string;
  /** Those that are left. */
  look: readonly CommandId[] | undefined;
}

const sealBatch = async (deps: Parts, tenant: TenantId, pass: Pass): Promise<'done' | 'more'> => {
  const { auditLog, commands, clock } = deps;
  const now = clock.now();
  const { head, version } = await auditLog.head(tenant);
  const [pending, turn, fresh] = await Promise.all([
    auditLog.pending(tenant, READ_AT_ONCE.pending),
    pass.look ? [] : auditLog.open(tenant, head.lookedAt, READ_AT_ONCE.open),
    commands.since(tenant, head.commandsTo, pass.to, READ_AT_ONCE.commands),
  ]);
  const named = [
    ...pending.flatMap(({ event }) => (isCommandId(event.subject) ? event.subject : [])),
    ...(pass.look ?? []),
  ];
  const inTurn = new Set(turn.map(({ id }) => id));
  const asked = [...new Set(named)].filter((id) => !inTurn.has(id)).slice(0, READ_AT_ONCE.open);
  const openNamed = await auditLog.openAmong(tenant, asked);
  const open = [...openNamed, ...turn];
  const records = await commands.findAll(
    tenant,
    open.map(({ id }) => id),
  );
  const { commandsTo } = head;
  const found = { pending, open, records: new Map(records.map((one) => [one.id, one])), fresh, commandsTo };
  const next = nextInLog(found);
  const happened = next.sealed.map(({ event }) => event);
  const { profiles, alerts } = await watchActors(deps, tenant, { events: happened, commands: next.taken });
  const { entries, end } = chain(tenant, head.end, [...next.events, ...alerts]);
  const lookedTo = turn[next.looked - openNamed.length - 1]?.id ?? head.lookedAt;
  const isTurnOver = !pass.look && turn.length < READ_AT_ONCE.open && next.looked === open.length;
  const lookedAt = isTurnOver ? undefined : lookedTo;
  const left = pass.look?.filter((id) => !asked.includes(id) || open.slice(next.looked).some((one) => one.id === id));
  const isMore = next.isMore || turn.length === READ_AT_ONCE.open || (left ?? []).length > 0;
  const isDue = pass.checkpoint || now - (head.checkpointedAt ?? 0) >= CHECKPOINT_EVERY_SECONDS * 1_000;
  const signed = !isMore && isDue && end.size > head.checkpointed ? await sign(deps, tenant, end) : undefined;
  if (entries.length === 0 && !signed && lookedAt === head.lookedAt) {
    pass.look = left;
    return (left ?? []).length > 0 ? 'more' : 'done';
  }
  const isStored = await auditLog.extend(tenant, version, {
    entries,
    head: {
      ...nextHead(head, end, { lookedAt, commandsTo: next.taken.at(-1)?.id }),
      ...(signed ? { checkpointed: end.size, checkpointedAt: now } : {}),
    },
    sealed: next.sealed.map(({ id }) => id),
    opened: next.opened,
    moved: next.moved,
    ended: next.ended,
    checkpoint: signed,
    profiles,
  });
  if (!isStored) return 'more';
  pass.look = left;
  tell(deps, tenant, alerts);
  if (signed) await keep(deps, signed);
  return isMore ? 'more' : 'done';
};

/** Also to whoever watches the operator's log. */
const tell = ({ log }: Pick<Parts, 'log'>, tenant: TenantId, alerts: readonly AuditEvent[]): void => {
  for (const { actor, subject, details } of alerts) {
    log.warn('Something looks wrong', { tenant, actor: actor.id, subject, ...details });
  }
};

const chain = (tenant: TenantId, from: LogEnd, events: readonly AuditEvent[]) => {
  const entries: StoredEntry[] = [];
  let end = from;
  for (const event of events) {
    const appended = append(tenant, end, event);
    end = appended.end;
    entries.push({ entry: appended.entry, hash: end.hash });
  }
  return { entries, end };
};

/** Those that have not ended are looked at in turns, so that no number of them hides one that has. */
const nextHead = (
  head: LogHead,
  end: LogEnd,
  { lookedAt, commandsTo = head.commandsTo }: { readonly [K in 'lookedAt' | 'commandsTo']: LogHead[K] | undefined },
): LogHead => {
  const { lookedAt: _, ...same } = head;
  return { ...same, end, ...(lookedAt ? { lookedAt } : {}), ...(commandsTo ? { commandsTo } : {}) };
};

/** The next one covers what this one does. */
const keep = (deps: Parts, signed: SignedCheckpoint): Promise<void> =>
  deps
    .keepCheckpoint(signed)
    .catch((error: unknown) => deps.log.error('A checkpoint could not be put where it is safe', { error }));

const sign = async ({ signer, clock }: Pick<Parts, 'signer' | 'clock'>, tenant: TenantId, end: LogEnd) => {
  const { size, hash } = end;
  const checkpoint: Checkpoint = { v: 1, tenant, size, hash, root: rootOf(end), at: toTimestamp(clock.now()) };
  return signCheckpoint(await signer(), checkpoint);
};
