import type { AuditEntry, AuditType } from './audit.ts';
import type { Permission } from './permissions.ts';

type Data = Readonly<Record<string, unknown>>;

interface Row {
  /** Never renamed: whoever listens filters by it. */
  readonly type: string;
  /** What its reader has to have, beside `events:read`. */
  readonly permission: Permission;
  readonly data: (entry: AuditEntry) => Data;
}

/** Of a command, what its own view tells too: no hash, since a short value can be found by the hash of it, and nobody's name. */
const ofCommand = (...facts: readonly string[]) => ({
  permission: 'events:read' as const,
  data: ({ subject, details }: AuditEntry): Data => ({ id: subject, ...pick(details, (name) => facts.includes(name)) }),
});

/** For those who may read the audit log: who did it, and all that the log has but hashes. */
const ofTenant = {
  permission: 'audit:read' as const,
  data: ({ actor, details }: AuditEntry): Data => ({
    actor: { ...actor },
    ...pick(details, (name) => !name.endsWith('Hash')),
  }),
};

const pick = (details: Data, isWanted: (name: string) => boolean): Data =>
  Object.fromEntries(Object.entries(details).filter(([name]) => isWanted(name)));

/** THE table of events: what an entry of the audit log is called where it is told to the world, who may read it, and what it says. */
const EVENTS = {
  'command.submitted': {
    type: 'command.submitted',
    ...ofCommand('target', 'isolation', 'image', 'replayOf', 'schedule', 'trigger', 'workflow', 'node'),
  },
  'command.started': { type: 'command.started', ...ofCommand('attempt', 'target') },
  'command.ended': {
    type: 'command.completed',
    ...ofCommand('status', 'target', 'exitCode', 'signal', 'reason', 'attempts', 'durationMs'),
  },
  'command.cancel-requested': { type: 'command.cancel_requested', ...ofCommand() },
  'command.move-requested': { type: 'command.move_requested', ...ofCommand('target') },
  'command.attached': { type: 'command.attached', ...ofTenant },
  'command.signaled': { type: 'command.signaled', ...ofCommand('signal') },
  'command.denied': { type: 'command.denied', ...ofTenant },
  'security.alert': { type: 'security.alert', ...ofTenant },
  'access.forbidden': { type: 'access.forbidden', ...ofTenant },
  'approval.requested': { type: 'approval.requested', ...ofTenant },
  'approval.answered': { type: 'approval.answered', ...ofTenant },
  'installation.restored': { type: 'installation.restored', ...ofTenant },
  'key.created': { type: 'key.created', ...ofTenant },
  'key.revoked': { type: 'key.revoked', ...ofTenant },
  'key.rotated': { type: 'key.rotated', ...ofTenant },
  'member.added': { type: 'member.added', ...ofTenant },
  'member.changed': { type: 'member.changed', ...ofTenant },
  'member.removed': { type: 'member.removed', ...ofTenant },
  'policy.applied': { type: 'policy.applied', ...ofTenant },
  'provider.health_changed': { type: 'provider.health_changed', ...ofTenant },
  'role.put': { type: 'role.changed', ...ofTenant },
  'role.removed': { type: 'role.removed', ...ofTenant },
  'schedule.paused': { type: 'schedule.paused', ...ofTenant },
  'schedule.put': { type: 'schedule.changed', ...ofTenant },
  'schedule.refused': { type: 'schedule.refused', ...ofTenant },
  'schedule.removed': { type: 'schedule.removed', ...ofTenant },
  'schedule.resumed': { type: 'schedule.resumed', ...ofTenant },
  'schedule.triggered': { type: 'schedule.triggered', ...ofTenant },
  'secret.put': { type: 'secret.changed', ...ofTenant },
  'secret.removed': { type: 'secret.removed', ...ofTenant },
  'session.ended': { type: 'session.ended', ...ofTenant },
  'session.started': { type: 'session.started', ...ofTenant },
  'session-token.created': { type: 'session_token.created', ...ofTenant },
  'session-token.reused': { type: 'session_token.reused', ...ofTenant },
  'session-token.revoked': { type: 'session_token.revoked', ...ofTenant },
  'tenant.added': { type: 'tenant.added', ...ofTenant },
  'tenant.changed': { type: 'tenant.changed', ...ofTenant },
  'tenant.removal-requested': { type: 'tenant.removal_requested', ...ofTenant },
  'tenant.removed': { type: 'tenant.removed', ...ofTenant },
  'trigger.paused': { type: 'trigger.paused', ...ofTenant },
  'trigger.put': { type: 'trigger.changed', ...ofTenant },
  'trigger.refused': { type: 'trigger.refused', ...ofTenant },
  'trigger.removed': { type: 'trigger.removed', ...ofTenant },
  'trigger.resumed': { type: 'trigger.resumed', ...ofTenant },
  'trigger.secret-rotated': { type: 'trigger.secret_rotated', ...ofTenant },
  'webhook.changed': { type: 'webhook.changed', ...ofTenant },
  'webhook.created': { type: 'webhook.created', ...ofTenant },
  'webhook.disabled': { type: 'webhook.disabled', ...ofTenant },
  'webhook.redelivered': { type: 'webhook.redelivered', ...ofTenant },
  'webhook.removed': { type: 'webhook.removed', ...ofTenant },
  'webhook.rotated': { type: 'webhook.rotated', ...ofTenant },
  'webhook.tested': { type: 'webhook.tested', ...ofTenant },
  'workflow.cancel-requested': { type: 'workflow.cancel_requested', ...ofCommand() },
  'workflow.ended': {
    type: 'workflow.completed',
    ...ofCommand('status', 'generation', 'succeeded', 'failed', 'skipped', 'canceled'),
  },
  'workflow.resumed': { type: 'workflow.resumed', ...ofCommand('generation') },
  'workflow.submitted': { type: 'workflow.submitted', ...ofCommand('nodes') },
} as const satisfies Record<AuditType, Row>;

