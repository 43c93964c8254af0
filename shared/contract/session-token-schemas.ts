import * as z from 'zod';
import { Name, Permissions, ScopeSchema } from './access-schemas.ts';

const Time = z.iso.datetime();

export const SessionTokenIdText = z.string().regex(/^[0-9a-f]{16}$/, 'must be a session token’s id: 16 characters');

export const CreateSessionToken = z
  .strictObject({
    name: Name.optional().describe('For people, to know it by.'),
    permissions: Permissions.min(1)
      .optional()
      .describe(
        'Fewer than the credential has. Without it: all but those that give access: `keys:own`, `keys:manage`, `members:manage`, `tenants:manage`.',
      ),
    scope: ScopeSchema.optional().describe('Within the credential’s. Without it: the same.'),
  })
  .meta({ id: 'CreateSessionToken' });

export const RefreshSessionToken = z
  .strictObject({ refreshToken: z.string().min(1).max(512) })
  .meta({ id: 'RefreshSessionToken' });

export const SessionTokenView = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    member: z.string(),
    permissions: Permissions,
    scope: ScopeSchema,
    tradedFor: z.object({ kind: z.string(), id: z.string().nullable() }),
    createdAt: Time,
    refreshedAt: Time.nullable(),
    expiresAt: Time.describe('When the session token ends, unless it is renewed.'),
    refreshExpiresAt: Time.describe('When it can be renewed no more.'),
    revokedAt: Time.nullable(),
  })
  .meta({ id: 'SessionToken' });

export const NewSessionTokenView = SessionTokenView.extend({
  accessToken: z.string().describe('What to send with each request, as a key.'),
  expiresInSeconds: z.number().describe('The same as `expiresAt`, for those whose clock is off.'),
  refreshToken: z.string().describe('Good once, for the next two.'),
}).meta({ id: 'NewSessionToken' });

export const SessionTokenList = z
  .object({ items: z.array(SessionTokenView), nextCursor: z.string().optional() })
  .meta({ id: 'SessionTokenList' });
