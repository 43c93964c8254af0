import type { Scope } from './actor.ts';
import type { Instant } from './clock.ts';
import type { CommandId, TenantId } from './ids.ts';

/** `trg_` and 16 hex digits. */
export type TriggerId = string & { readonly __brand: 'TriggerId' };
export const TRIGGER_ID = /^trg_[0-9a-f]{16}$/;
export const isTriggerId = (text: string): text is TriggerId => TRIGGER_ID.test(text);

/** How a delivery shows that it comes from who it should, and by what two of them are one that was sent again. */
export type Signature =
  /** By its body, which is all that GitHub signs, or by `X-GitHub-Delivery`, which it does not. */
  | { readonly kind: 'github'; readonly identifiedBy: 'body' | 'delivery' }
  /** By `webhook-id`. */
  | { readonly kind: 'standard-webhooks' }
  /** A header that holds the secret itself; by another header, or each is one of its own. */
  | { readonly kind: 'shared-token'; readonly header: string; readonly deliveryHeader?: string | undefined };

/** Where in the vault a secret of a trigger is. The newest first; all but the first have an end. */
export interface TriggerSecret {
  readonly value: string;
  readonly addedAt: Instant;
  readonly endsAt?: Instant | undefined;
}

export type Scalar = string | number | boolean | null;

/** What a delivery has to be like; exactly one of `equals`, `in`, `glob` and `exists` is there. */
export interface Condition {
  /** As in a placeholder, such as `body.ref`. */
  readonly on: string;
  readonly equals?: Scalar | undefined;
  readonly in?: readonly Scalar[] | undefined;
  /** Any of them, of text alone. */
  readonly glob?: readonly string[] | undefined;
  readonly exists?: true | undefined;
  /** The opposite, which what is not there fulfils too. */
  readonly not?: true | undefined;
}

/** Whether a value may be one that a program takes for an option. */
export const LEADING_DASHES = ['refuse', 'allow'] as const;
export type LeadingDashes = (typeof LEADING_DASHES)[number];

/** An address that submits a command for each delivery. The template is in the contract's shape: nothing here reads it. */
export interface Trigger<Template = unknown> {
  readonly id: TriggerId;
  readonly tenant: TenantId;
  readonly name: string;
  /** 1 when it was made, one more with each change by a caller. */
  readonly version: number;
  readonly signature: Signature;
  readonly secrets: readonly TriggerSecret[];
  /** All of them hold, or nothing is submitted. */
  readonly filters: readonly Condition[];
  readonly leadingDashes: LeadingDashes;
  readonly template: Template;
  /** What of the template decides who may see it. */
  readonly spec: { readonly target: string; readonly labels: Readonly<Record<string, string>> };
  /** Whoever stored it last: commands are submitted with this member's rights. */
  readonly member: string;
  /** What the credential was limited to that it was stored with; goes on to hold. */
  readonly scope: Scope;
  readonly paused: boolean;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly updatedAt: Instant;
}

export const DELIVERY_OUTCOMES = ['submitted', 'repeated', 'skipped', 'refused'] as const;

/** What became of a delivery. Nothing of its content is here. */
export interface Delivery {
  readonly at: Instant;
  /** What its sender calls it. */
  readonly delivery?: string | undefined;
  readonly event?: string | undefined;
  readonly bytes: number;
  readonly outcome: (typeof DELIVERY_OUTCOMES)[number];
  readonly command?: CommandId | undefined;
  /** Stable: one of `DELIVERY_REASONS`, or the code of an error. */
  readonly reason?: string | undefined;
  /** For a person. */
  readonly detail?: string | undefined;
}

/** Why nothing was submitted, beside the codes of errors. */
export const DELIVERY_REASONS = {
  filter: 'a condition does not hold',
  ping: 'GitHub asks whether somebody is there',
  paused: 'the trigger is paused',
  signature: 'the signature is missing, wrong, or too old',
  'invalid-body': 'the body is not what its content type says',
  'missing-value': 'a placeholder has no value and no default',
  'leading-dash': 'a value would be taken for an option',
  'invalid-command': 'with its values, the command is none that can be submitted',
} as const;
export type DeliveryReason = keyof typeof DELIVERY_REASONS;