export type EventType = (typeof EVENTS)[AuditType]['type'];
export const EVENT_TYPES = Object.values(EVENTS).map(({ type }) => type) as [EventType, ...EventType[]];

const PERMISSIONS = new Map<EventType, Permission>(
  Object.values(EVENTS).map(({ type, permission }) => [type, permission]),
);

/** What its reader has to have, beside `events:read`. */
export const permissionOfEvent = (type: EventType): Permission => PERMISSIONS.get(type) ?? 'audit:read';

/** A fact that was stored, as it is told: a CloudEvent (CloudEvents 1.0.2, https://github.com/cloudevents/spec), the same each time it is. */
export interface StoredEvent {
  readonly specversion: '1.0';
  /** `<tenant>-<sequence>`: one that comes twice is the same one. */
  readonly id: string;
  readonly source: 'errand';
  readonly type: EventType;
  /** RFC 3339, in UTC: when it happened. */
  readonly time: string;
  /** What it is about, by id or name. */
  readonly subject: string;
  readonly tenant: string;
  /** Its place in the order of its tenant's events, from 1; there are gaps where a reader may not read, or did not ask. */
  readonly sequence: number;
  readonly datacontenttype: 'application/json';
  /** Facts and ids; never arguments, variables, input, output, labels or secrets. */
  readonly data: Data;
}

export const toStoredEvent = (entry: AuditEntry): StoredEvent => {
  const { tenant, sequence, type, at, subject } = entry;
  const row: Row & { readonly type: EventType } = EVENTS[type];
  return {
    specversion: '1.0',
    id: `${tenant}-${sequence}`,
    source: 'errand',
    type: row.type,
    time: at,
    subject,
    tenant,
    sequence,
    datacontenttype: 'application/json',
    data: row.data(entry),
  };
};
