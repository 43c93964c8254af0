import type * as z from 'zod';
import type { SessionView } from '../contract/session-schemas.ts';
import { toTimestamp } from '../domain/clock.ts';
import { expiryOf, isEnded, type Session } from '../domain/sessions.ts';
import { type HeldSession, isBusy } from './held-sessions.ts';

/** A session as callers see it. @param held where its shell is in this process */
export const toSessionView = (session: Session, held: HeldSession | undefined): z.output<typeof SessionView> => {
  const { id, name, state, spec, member, idleSeconds, maxLifeSeconds, createdAt, endedAt } = session;
  const { target, shell, env, cwd, isolation, labels } = spec;
  const lastUsedAt = held?.lastUsedAt ?? session.lastUsedAt;
  return {
    ...{ id, name, state, target, shell, isolation, member, idleSeconds, maxLifeSeconds },
    reason: session.reason ?? null,
    detail: session.detail ?? null,
    envNames: Object.keys(env),
    cwd: cwd ?? null,
    labels: { ...labels },
    createdAt: toTimestamp(createdAt),
    lastUsedAt: toTimestamp(lastUsedAt),
    expiresAt: isEnded(session)
      ? null
      : toTimestamp(expiryOf(session, lastUsedAt, held !== undefined && isBusy(held)).at),
    endedAt: endedAt === undefined ? null : toTimestamp(endedAt),
    running: held?.running ?? null,
    waiting: held?.line.length ?? 0,
  };
};
