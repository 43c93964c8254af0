import type { Scope } from './actor.ts';
import type { Instant } from './clock.ts';
import type { EventType } from './events.ts';
import type { TenantId } from './ids.ts';

/** `whk_` and 16 hex digits. */
export type WebhookId = string & { readonly __brand: 'WebhookId' };
export const WEBHOOK_ID = /^whk_[0-9a-f]{16}$/;

/** One of a webhook's keys. Its bytes are in the vault. */
export interface KeptKey {
  /** Which of the vault's values. */
  readonly value: string;
  readonly createdAt: Instant;
  /** Messages are signed with it until then. Undefined: on and on. */
  readonly until?: Instant;
}

/** What came of one try. */
export interface Attempt {
  readonly at: Instant;
  readonly durationMs: number;
  /** Of the answer, where there was one. */
  readonly statusCode?: number;
  /** Why there was none: a fault of the egress, or `no-secret`. */
  readonly fault?: string;
}

/** An event that has yet to be delivered. Its text is read from the log when it is sent. */
export interface OpenDelivery {
  readonly sequence: number;
  readonly type: EventType;
  readonly subject: string;
  /** When it began to wait. Absent: before that was noted. */
  readonly since?: Instant;
  /** How often it was tried. */
  readonly tries: number;
  /** Not before then. */
  readonly retryAt: Instant;
  readonly last?: Attempt;
}

/** One that came to an end: delivered, or given up. */
export interface EndedDelivery {
  readonly sequence: number;
  readonly type: EventType;
  readonly subject: string;
  readonly tries: number;
  readonly outcome: 'delivered' | 'dead';
  readonly last: Attempt;
}

/** How a delivery stands: it has yet to be taken, was, or was given up. */
export const DELIVERY_STATUSES = ['waiting', 'delivered', 'dead'] as const;

/** Why a webhook is told nothing any more, though nobody asked for that. */
export const DISABLED_REASONS = ['gone', 'failing', 'member'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** Somebody outside who is told of a tenant's events. */
export interface Webhook {
  readonly id: WebhookId;
  readonly tenant: TenantId;
  readonly description: string;
  readonly url: string;
  /** Types of events, with `*` and `?` as globs have them. */
  readonly events: readonly string[];
  /** Only events of commands with all of these; of none: all events. */
  readonly labels: Readonly<Record<string, string>>;
  readonly enabled: boolean;
  /** Absent when whoever manages it disabled it. */
  readonly disabled?: { readonly at: Instant; readonly reason: DisabledReason } | undefined;
  /** 1 when it was made, one more with each change by a caller. */
  readonly version: number;
  /** Whoever stored it last: it is told what this member may read. */
  readonly member: string;
  /** What the credential was limited to that it was stored with; goes on to hold. */
  readonly scope: Scope;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly updatedAt: Instant;
  /** The newest first: never none, and at most so many as may overlap. */
  readonly keys: readonly KeptKey[];
  /** Events up to this one are delivered, given up, open, or not for it. */
  readonly after: number;
  /** By sequence. */
  readonly open: readonly OpenDelivery[];
  /** Since when every try failed. */
  readonly failingSince?: Instant | undefined;
  readonly deliveredAt?: Instant | undefined;
  /** Who delivers now, until then. */
  readonly lease?: { readonly holder: string; readonly until: Instant } | undefined;
}
