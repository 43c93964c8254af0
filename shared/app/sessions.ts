import type * as z from 'zod';
import { requirePermission } from '../access/access.ts';
import type { CreateSession, SessionCommand, SessionList, SessionView } from '../contract/session-schemas.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import { ISOLATION_LEVELS } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { isEnded, type Session, type SessionId, type SessionShell } from '../domain/sessions.ts';
import type { Shell } from '../providers/provider.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps, Target } from './deps.ts';
import { endHeldSession, loseIfHolderDied, shellKeyOf, storeEnd } from './end-session.ts';
import { lineUp } from './held-sessions.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { toSessionView } from './session-view.ts';
import { specify } from './specify.ts';
import { type Submission, type Submitted, submitCommand } from './submit-command.ts';

type View = z.output<typeof SessionView>;

const ID_BYTES = 8;
/** As records and policies name them. */
const PATHS = { '/bin/sh': '/bin/sh', bash: '/bin/bash' } as const satisfies Record<SessionShell, string>;
const DEFAULT_IDLE_SECONDS = 15 * 60;
const DEFAULT_LIFE_SECONDS = 8 * 3_600;

/**
 * A warm shell of the caller's own, once it is up.
 * @throws AppError as a submission would for its target, labels and isolation; 'unsupported-by-target' for a target or a level without
 * sessions, and for a shell that does not come up; 'quota-exceeded' for too many sessions
 */
export const startSession = async (deps: Deps, actor: Actor, body: z.output<typeof CreateSession>): Promise<View> => {
  const { name = '', shell = '/bin/sh', idleSeconds = DEFAULT_IDLE_SECONDS } = body;
  const { maxLifeSeconds = DEFAULT_LIFE_SECONDS, env = {}, cwd } = body;
  const { target, level, labels } = placeOf(deps, actor, body);
  await requireRoom(deps, actor);
  const now = deps.clock.now();
  const session: Session = {
    id: `ses_${deps.random.hex(ID_BYTES)}` as SessionId,
    tenant: actor.tenant,
    member: actor.id,
    credential: actor.credential,
    name,
    spec: { target: target.name, shell, env, ...(cwd === undefined ? {} : { cwd }), isolation: level, labels },
    ...{ idleSeconds, maxLifeSeconds, worker: deps.worker, state: 'starting', createdAt: now, lastUsedAt: now },
  };
  await deps.sessions.add(session);
  const opened = await openShell(target, session).catch(async (error: Error) => {
    await storeEnd(deps, session, { reason: 'not-started', detail: error.message });
    throw new AppError('unsupported-by-target', `The session could not be started. ${error.message}`);
  });
  const active: Session = { ...session, state: 'active' };
  const held = deps.heldSessions.hold(active, opened);
  const details = { target: target.name, isolation: level, shell };
  try {
    await deps.sessions.change(session, () => active, [
      auditWrite(deps, actor, 'session.started', session.id, details),
    ]);
  } catch (error) {
    // What the store does not know of is not there.
    deps.heldSessions.drop(session.id);
    await opened.end();
    throw error;
  }
  void opened.ended.then(async ({ detail }) => {
    if (held.ending) return;
    held.ending = true;
    await storeEnd(deps, active, { reason: 'exited', detail }).catch((error: unknown) =>
      deps.log.error('The end of a session could not be stored; a restart will say that it is lost', { error }),
    );
    deps.heldSessions.drop(session.id);
  });
  return toSessionView(active, held);
};

