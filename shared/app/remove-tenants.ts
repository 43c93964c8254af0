import { DEFAULT_TENANT } from '../access/rights.ts';
import type { AuditEvent } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import { type Command, isFinal } from '../domain/command.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import type { Removal } from '../domain/principals.ts';
import type { LogHead } from '../store/audit-log.ts';
import { keys, referenceOf } from '../store/schema.ts';
import { perform } from './advance-command.ts';
import type { Deps } from './deps.ts';
import { observeCommand } from './observe-command.ts';
import { sealTenant } from './seal-audit.ts';

const AT_ONCE = 8;
/** The others come when these are done. */
const MOST_TENANTS = 100;
const OPEN_PAGE = 100;

/**
 * Carries on the removal of tenants: cancels what has not ended, brings the audit log to its end, erases the rest, and leaves a
 * tombstone. Safe to run at any time, by any number at once, and again after a crash anywhere: what is to be done is read from
 * what is there. After so many seconds the next run goes on.
 */
export const removeTenants = async (deps: Deps, { seconds }: { readonly seconds: number }): Promise<void> => {
  const until = deps.clock.now() + seconds * 1_000;
  const removals = await deps.principals.removals.list(keys.removal('' as TenantId).pk, { limit: MOST_TENANTS });
  for (const removal of removals) {
    await carryOn(deps, removal, until).catch((error: unknown) =>
      deps.log.error('The removal of a tenant could not go on', { tenant: removal.tenant, error }),
    );
  }
};

const carryOn = async (deps: Deps, removal: Removal, until: number): Promise<void> => {
  const { tenant, requestedAt } = removal;
  // Then all that has not ended is known to the log as open, and nothing is erased of which it has yet to tell.
  await sealTenant(deps, tenant);
  const log = await readLog(deps, tenant);
  const unfinished = await cancelUnfinished(deps, removal, log, until);
  const isSettled = deps.clock.now() >= requestedAt + deps.removalSettleSeconds * 1_000;
  const { erased, left } = isSettled ? await eraseEnded(deps, tenant, log, until) : { erased: 0, left: 1 };
  if (left > 0) return note(deps, removal, { unfinished, erased });
  await finish(deps, { ...removal, erased: removal.erased + erased });
};

/** Where a tenant's log stands: what it tells of up to which command, and which of those had not ended. */
interface Told {
  readonly head: LogHead;
  readonly open: ReadonlySet<CommandId>;
}

const readLog = async ({ auditLog }: Pick<Deps, 'auditLog'>, tenant: TenantId): Promise<Told> => {
  const { head } = await auditLog.head(tenant);
  const open = new Set<CommandId>();
  for (let after: CommandId | undefined; ; ) {
    const ids = (await auditLog.open(tenant, after, OPEN_PAGE)).map(({ id }) => id);
    for (const id of ids) open.add(id);
    after = ids.at(-1);
    if (ids.length < OPEN_PAGE) return { head, open };
  }
};

/** Whether nothing of it runs, nor is left at a provider. */
const isOver = ({ status, dueAt }: Command): boolean => isFinal(status) && dueAt === undefined;

/** Cancels what has not ended. Resolves with how many commands are not over by then. */
const cancelUnfinished = async (deps: Deps, removal: Removal, { head, open }: Told, until: number): Promise<number> => {
  const { tenant } = removal;
  let unfinished = 0;
  const cancelAll = (commands: readonly Command[]): Promise<void> =>
    forEach(deps, commands, async (command) => {
      unfinished++;
      if (isOver(command) || isOver(await cancel(deps, removal, command))) unfinished--;
    });
  const ids = [...open];
  for (let at = 0; at < ids.length && deps.clock.now() <= until; at += OPEN_PAGE) {
    await cancelAll(await deps.commands.findAll(tenant, ids.slice(at, at + OPEN_PAGE)));
  }
  // What the log does not tell of yet.
  for await (const page of deps.commands.pages(tenant, head.commandsTo)) {
    await cancelAll(page);
    if (deps.clock.now() > until) break;
  }
  return unfinished;
};

