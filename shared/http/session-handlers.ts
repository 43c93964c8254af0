import { endSession, getSession, listSessions, startSession, submitToSession } from '../app/sessions.ts';
import type { Handlers } from './http-function.ts';
import { json, parseIdempotencyKey, parsePreferWait, submittedReply } from './replies.ts';

/** Warm shells: a part of the commands function, as what they run are commands. */
export const sessionHandlers = {
  startSession: async (deps, { actor, body }) => {
    const session = await startSession(deps, actor, body);
    return json(201, session, { location: `/v1/sessions/${session.id}` });
  },
  listSessions: async (deps, { actor, query }) => json(200, await listSessions(deps, actor, query)),
  getSession: async (deps, { actor, params }) => json(200, await getSession(deps, actor, params.id)),
  endSession: async (deps, { actor, params }) => json(200, await endSession(deps, actor, params.id)),
  submitToSession: async (deps, { actor, params, body, headers, remainingSeconds }) => {
    const waitSeconds = parsePreferWait(headers['prefer'], remainingSeconds);
    const idempotencyKey = parseIdempotencyKey(headers['idempotency-key']);
    const watched = waitSeconds !== undefined;
    const submitted = await submitToSession(deps, actor, params.id, { body, idempotencyKey, watched });
    return submittedReply(deps, submitted, waitSeconds);
  },
} satisfies Handlers;