const openShell = async (target: Target, { id, tenant, spec }: Session): Promise<Shell> => {
  const { shell, env, cwd, isolation } = spec;
  const provider = await target.load();
  const opened = await provider.openShell?.({
    ...{ key: shellKeyOf(id), tenant, shell, env, isolation },
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (!opened) throw new Error(`The target ${target.name} holds no sessions.`);
  return opened;
};

/** Never less than was asked for: the weakest level of those at which the target holds sessions that is at least that. */
const placeOf = (deps: Deps, { scope }: Actor, body: z.output<typeof CreateSession>) => {
  const { target: wanted, labels, isolation: asked } = body;
  const { landings, spec } = specify(deps, scope, {
    script: ':',
    ...(wanted === undefined ? {} : { target: wanted }),
    ...(labels === undefined ? {} : { labels }),
    ...(asked === undefined ? {} : { isolation: asked }),
  });
  const [{ target, pool }] = landings;
  if (pool !== undefined)
    throw unsupported('/target', `${pool} is a pool: name the target that is to hold the session.`);
  const { sessions = [] } = target.features;
  if (sessions.length === 0) {
    throw unsupported('/target', `The target ${target.name} holds no sessions. See sessions in GET /v1/providers.`);
  }
  const rank = (level: (typeof ISOLATION_LEVELS)[number]) => ISOLATION_LEVELS.indexOf(level);
  const level = sessions.find((one) => rank(one) >= rank(asked ?? 'none'));
  if (level) return { target, level, labels: spec.labels };
  throw unsupported(
    '/isolation',
    `The target ${target.name} holds sessions at isolation ${sessions.join(', ')}, not ${asked}.`,
  );
};

const unsupported = (pointer: string, detail: string): AppError =>
  new AppError('unsupported-by-target', detail, { faults: [{ in: 'body', pointer, detail }] });

const requireRoom = async (deps: Deps, { tenant }: Actor): Promise<void> => {
  const held = deps.heldSessions.all();
  const own = held.filter(({ session }) => session.tenant === tenant).length;
  if (own >= LIMITS.sessions) {
    throw new AppError('quota-exceeded', `There are ${LIMITS.sessions} sessions, the most of a tenant. End some.`);
  }
  if (held.length >= LIMITS.sessionsOfServer) {
    const detail = `There are ${LIMITS.sessionsOfServer} sessions on this server, the most. Try again when some have ended.`;
    throw new AppError('quota-exceeded', detail);
  }
};

/** One's own; with sessions:manage, everybody's of the tenant. By id. */
export const listSessions = async (
  deps: Deps,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof SessionList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await deps.sessions.list(actor.tenant, { limit, after });
  const ids = found.map(({ id }) => id);
  return {
    items: found.filter((one) => maySee(actor, one)).map((one) => toSessionView(one, deps.heldSessions.find(one.id))),
    ...nextCursor(actor.tenant, ids, limit),
  };
};

/** @throws AppError 'not-found' */
export const getSession = async (deps: Deps, actor: Actor, id: SessionId): Promise<View> => {
  const session = await requireSession(deps, actor, id);
  const lost = await loseIfHolderDied(deps, session);
  return toSessionView(lost ?? session, deps.heldSessions.find(id));
};

/** Resolves when nothing of it is left. Twice is the same as once. @throws AppError 'not-found'; 'conflict' where another server holds it */
export const endSession = async (deps: Deps, actor: Actor, id: SessionId): Promise<View> => {
  const session = await requireSession(deps, actor, id);
  const { role, credential } = actor;
  const ending = {
    reason: 'requested',
    detail: 'It was ended on request.',
    by: { id: actor.id, role, credential },
  } as const;
  await endHeldSession(deps, id, ending);
  await loseIfHolderDied(deps, session);
  const latest = (await deps.sessions.find(actor.tenant, id)) ?? session;
  if (isEnded(latest)) return toSessionView(latest, undefined);
  throw new AppError(
    'conflict',
    `${id} is ${latest.state} in another process. Try again, at the server that holds it.`,
  );
};

/** A script for the shell: a command like any other, which is decided about, stored, and executed when its turn comes. */
export interface SessionSubmission extends Pick<Submission, 'idempotencyKey' | 'watched'> {
  readonly body: z.output<typeof SessionCommand>;
}

/**
 * @throws AppError 'not-found' for another's session; 'conflict' for one that has ended; 'quota-exceeded' when too many commands wait for
 * it; as `submitCommand`
 */
export const submitToSession = async (
  deps: Deps,
  actor: Actor,
  id: SessionId,
  { body, ...submission }: SessionSubmission,
): Promise<Submitted> => {
  requirePermission(actor, 'commands:submit');
  const session = await requireSession(deps, actor, id);
  // An admin may see another's, and end it, and no more.
  if (session.member !== actor.id) throw noSession(id);
  const held = deps.heldSessions.find(id);
  if (!held || held.ending) {
    const { state, detail = '' } = (await loseIfHolderDied(deps, session)) ?? session;
    throw new AppError(
      'conflict',
      `${id} is ${held ? 'being ended' : state}. ${detail} Start another.`.replace('  ', ' '),
    );
  }
  if (held.line.length + held.admitting >= LIMITS.sessionWaiting) {
    const detail = `${LIMITS.sessionWaiting} commands wait for ${id}, the most. Wait for some to end.`;
    throw new AppError('quota-exceeded', detail, { headers: { 'retry-after': '1' } });
  }
  const { target, shell, isolation, labels } = session.spec;
  const { labels: own, stdin, ...given } = body;
  held.admitting++;
  try {
    return await submitCommand(deps, actor, {
      ...submission,
      session: id,
      stored: (command) => lineUp(held, command),
      body: {
        ...given,
        // As bytes: there is no text that means something else.
        ...(stdin === undefined ? {} : { stdinBase64: Buffer.from(stdin, 'utf8').toString('base64') }),
        ...{ shell: PATHS[shell], target, isolation, labels: { ...own, ...labels } },
      },
    });
  } finally {
    held.admitting--;
    held.lastUsedAt = deps.clock.now();
  }
};

/** @throws AppError 'not-found', the same for another's as for what never was */
const requireSession = async ({ sessions }: Deps, actor: Actor, id: SessionId): Promise<Session> => {
  const session = await sessions.find(actor.tenant, id);
  if (session && maySee(actor, session)) return session;
  throw noSession(id);
};

const maySee = ({ id, scope, permissions }: Actor, session: Session): boolean =>
  (session.member === id || permissions.has('sessions:manage')) && isInScope(scope, session);

const noSession = (id: SessionId): AppError => {
  const detail = `You have no session ${id}.`;
  return new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};
