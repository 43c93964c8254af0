import { decodeTime, encodeTime, monotonicFactory } from 'ulid';
import type { Clock, Random } from './clock.ts';

/** `cmd_` and 26 characters of Crockford base 32: a ULID, so ids sort by the time of submission. */
export type CommandId = string & { readonly __brand: 'CommandId' };
export type TenantId = string & { readonly __brand: 'TenantId' };

/** `wfl_` and 16 hex digits. */
export type WorkflowId = string & { readonly __brand: 'WorkflowId' };

export const COMMAND_ID = /^cmd_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
export const TENANT_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

export const isCommandId = (text: string): text is CommandId => COMMAND_ID.test(text);

export const WORKFLOW_ID = /^wfl_[0-9a-f]{16}$/;
export const isWorkflowId = (text: string): text is WorkflowId => WORKFLOW_ID.test(text);

export const isTenantId = (text: string): text is TenantId => TENANT_ID.test(text);

/** @throws TypeError when `text` is not a tenant's name (lower-case letters, digits, `-`; at most 63). */
export const toTenantId = (text: string): TenantId => {
  if (!isTenantId(text)) throw new TypeError(`Not a tenant id: ${JSON.stringify(text)}`);
  return text;
};

export interface CommandIds {
  next(): CommandId;
  /** From now on ids sort behind this one, which somebody else made, whatever the clock says. */
  passed(id: CommandId): void;
}

/**
 * Makes command ids that grow even within one millisecond (https://github.com/ulid/spec), and while the clock stands behind what was
 * seen: a hybrid logical clock (Kulkarni et al., 2014), whose counter is the random part.
 */
export const makeCommandIds = (clock: Pick<Clock, 'now'>, random: Pick<Random, 'fraction'>): CommandIds => {
  const ulid = monotonicFactory(() => random.fraction());
  let least = 0;
  return {
    next: () => `cmd_${ulid(Math.max(clock.now(), least)).toLowerCase()}` as CommandId,
    // A millisecond behind it, where its maker makes none: there two would count on from the same number.
    passed(id) {
      least = Math.max(least, decodeTime(id.slice('cmd_'.length).toUpperCase()) + 1);
    },
  };
};

/** Sorts before every id of that time or later. */
export const firstCommandId = (instant: number): string => `cmd_${encodeTime(instant).toLowerCase()}`;

/** The key that names one try at the provider. Stable: a second start with the same key is the same run. */
export type AttemptKey = `${CommandId}-${number}`;
export const attemptKeyOf = (id: CommandId, attemptNumber: number): AttemptKey => `${id}-${attemptNumber}`;
export const splitAttemptKey = (key: AttemptKey): { readonly id: CommandId; readonly attempt: number } => {
  const at = key.lastIndexOf('-');
  return { id: key.slice(0, at) as CommandId, attempt: Number(key.slice(at + 1)) };
};
