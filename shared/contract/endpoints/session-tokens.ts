import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import { wholeNumber } from '../schemas.ts';
import {
  CreateSessionToken,
  NewSessionTokenView,
  RefreshSessionToken,
  SessionTokenIdText,
  SessionTokenList,
} from '../session-token-schemas.ts';

const description = 'The session token and its refresh token. Their texts are shown here and never again.';

/** What a credential is traded for: it gives nothing that its caller has not, so that a credential is all that it takes. */
export const sessionTokenEndpoints = {
  createSessionToken: {
    method: 'POST',
    path: '/v1/session-tokens',
    function: 'access',
    access: 'authenticated',
    summary: 'Trade one’s key or access token for a short-lived session token',
    body: CreateSessionToken,
    bodyOptional: true,
    answers: { 201: { description, schema: NewSessionTokenView } },
  },
  refreshSessionToken: {
    method: 'POST',
    path: '/v1/session-tokens/refresh',
    function: 'access',
    // The refresh token is the credential.
    access: 'anyone',
    summary: 'Renew a session token; the refresh token is good once',
    body: RefreshSessionToken,
    answers: { 200: { description, schema: NewSessionTokenView } },
  },
  listSessionTokens: {
    method: 'GET',
    path: '/v1/session-tokens',
    function: 'access',
    access: 'authenticated',
    summary:
      'List what one’s credential was traded for; with keys:own the member’s, with keys:manage all of the tenant’s',
    query: z.strictObject({
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: {
      200: { description: 'One page. `nextCursor` is there while more may follow.', schema: SessionTokenList },
    },
  },
  revokeSessionToken: {
    method: 'DELETE',
    path: '/v1/session-tokens/{id}',
    function: 'access',
    access: 'authenticated',
    summary: 'Revoke a session token: from now on neither it nor its refresh token is good',
    params: z.strictObject({ id: SessionTokenIdText }),
    answers: { 204: { description: 'Done. Twice is the same as once.' } },
  },
} as const satisfies Record<string, Endpoint>;
