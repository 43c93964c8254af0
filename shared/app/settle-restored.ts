import { OWNER } from '../access/rights.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { type Command, currentAttempt, isFinal } from '../domain/command.ts';
import type { TenantId } from '../domain/ids.ts';
import type { OutputTotals } from '../domain/output.ts';
import { passRestored } from '../domain/schedule-steps.ts';
import { stopRestored } from '../domain/workflow-steps.ts';
import { type Reference, referenceOf, splitReference } from '../store/schema.ts';
import type { Deps } from './deps.ts';
import { observeCommand } from './observe-command.ts';
import { sealAudit } from './seal-audit.ts';
import { tenantsOf } from './tenants-of.ts';

export interface RestoredOptions {
  /** When the backup was made. */
  readonly backedUpAt: Instant;
  /** Whether what had not begun by then waits on, though it may have run since. */
  readonly waitsOn: boolean;
  /** Whether the installation that was backed up is gone, so that its runs are this one's to retry, and what it left at providers to remove. */
  readonly takesOver: boolean;
}

/** What became of the commands that had not ended when the backup was made. */
export interface Settled {
  /** Nobody will know whether, or how, they ended. */
  readonly lost: number;
  /** Run again: by their retry rule. */
  readonly retried: number;
  /** Wait on. */
  readonly waiting: number;
}

const NOTHING: Settled = { lost: 0, retried: 0, waiting: 0 };
/** More than any embedded store is meant to hold unfinished. */
const MOST_UNFINISHED = 1_000_000;

/**
 * Makes a store that was restored from a backup fit to be gone on with, before anybody looks at it: ends what may have moved on since, and
 * tells each tenant in its audit log that its history was cut. Twice does no harm, but to that log.
 */
export const settleRestored = async (deps: Deps, options: RestoredOptions): Promise<Settled> => {
  // What the backup knew comes before what is done now.
  await sealAudit(deps);
  // Before their commands end, which would have them go on.
  if (!options.waitsOn) await stopWorkflows(deps);
  const settled = new Map<TenantId, Settled>();
  for (const reference of await deps.commands.due(Number.POSITIVE_INFINITY, MOST_UNFINISHED)) {
    const became = await settle(deps, reference, options);
    if (!became) continue;
    const { tenant } = splitReference(reference);
    const before = settled.get(tenant) ?? NOTHING;
    settled.set(tenant, { ...before, [became]: before[became] + 1 });
  }
  if (!options.waitsOn) await passSchedules(deps);
  for await (const tenant of tenantsOf(deps)) {
    await deps.auditLog.note(tenant, {
      type: 'installation.restored',
      at: toTimestamp(deps.clock.now()),
      actor: { id: OWNER, role: OWNER },
      subject: tenant,
      details: { backedUpAt: toTimestamp(options.backedUpAt), ...(settled.get(tenant) ?? NOTHING) },
    });
  }
  return [...settled.values()].reduce(
    (sum, one) => ({
      lost: sum.lost + one.lost,
      retried: sum.retried + one.retried,
      waiting: sum.waiting + one.waiting,
    }),
    NOTHING,
  );
};

/** What was due since may have been fired since. */
const passSchedules = async ({ schedules, clock }: Pick<Deps, 'schedules' | 'clock'>): Promise<void> => {
  const now = clock.now();
  for (const { reference } of await schedules.due(Number.POSITIVE_INFINITY, MOST_UNFINISHED)) {
    await schedules.change(reference, (schedule) => passRestored(schedule, now));
  }
};

/** They may have gone on since: whoever knows better resumes them. */
const stopWorkflows = async ({ workflows, clock }: Pick<Deps, 'workflows' | 'clock'>): Promise<void> => {
  for (const reference of await workflows.due(Number.MAX_SAFE_INTEGER, MOST_UNFINISHED)) {
    const stored = await workflows.find(reference);
    const next = stored && stopRestored(stored.workflow, clock.now());
    // Nobody else works on the store yet.
    if (next) await workflows.save(stored, next);
  }
};

/** The effects are left to whoever looks next: every command that is not final is due. */
const settle = async (
  deps: Deps,
  reference: Reference,
  options: RestoredOptions,
): Promise<keyof Settled | undefined> => {
  const from = await deps.commands.find(reference);
  if (!from) return undefined;
  const output = await outputOf(deps, from.command);
  const moved = await observeCommand(deps, reference, { kind: 'restored', ...options, output }, { from });
  if (!moved || isFinal(from.command.status)) return undefined;
  if (isFinal(moved.stored.command.status)) return 'lost';
  return from.command.status === 'running' ? 'retried' : 'waiting';
};

const outputOf = async ({ output }: Pick<Deps, 'output'>, command: Command): Promise<OutputTotals> => {
  const attempt = currentAttempt(command);
  if (!attempt) return { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
  return { ...(await output.size(referenceOf(command.tenant, command.id), attempt.number)), droppedBytes: 0 };
};
