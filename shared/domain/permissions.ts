/** What a caller may do. Each endpoint names the one that it asks for. */
export const PERMISSIONS = [
  'commands:submit',
  'commands:read',
  'commands:control',
  'providers:read',
  'keys:own',
  'keys:manage',
  'members:read',
  'members:manage',
  'tenants:manage',
  'policies:read',
  'policies:manage',
  'approvals:answer',
  'schedules:read',
  'schedules:manage',
  'sessions:use',
  'sessions:manage',
  'triggers:read',
  'triggers:manage',
  'secrets:read',
  'secrets:manage',
  'usage:read',
  'audit:read',
  'events:read',
  'webhooks:read',
  'webhooks:manage',
  'metrics:read',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** By these one makes keys, members and tenants: access that outlives what it was given with. */
export const GIVES_ACCESS: readonly Permission[] = ['keys:own', 'keys:manage', 'members:manage', 'tenants:manage'];

const READING = [
  'commands:read',
  'events:read',
  'providers:read',
  'usage:read',
] as const satisfies readonly Permission[];
const RUNNING = [
  ...READING,
  'commands:submit',
  'commands:control',
  'sessions:use',
] as const satisfies readonly Permission[];

/** About the whole installation, not about a tenant. */
const INSTALLATION: readonly Permission[] = ['tenants:manage', 'metrics:read'];

/** The built-in roles. A tenant may define more, out of the same permissions. */
export const ROLES = {
  /** Sees what was run, and what it said. */
  viewer: [...READING, 'keys:own'],
  /** Runs commands. */
  operator: [
    ...RUNNING,
    'keys:own',
    'policies:read',
    'secrets:read',
    'schedules:read',
    'schedules:manage',
    'triggers:read',
    'triggers:manage',
  ],
  /** All within the tenant. */
  admin: PERMISSIONS.filter((permission) => !INSTALLATION.includes(permission)),
  /** Sees what was done and why, and changes nothing. */
  auditor: [...READING, 'keys:own', 'members:read', 'policies:read', 'audit:read'],
  /** A program that was let loose: runs commands, and can neither widen what it may do nor approve it. */
  agent: RUNNING,
  /** The installation's: also makes tenants, and sees how it does. */
  owner: PERMISSIONS,
} as const satisfies Record<string, readonly Permission[]>;
export type RoleName = keyof typeof ROLES;

export const isRoleName = (text: string): text is RoleName => Object.hasOwn(ROLES, text);
