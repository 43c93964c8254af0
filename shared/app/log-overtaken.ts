import { firstCommandId } from '../domain/ids.ts';
import type { Stored } from '../store/commands.ts';
import { submissionOf } from './audit-events.ts';
import type { Deps } from './deps.ts';

type Parts = Pick<Deps, 'auditLog' | 'commands' | 'order' | 'clock' | 'auditSettleSeconds'>;

/**
 * To be called before a command moves for the first time. Where there is no fence, one may be stored long after it was given its id: by
 * a process that was held up, or by the repetition of a request whose first one died between the two. Then the audit log's reader may have
 * gone past its id, or may yet do so before an index shows it. So one that is no longer young and not in the log is put there by its
 * record, which the reader then knows. Resolves with the record as it is now.
 */
export const logOvertaken = async (
  { auditLog, commands, order, clock, auditSettleSeconds }: Parts,
  stored: Stored,
): Promise<Stored | undefined> => {
  const { command } = stored;
  const { id, tenant, loggedApart } = command;
  // Half of it, as clocks differ and indexes lag.
  if (order.isFenced || loggedApart || id >= firstCommandId(clock.now() - auditSettleSeconds * 500)) return stored;
  if ((await auditLog.openAmong(tenant, [id])).length > 0) return stored;
  const opening = auditLog.openingWrites(command, submissionOf(command));
  const saved = await commands.save(stored, { ...command, loggedApart: true }, opening);
  // The reader was faster.
  return saved.stored?.version === stored.version ? stored : saved.stored;
};
