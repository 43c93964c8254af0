import type * as z from 'zod';
import type { CommandView } from '../../shared/contract/schemas.ts';
import type {
  CreateSession,
  SessionView,
  SessionCommand as SubmitToSession,
} from '../../shared/contract/session-schemas.ts';
import type { SubmitOptions } from './submit-options.ts';
import { allItems, type Json } from './transport.ts';

export type NewSession = z.input<typeof CreateSession>;
export type Session = z.output<typeof SessionView>;
export type SessionCommand = z.input<typeof SubmitToSession>;

/** Warm shells. Session tokens, which keys are traded for, are another thing. */
export interface SessionCalls {
  /** Resolves when its shell is up. Not retried, since a repetition would start another. */
  startSession(session?: NewSession): Promise<Session>;
  /** One's own, with sessions:manage everybody's, page after page. */
  listSessions(): AsyncGenerator<Session>;
  getSession(id: string): Promise<Session>;
  /** Ends its shell and all that was started in it. Twice is the same as once. */
  endSession(id: string): Promise<Session>;
  /**
   * Runs a script in its shell, after those before it. Resolves once it is stored durably; with `waitSeconds`, when it has ended, if it
   * ends in time. What comes back is a command: `get`, `follow`, `readOutput` and `cancel` take its id.
   */
  submitToSession(id: string, command: SessionCommand, options?: SubmitOptions): Promise<CommandView>;
}

const pathOf = (id: string, more = ''): string => `/v1/sessions/${encodeURIComponent(id)}${more}`;

export const makeSessionCalls = (
  json: Json,
  submit: (path: string, body: SessionCommand, options: SubmitOptions) => Promise<CommandView>,
): SessionCalls => ({
  startSession: (session = {}) => json('POST', '/v1/sessions', { json: session, tries: 1 }),
  listSessions: () => allItems(json, '/v1/sessions'),
  getSession: (id) => json('GET', pathOf(id)),
  endSession: (id) => json('DELETE', pathOf(id)),
  submitToSession: (id, command, options = {}) => submit(pathOf(id, '/commands'), command, options),
});
