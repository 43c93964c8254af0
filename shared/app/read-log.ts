import type { AuditEntry } from '../domain/audit.ts';
import type { TenantId } from '../domain/ids.ts';
import type { Deps } from './deps.ts';

/** Entries of a tenant's log, and how far it was read by them. */
interface Stretch {
  readonly entries: readonly AuditEntry[];
  /** The number of the last. */
  readonly to: number;
  /** Whether the log ended there, when it was read. */
  readonly isLast: boolean;
}

const STRETCH = 100;

/** What comes after an entry, to the end as it is now. */
export async function* readLogAfter(
  { auditLog }: Pick<Deps, 'auditLog'>,
  tenant: TenantId,
  after: number,
): AsyncGenerator<Stretch> {
  let entries: AuditEntry[] = [];
  for await (const { entry } of auditLog.read(tenant, after + 1)) {
    // Only now is it known that there is more.
    if (entries.length === STRETCH) {
      yield { entries, to: entry.sequence - 1, isLast: false };
      entries = [];
    }
    entries.push(entry);
  }
  const to = entries.at(-1)?.sequence;
  if (to !== undefined) yield { entries, to, isLast: true };
}
