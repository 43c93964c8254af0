import type * as z from 'zod';
import type {
  CreateSessionToken,
  NewSessionTokenView,
  SessionTokenView,
} from '../../shared/contract/session-token-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type SessionToken = z.output<typeof SessionTokenView>;
/** With `accessToken` and `refreshToken`, which are told here and never again. */
export type NewSessionToken = z.output<typeof NewSessionTokenView>;

/** Short-lived tokens in the place of a key. */
export interface SessionTokenCalls {
  /** Trades the caller's key or access token for a session token. Not retried, since a repetition would make another. */
  createSessionToken(terms?: z.input<typeof CreateSessionToken>): Promise<NewSessionToken>;
  /** A new session token and a new refresh token in the place of both. The refresh token is all that it needs. */
  refreshSessionToken(refreshToken: string): Promise<NewSessionToken>;
  /** What the caller's key was traded for; with keys:own its member's, with keys:manage all of the tenant's. */
  listSessionTokens(): AsyncGenerator<SessionToken>;
  /** From now on neither it nor its refresh token is good. */
  revokeSessionToken(id: string): Promise<void>;
}

export const makeSessionTokenCalls = (json: Json, send: Send): SessionTokenCalls => ({
  createSessionToken: (terms = {}) => json('POST', '/v1/session-tokens', { json: terms, tries: 1 }),
  // Repeated within its overlap it gives the same two.
  refreshSessionToken: (refreshToken) => json('POST', '/v1/session-tokens/refresh', { json: { refreshToken } }),
  listSessionTokens: () => allItems(json, '/v1/session-tokens'),
  revokeSessionToken: (id) => send('DELETE', `/v1/session-tokens/${encodeURIComponent(id)}`),
});
