import { firstCommandId } from '../domain/ids.ts';
import type { Stored } from '../store/commands.ts';
import { submissionOf } from './audit-events.ts';
import type { Deps } from './deps.ts';

type Parts = Pick<Deps, 'auditLog' | 'order' | 'clock' | 'auditSettleSeconds'>;

/**
 * To be called before a command moves for the first time. Where there is no fence, a process that was held up for long may have stored
 * it after the audit log's reader went past its id; then it is put where the reader looks. One that has not moved yet, which is made
 * sure of as it is put there, and that the reader has seen is open: so it can be told. Those that are young are not asked about, as the
 * reader is not that far.
 */
export const logOvertaken = async (
  { auditLog, order, clock, auditSettleSeconds }: Parts,
  stored: Stored,
): Promise<void> => {
  const { command } = stored;
  const { id, tenant } = command;
  // Half of it, as clocks differ.
  if (order.isFenced || id >= firstCommandId(clock.now() - auditSettleSeconds * 500)) return;
  const { head } = await auditLog.head(tenant);
  if (head.commandsTo === undefined || id > head.commandsTo) return;
  if ((await auditLog.openAmong(tenant, [id])).length > 0) return;
  await auditLog.openOvertaken(stored, submissionOf(command));
};