/** Of one that was asked to end before, the rest is seen to as of any other. */
const cancel = async (deps: Deps, { tenant, requestedBy: actor }: Removal, command: Command): Promise<Command> => {
  const { id } = command;
  if (isFinal(command.status) || command.cancelRequestedAt !== undefined) return command;
  const at = toTimestamp(deps.clock.now());
  const event: AuditEvent = { type: 'command.cancel-requested', at, actor, subject: id, details: {} };
  const reference = referenceOf(tenant, id);
  const alongside = [deps.auditLog.eventWrite(tenant, event)];
  const moved = await observeCommand(deps, reference, { kind: 'cancel-requested' }, { alongside });
  await perform(deps, reference, moved);
  return moved?.stored.command ?? command;
};

/** Erases the commands that are over and in the log with their end. `left`: others, and those for which there was no time. */
const eraseEnded = async (
  deps: Deps,
  tenant: TenantId,
  { head, open }: Told,
  until: number,
): Promise<{ readonly erased: number; readonly left: number }> => {
  const isTold = (id: CommandId): boolean => head.commandsTo !== undefined && id <= head.commandsTo && !open.has(id);
  let erased = 0;
  let left = 0;
  for await (const page of deps.commands.pages(tenant)) {
    await forEach(deps, page, async (command) => {
      left++;
      if (!isOver(command) || !isTold(command.id)) return;
      await deps.erasure.command(referenceOf(tenant, command.id));
      left--;
      erased++;
    });
    if (deps.clock.now() > until) return { erased, left: left + 1 };
  }
  return { erased, left };
};

/** How far it has come, for whoever asks. Of two that count at once, one is not counted. */
const note = async (
  { principals, store }: Pick<Deps, 'principals' | 'store'>,
  removal: Removal,
  { unfinished, erased }: { readonly unfinished: number; readonly erased: number },
): Promise<void> => {
  if (erased === 0 && unfinished === removal.unfinished) return;
  const key = keys.removal(removal.tenant);
  const found = await principals.removals.get(key);
  if (!found) return;
  const next = { ...found.value, unfinished, erased: found.value.erased + erased };
  await store.write([principals.removals.writeOf(key, next, found.version)]);
};

/** No command is left. */
const finish = async (deps: Deps, removal: Removal): Promise<void> => {
  const { principals, auditLog, clock } = deps;
  const { tenant, requestedAt, requestedBy: actor } = removal;
  await sealTenant(deps, tenant, { checkpoint: true });
  const before = await auditLog.head(tenant);
  // Somebody wrote something down just now: it comes into the log first.
  if ((await auditLog.pending(tenant, 1)).length > 0) return;
  await deps.secrets.removeValues(tenant);
  await deps.erasure.rest(tenant);
  const found = await principals.tenants.get(keys.tenant(tenant));
  if (!found) return;
  const { id, createdAt } = found.value;
  const now = clock.now();
  const { size, hash } = before.head.end;
  // The owner's log vouches for where the other one ends.
  const details = { entries: size, hash };
  const event: AuditEvent = { type: 'tenant.removed', at: toTimestamp(now), actor, subject: tenant, details };
  // Of several that come to this point one writes it. A log that went on meanwhile has to be looked at again.
  const removed = { id, name: '', suspended: true, createdAt, removal: { requestedAt, removedAt: now } };
  await deps.store.write([
    principals.tenants.writeOf(keys.tenant(tenant), removed, found.version),
    auditLog.endWrite(tenant, before),
    { remove: keys.removal(tenant) },
    auditLog.eventWrite(DEFAULT_TENANT, event),
  ]);
};

/** A few at once; one that cannot be seen to must not keep the others waiting, and is told of. */
const forEach = async (
  { log }: Pick<Deps, 'log'>,
  commands: readonly Command[],
  see: (command: Command) => Promise<void>,
): Promise<void> => {
  const rest = commands.values();
  const worker = async () => {
    for (const command of rest) {
      const { tenant, id } = command;
      await see(command).catch((error: unknown) =>
        log.error('A command of a tenant that is being removed could not be seen to', { tenant, id, error }),
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
};
