import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import { wholeNumber } from '../schemas.ts';
import { CreateSession, SessionCommand, SessionIdText, SessionList, SessionView } from '../session-schemas.ts';
import { submitAnswers, submitHeaders } from './commands.ts';

const session = z.strictObject({ id: SessionIdText });
const view = (description: string) => ({ description, schema: SessionView });

/** Warm shells. Session tokens, which members trade their keys for, are in session-tokens.ts. */
export const sessionEndpoints = {
  startSession: {
    method: 'POST',
    path: '/v1/sessions',
    function: 'commands',
    permission: 'sessions:use',
    summary: 'Start a warm shell that keeps its folder, variables and files between commands',
    body: CreateSession,
    bodyOptional: true,
    answers: { 201: view('Its shell is up.') },
  },
  listSessions: {
    method: 'GET',
    path: '/v1/sessions',
    function: 'commands',
    permission: 'sessions:use',
    summary: 'List one’s own sessions; with sessions:manage, everybody’s',
    query: z.strictObject({
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: SessionList } },
  },
  getSession: {
    method: 'GET',
    path: '/v1/sessions/{id}',
    function: 'commands',
    permission: 'sessions:use',
    summary: 'Read a session',
    params: session,
    answers: { 200: view('The session. It is kept for a week after its end.') },
  },
  endSession: {
    method: 'DELETE',
    path: '/v1/sessions/{id}',
    function: 'commands',
    permission: 'sessions:use',
    summary: 'End a session: its shell and all that was started in it',
    params: session,
    answers: { 200: view('It has ended, and nothing of it is left. Twice is the same as once.') },
  },
  submitToSession: {
    method: 'POST',
    path: '/v1/sessions/{id}/commands',
    function: 'commands',
    permission: 'sessions:use',
    summary: 'Run a script in a session’s shell, after those before it',
    params: session,
    headers: submitHeaders,
    body: SessionCommand,
    answers: submitAnswers,
  },
} as const satisfies Record<string, Endpoint>;
