import * as z from 'zod';
import { LIMITS } from '../domain/limits.ts';
import { PERMISSIONS } from '../domain/permissions.ts';
import { labelKey, labelValue } from './schemas.ts';
import { TenantLimitsSchema } from './usage-schemas.ts';

export const Name = z
  .string()
  .min(1)
  .max(LIMITS.nameCharacters)
  .regex(/^\P{C}*$/u, 'must not contain control characters');
const Time = z.iso.datetime();

export const RoleName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -, at most 63, beginning with a letter');
/** Partitions of the whole installation begin so. */
const RESERVED = ['due', 'targets'];
export const TenantIdText = z
  .string()
  .refine((id) => !RESERVED.includes(id), { error: `must not be ${RESERVED.join(' or ')}, which are ours` })
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -, at most 63');
export const MemberIdText = z.string().regex(/^mem_[0-9a-f]{16}$/, 'must be a member’s id: mem_ and 16 characters');
export const ApiKeyIdText = z.string().regex(/^[0-9a-f]{16}$/, 'must be a key’s id: 16 characters');
export const Permissions = z.array(z.enum(PERMISSIONS)).max(PERMISSIONS.length);

export const ScopeSchema = z
  .strictObject({
    targets: z.array(z.string().min(1)).max(LIMITS.scopeTargets).optional(),
    labels: z.record(labelKey, labelValue).optional(),
  })
  .meta({
    id: 'Scope',
    description: 'Only these targets, and only commands with all of these labels, which are put on what it submits.',
  });

const IdentitySchema = z
  .strictObject({ issuer: z.url(), subject: z.string().min(1).max(255) })
  .meta({ id: 'Identity', description: 'Whose access tokens speak for the member: `iss` and `sub`.' });

export const Whoami = z
  .object({
    id: z.string(),
    tenant: z.string(),
    role: z.string(),
    permissions: Permissions,
    scope: ScopeSchema,
    credential: z.object({ kind: z.string(), id: z.string().nullable() }),
  })
  .meta({ id: 'Whoami' });

export const CreateApiKey = z
  .strictObject({
    name: Name,
    member: z.string().optional().describe('Whom it speaks for. Without it: the caller.'),
    permissions: Permissions.min(1).optional().describe('Fewer than the member has. Without it: the same.'),
    scope: ScopeSchema.optional(),
    expiresAt: Time.optional(),
  })
  .meta({ id: 'CreateApiKey' });

export const RotateApiKey = z
  .strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(LIMITS.keyOverlapSeconds)
      .optional()
      .describe('So long the old key stays good. Default: a day.'),
    expiresAt: Time.optional(),
  })
  .meta({ id: 'RotateApiKey' });

export const ApiKeyView = z
  .object({
    id: z.string(),
    name: z.string(),
    member: z.string(),
    permissions: Permissions.nullable(),
    scope: ScopeSchema,
    createdAt: Time,
    createdBy: z.string(),
    expiresAt: Time.nullable(),
    revokedAt: Time.nullable(),
    lastUsedAt: Time.nullable().describe('To the hour.'),
  })
  .meta({ id: 'ApiKey' });

export const NewApiKeyView = ApiKeyView.extend({
  key: z.string().describe('Shown here and never again.'),
}).meta({ id: 'NewApiKey' });

const page = <S extends z.ZodType>(item: S) => z.object({ items: z.array(item), nextCursor: z.string().optional() });

export const ApiKeyList = page(ApiKeyView).meta({ id: 'ApiKeyList' });

export const CreateMember = z
  .strictObject({
    name: Name,
    kind: z.enum(['person', 'service-account']).optional().describe('Default: person.'),
    role: RoleName,
    scope: ScopeSchema.optional(),
    identity: IdentitySchema.optional(),
  })
  .meta({ id: 'CreateMember' });

export const ChangeMember = z
  .strictObject({
    name: Name.optional(),
    role: RoleName.optional(),
    scope: ScopeSchema.optional(),
    disabled: z.boolean().optional().describe('None of its credentials is good meanwhile.'),
  })
  .meta({ id: 'ChangeMember' });

export const MemberView = z
  .object({
    id: z.string(),
    kind: z.enum(['person', 'service-account']),
    name: z.string(),
    role: z.string(),
    scope: ScopeSchema,
    identity: IdentitySchema.nullable(),
    disabled: z.boolean(),
    createdAt: Time,
    createdBy: z.string(),
  })
  .meta({ id: 'Member' });
export const MemberList = page(MemberView).meta({ id: 'MemberList' });

export const RoleBody = z
  .strictObject({ description: z.string().max(LIMITS.detailCharacters).optional(), permissions: Permissions })
  .meta({ id: 'RoleBody' });
export const RoleView = z
  .object({ name: z.string(), description: z.string(), permissions: Permissions, builtIn: z.boolean() })
  .meta({ id: 'Role' });
export const RoleList = page(RoleView).meta({ id: 'RoleList' });

export const CreateTenant = z
  .strictObject({
    id: TenantIdText,
    name: Name,
    admin: Name.optional().describe('The first admin’s name. Default: admin.'),
    limits: TenantLimitsSchema.optional(),
  })
  .meta({ id: 'CreateTenant' });
export const ChangeTenant = z
  .strictObject({
    name: Name.optional(),
    suspended: z.boolean().optional(),
    limits: TenantLimitsSchema.optional().describe('Instead of all those it has.'),
  })
  .meta({ id: 'ChangeTenant' });
export const TenantView = z
  .object({
    id: z.string(),
    name: z.string().describe('Empty once it was removed.'),
    state: z.enum(['good', 'suspended', 'removing', 'removed']),
    suspended: z.boolean(),
    limits: TenantLimitsSchema,
    createdAt: Time,
    removal: z
      .object({
        requestedAt: Time,
        removedAt: Time.nullable().describe('When all was erased.'),
        unfinishedCommands: z.int().nullable().describe('At the last look; null before the first and after the last.'),
        erasedCommands: z.int().nullable().describe('So far, about.'),
      })
      .nullable(),
  })
  .meta({ id: 'Tenant' });
export const NewTenantView = TenantView.extend({ admin: MemberView, key: z.string() }).meta({ id: 'NewTenant' });
export const TenantList = page(TenantView).meta({ id: 'TenantList' });
