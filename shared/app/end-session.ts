import { isLeaving } from '../access/leaving.ts';
import { rightsOfMember } from '../access/rights.ts';
import type { AuditEvent } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import { type AttemptKey, attemptKeyOf, type CommandId } from '../domain/ids.ts';
import { expiryOf, isEnded, type Session, type SessionEnd, type SessionId } from '../domain/sessions.ts';
import type { Deps } from './deps.ts';
import { eachAtOnce } from './each-at-once.ts';
import { isBusy } from './held-sessions.ts';
import { targetOf } from './observe-command.ts';
import { wakeNext } from './run-in-session.ts';
import { tenantsOf } from './tenants-of.ts';

/** By which the provider names the shell: as it names the one attempt of a command. */
export const shellKeyOf = (id: SessionId): AttemptKey => attemptKeyOf(id as string as CommandId, 1);

/** Why a session ends, for its record. */
export interface Ending {
  readonly reason: SessionEnd;
  readonly detail: string;
  /** Who asked for it. @default whose it is */
  readonly by?: AuditEvent['actor'];
}

/** Ends the shell that this process holds, if it does, and then says so in the store: the record is never ahead of the truth. */
export const endHeldSession = async (deps: Deps, id: SessionId, ending: Ending): Promise<void> => {
  const held = deps.heldSessions.find(id);
  if (!held) return;
  held.ending = true;
  await held.shell.end();
  await storeEnd(deps, held.session, ending);
  deps.heldSessions.drop(id);
};

/** Stores the end of a session whose shell is gone. The first that says so is right. */
export const storeEnd = async (
  deps: Pick<Deps, 'sessions' | 'clock' | 'auditLog' | 'heldSessions'>,
  session: Session,
  { reason, detail, by }: Ending,
): Promise<Session | undefined> => {
  const now = deps.clock.now();
  const present = await deps.sessions.find(session.tenant, session.id);
  if (!present || isEnded(present)) return present;
  const lastUsedAt = deps.heldSessions.find(session.id)?.lastUsedAt ?? session.lastUsedAt;
  const event = deps.auditLog.eventWrite(session.tenant, {
    type: 'session.ended',
    at: toTimestamp(now),
    actor: by ?? { id: session.member },
    subject: session.id,
    details: { reason },
  });
  return deps.sessions.change(
    session,
    (one) => (isEnded(one) ? undefined : { ...one, state: 'ended', endedAt: now, reason, detail, lastUsedAt }),
    [event],
  );
};

/** Ends what was not used for too long, has lived for as long as it may, or is of someone who may not use it any more. */
export const tendSessions = async (deps: Deps): Promise<void> => {
  await eachAtOnce(
    deps.heldSessions.all(),
    4,
    async (held) => {
      if (held.ending) return;
      // Who was canceled while it waited is in no one's way, and whose wake-up was lost is woken.
      await wakeNext(deps, held);
      const { session, lastUsedAt } = held;
      const { at, reason } = expiryOf(session, lastUsedAt, isBusy(held));
      const ending = deps.clock.now() >= at ? expired(session, reason) : await revoked(deps, session);
      // It may have been used meanwhile.
      if (!ending || (ending.reason === 'idle' && isBusy(held))) return;
      await endHeldSession(deps, session.id, ending);
    },
    (error) => deps.log.error('A session could not be looked at', { error }),
  );
};

const expired = ({ idleSeconds, maxLifeSeconds }: Session, reason: 'idle' | 'max-life'): Ending => ({
  reason,
  detail:
    reason === 'idle' ? `It was not used for ${idleSeconds} s.` : `It has lived for ${maxLifeSeconds} s, its most.`,
});

const revoked = async ({ principals }: Deps, { tenant, member }: Session): Promise<Ending | undefined> => {
  const [isGone, rights] = await Promise.all([
    isLeaving(principals, tenant),
    rightsOfMember(principals, tenant, member),
  ]);
  if (!isGone && rights?.permissions.has('sessions:use')) return undefined;
  return { reason: 'revoked', detail: 'Whose it is may not use it any more.' };
};

/** The shell of a session that was in the hands of a process that died: ends what is left of it. Whether it is lost now. */
export const loseIfHolderDied = async (deps: Deps, session: Session): Promise<Session | undefined> => {
  if (isEnded(session) || deps.heldSessions.find(session.id)) return undefined;
  const { tenant, id, worker, spec } = session;
  const isOurs = worker === deps.worker;
  // Ours, and not held yet: it is coming up.
  if (isOurs) return undefined;
  const provider = await targetOf(deps, spec.target)?.load();
  const seen = await provider?.observe({ key: shellKeyOf(id), tenant, worker });
  if (seen?.kind !== 'gone') return undefined;
  return storeEnd(deps, session, { reason: 'lost', detail: 'The server that held its shell died.' });
};

/** After a start: says of each session whose server died that it is lost, once nothing of it is left. */
export const loseSessions = async (deps: Deps): Promise<void> => {
  for await (const tenant of tenantsOf(deps)) {
    for await (const session of deps.sessions.all(tenant)) await loseIfHolderDied(deps, session);
  }
};

/** Before this process ends. */
export const endAllSessions = async (deps: Deps): Promise<void> => {
  const ending = { reason: 'server-stopped', detail: 'The server that held its shell was stopped.' } as const;
  await Promise.all(deps.heldSessions.all().map(({ session }) => endHeldSession(deps, session.id, ending)));
};
