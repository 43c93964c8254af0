import { DEFAULT_TENANT } from '../access/rights.ts';
import { append, type LogEnd, rootOf } from '../audit/chain.ts';
import { signCheckpoint } from '../audit/signing.ts';
import type { AuditEvent, Checkpoint, SignedCheckpoint } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { type CommandId, type TenantId, toTenantId } from '../domain/ids.ts';
import type { LogHead, StoredEntry } from '../store/audit-log.ts';
import { keys } from '../store/schema.ts';
import { endOf, submissionOf } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { watchActors } from './watch-actors.ts';

type Parts = Pick<
  Deps,
  'auditLog' | 'commands' | 'principals' | 'clock' | 'log' | 'signer' | 'keepCheckpoint' | 'auditSettleSeconds'
>;

/** Of each kind in one write, which has 100 parts at most. */
const MOST_PENDING = 20;
const MOST_OPEN = 20;
const MOST_OPENED = 20;
const MOST_ACTORS = 10;
/** Those that have ended take no part of their own. */
const MOST_COMMANDS = 200;
/** The next pass does the rest. */
const MOST_BATCHES = 200;
const CHECKPOINT_EVERY_SECONDS = 60;
const TENANTS_PAGE = 100;

/** Gives what happened its place in the logs of all tenants. Safe to run at any time, by any number at once. */
export const sealAudit = async (deps: Parts): Promise<void> => {
  const { tenants } = deps.principals;
  await trySealing(deps, DEFAULT_TENANT);
  for (let after: string | undefined; ; ) {
    const found = await tenants.list(keys.tenant('' as TenantId).pk, { limit: TENANTS_PAGE, after });
    for (const { id } of found) {
      if (id !== DEFAULT_TENANT) await trySealing(deps, toTenantId(id));
    }
    after = found.at(-1)?.id;
    if (found.length < TENANTS_PAGE) return;
  }
};

/** One tenant's log must not keep the others' waiting. */
const trySealing = (deps: Parts, tenant: TenantId): Promise<void> =>
  sealTenant(deps, tenant).catch((error: unknown) => deps.log.error('An audit log could not go on', { tenant, error }));

/**
 * Gives what happened its place in a tenant's log: events that wait there, and what the records of commands say of their submission and their end, which
 * are written once and never change. With `checkpoint`, the log ends in one.
 */
export const sealTenant = async (deps: Parts, tenant: TenantId, { checkpoint = false } = {}): Promise<void> => {
  for (let batch = 1; batch <= MOST_BATCHES; batch++) {
    if ((await sealBatch(deps, tenant, checkpoint)) === 'done') return;
  }
};

const sealBatch = async (deps: Parts, tenant: TenantId, checkpoint: boolean): Promise<'done' | 'more'> => {
  const { auditLog, commands, clock } = deps;
  const now = clock.now();
  const { head, version } = await auditLog.head(tenant);
  // What is younger may still come in between: indexes lag, and writes take time.
  const settledAt = now - deps.auditSettleSeconds * 1_000;
  const [pending, openIds, found] = await Promise.all([
    auditLog.pending(tenant, MOST_PENDING),
    auditLog.open(tenant, head.lookedAt, MOST_OPEN),
    commands.since(tenant, head.commandsTo, settledAt, MOST_COMMANDS),
  ]);
  const fresh = asManyAsFit(found);
  const open = await commands.findAll(tenant, openIds);
  const ended = open.flatMap((command) => {
    const event = endOf(command);
    return event ? [{ id: command.id, event }] : [];
  });
  const { profiles, alerts } = await watchActors(deps, tenant, {
    events: pending.map(({ event }) => event),
    commands: fresh,
  });
  const events: AuditEvent[] = [
    ...pending.map(({ event }) => event),
    ...ended.map(({ event }) => event),
    ...fresh.flatMap((command) => [submissionOf(command), endOf(command) ?? []].flat()),
    ...alerts,
  ];
  const { entries, end } = chain(tenant, head.end, events);
  const isMore =
    pending.length === MOST_PENDING ||
    openIds.length === MOST_OPEN ||
    found.length === MOST_COMMANDS ||
    fresh.length < found.length;
  const next = nextHead(head, end, { openIds, fresh });
  const isDue = checkpoint || now - (head.checkpointedAt ?? 0) >= CHECKPOINT_EVERY_SECONDS * 1_000;
  const signed = !isMore && isDue && end.size > head.checkpointed ? await sign(deps, tenant, end) : undefined;
  if (entries.length === 0 && !signed && next.lookedAt === head.lookedAt) return 'done';
  const isStored = await auditLog.extend(tenant, version, {
    entries,
    head: signed ? { ...next, checkpointed: end.size, checkpointedAt: now } : next,
    sealed: pending.map(({ id }) => id),
    opened: fresh.filter((command) => !endOf(command)).map(({ id }) => id),
    ended: ended.map(({ id }) => id),
    checkpoint: signed,
    profiles,
  });
  if (isStored) tell(deps, tenant, alerts);
  if (isStored && signed) await keep(deps, signed);
  return isStored && !isMore ? 'done' : 'more';
};

/** As many of the first as fit into one write, by what each takes of it. */
const asManyAsFit = (commands: readonly Command[]): readonly Command[] => {
  let open = 0;
  const actors = new Set<string>();
  const at = commands.findIndex(
    ({ status, submittedBy }) =>
      (!isFinal(status) && ++open > MOST_OPENED) || actors.add(submittedBy).size > MOST_ACTORS,
  );
  return at < 0 ? commands : commands.slice(0, at);
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
  { openIds, fresh }: { readonly openIds: readonly CommandId[]; readonly fresh: readonly Command[] },
): LogHead => {
  const { lookedAt: _, ...same } = head;
  const lookedAt = openIds.length === MOST_OPEN ? openIds.at(-1) : undefined;
  const commandsTo = fresh.at(-1)?.id ?? head.commandsTo;
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
