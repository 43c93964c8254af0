import type { Credential } from './credential.ts';

/** What is recorded. Types are never renamed: whoever reads the log filters by them. */
export const AUDIT_TYPES = [
  'access.forbidden',
  'approval.answered',
  'approval.requested',
  'command.attached',
  'command.cancel-requested',
  'command.denied',
  'command.ended',
  'command.move-requested',
  'command.signaled',
  'command.started',
  'command.submitted',
  'installation.restored',
  'key.created',
  'key.revoked',
  'key.rotated',
  'member.added',
  'member.changed',
  'member.removed',
  'policy.applied',
  'provider.health_changed',
  'role.put',
  'role.removed',
  'schedule.paused',
  'schedule.put',
  'schedule.refused',
  'schedule.removed',
  'schedule.resumed',
  'schedule.triggered',
  'secret.put',
  'secret.removed',
  'security.alert',
  'session.ended',
  'session.started',
  'session-token.created',
  'session-token.reused',
  'session-token.revoked',
  'tenant.added',
  'tenant.changed',
  'tenant.removal-requested',
  'tenant.removed',
  'trigger.paused',
  'trigger.put',
  'trigger.refused',
  'trigger.removed',
  'trigger.resumed',
  'trigger.secret-rotated',
  'webhook.changed',
  'webhook.created',
  'webhook.disabled',
  'webhook.redelivered',
  'webhook.removed',
  'webhook.rotated',
  'webhook.tested',
  'workflow.cancel-requested',
  'workflow.ended',
  'workflow.resumed',
  'workflow.submitted',
] as const;
export type AuditType = (typeof AUDIT_TYPES)[number];

/** Who did it: ids alone, so that nothing personal is in a record that cannot be changed. */
export interface AuditActor {
  readonly id: string;
  readonly role?: string;
  readonly credential?: Credential;
}

/** Something that was decided or changed. */
export interface AuditEvent {
  readonly type: AuditType;
  /** RFC 3339, in UTC: when it happened. */
  readonly at: string;
  readonly actor: AuditActor;
  /** What it was about, by id or name. */
  readonly subject: string;
  /** Facts by type; never a secret, an argument or a comment, which are there as hashes at most. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** An event in its tenant's log. */
export interface AuditEntry extends AuditEvent {
  readonly v: 1;
  readonly tenant: string;
  /** From 1, without a gap. */
  readonly sequence: number;
  /** The hash of the entry before; of the first: 64 zeros. */
  readonly prev: string;
}

/** What a log was at a time, in few bytes: whoever keeps it can tell that nothing of it was changed since, or cut. */
export interface Checkpoint {
  readonly v: 1;
  readonly tenant: string;
  /** How many entries there were. */
  readonly size: number;
  /** Of the last one. */
  readonly hash: string;
  /** Of the Merkle tree over all of them (RFC 9162, section 2.1.1). */
  readonly root: string;
  readonly at: string;
}

export interface SignedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Names the public key: the first 16 hex digits of the SHA-256 of its SPKI. */
  readonly key: string;
  /** Ed25519 (RFC 8032) over the canonical JSON (RFC 8785) of `checkpoint`, in base 64. */
  readonly signature: string;
}
