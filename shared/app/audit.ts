import type * as z from 'zod';
import { hashOf } from '../audit/chain.ts';
import { type LogLine, verifyLog } from '../audit/verify.ts';
import type { AuditCheckpoints, AuditPage, AuditVerdict, ReceiptView } from '../contract/audit-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { AuditType } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import { isFinal } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import type { Deps } from './deps.ts';
import { invalidCursor, type PageQuery, toCursor, toPage } from './paging.ts';
import { requireCommand } from './require-command.ts';
import { sealTenant } from './seal-audit.ts';

type Parts = Pick<
  Deps,
  | 'auditLog'
  | 'commands'
  | 'order'
  | 'principals'
  | 'clock'
  | 'log'
  | 'signer'
  | 'auditSettleSeconds'
  | 'sealsOnRead'
  | 'keepCheckpoint'
>;

interface AuditQuery extends PageQuery {
  readonly type?: AuditType | undefined;
  readonly actor?: string | undefined;
  readonly subject?: string | undefined;
}

/** How many entries one request reads: bounds the work that a filter with few matches causes. */
const MOST_SCANNED = 5_000;

/** Newest first. */
export const readAudit = async (
  deps: Parts,
  { tenant }: Actor,
  query: AuditQuery,
): Promise<z.output<typeof AuditPage>> => {
  await sealFirst(deps, tenant);
  const { limit, after } = toPage(tenant, query);
  if (after !== undefined && !/^\d{1,12}$/.test(after)) throw invalidCursor();
  const { type, actor, subject } = query;
  const items: z.output<typeof AuditPage>['items'] = [];
  let scanned = 0;
  for await (const { entry, hash } of deps.auditLog.readBack(tenant, after === undefined ? undefined : Number(after))) {
    const isWanted =
      (type === undefined || entry.type === type) &&
      (actor === undefined || entry.actor.id === actor) &&
      (subject === undefined || entry.subject === subject);
    if (isWanted) items.push({ entry: entry as (typeof items)[number]['entry'], hash });
    if (items.length < limit && ++scanned < MOST_SCANNED) continue;
    return { items, ...(entry.sequence > 1 ? { nextCursor: toCursor(tenant, String(entry.sequence)) } : {}) };
  }
  return { items };
};

/** Some megabytes. */
const MOST_EXPORTED = 5_000;

/** Lines of JSON: entries with their hashes, and after those that one covers, checkpoints. */
export const exportAudit = async (
  deps: Parts,
  { tenant }: Actor,
  { from = 1 }: { readonly from?: number | undefined },
): Promise<{ readonly text: string; readonly next: number | undefined }> => {
  await sealFirst(deps, tenant);
  const lines: string[] = [];
  let entries = 0;
  for await (const line of linesOf(deps, tenant, from)) {
    if (line.kind === 'entry' && ++entries > MOST_EXPORTED) return { text: lines.join(''), next: line.entry.sequence };
    lines.push(`${JSON.stringify(line)}\n`);
  }
  return { text: lines.join(''), next: undefined };
};

/** Up to the last checkpoint: what lies beyond is not sealed yet. */
async function* linesOf({ auditLog }: Pick<Deps, 'auditLog'>, tenant: TenantId, from: number): AsyncGenerator<LogLine> {
  const checkpoints = auditLog.checkpointsFrom(tenant, from);
  let following = (await checkpoints.next()).value;
  if (!following) return;
  for await (const { entry, hash } of auditLog.read(tenant, from)) {
    yield { kind: 'entry', entry, hash };
    if (entry.sequence !== following.checkpoint.size) continue;
    yield { kind: 'checkpoint', ...following };
    following = (await checkpoints.next()).value;
    if (!following) return;
  }
}

export const readCheckpoints = async (
  deps: Parts,
  { tenant }: Actor,
  { limit = 1 }: { readonly limit?: number | undefined },
): Promise<z.output<typeof AuditCheckpoints>> => {
  await sealFirst(deps, tenant);
  const [items, { publicKey }] = await Promise.all([deps.auditLog.checkpoints(tenant, limit), deps.signer()]);
  return { items: [...items], publicKey };
};

/** Reads all of it. */
export const verifyAudit = async (deps: Parts, { tenant }: Actor): Promise<z.output<typeof AuditVerdict>> => {
  await sealFirst(deps, tenant);
  const { publicKey } = await deps.signer();
  // What the last checkpoint covers must be there, or its end was cut.
  const kept = await deps.auditLog.checkpoints(tenant, 1);
  const { fault, root, ...verdict } = await verifyLog(linesOf(deps, tenant, 1), { publicKey, kept });
  return { ...verdict, tenant, root: root ?? null, publicKey, fault: fault ?? null };
};

/** What the installation says of a command's end, signed. @throws AppError 'not-found'; 'conflict' before its end */
export const readReceipt = async (
  deps: Pick<Deps, 'commands' | 'signer'>,
  actor: Actor,
  id: CommandId,
): Promise<z.output<typeof ReceiptView>> => {
  const { command } = await requireCommand(deps, actor, id);
  const { status, spec, result, submittedBy, submittedAt, endedAt } = command;
  if (!isFinal(status) || endedAt === undefined) {
    throw new AppError('conflict', `${id} has not ended, so there is nothing to sign yet.`);
  }
  const signer = await deps.signer();
  const receipt = {
    v: 1 as const,
    tenant: actor.tenant,
    id,
    commandHash: hashOf(spec),
    submittedBy,
    submittedAt: toTimestamp(submittedAt),
    endedAt: toTimestamp(endedAt),
    status,
    result: result ?? null,
  };
  return { receipt, ...signer.sign(receipt), publicKey: signer.publicKey };
};

const sealFirst = async (deps: Parts, tenant: TenantId): Promise<void> => {
  if (deps.sealsOnRead) await sealTenant(deps, tenant, { checkpoint: true });
};
