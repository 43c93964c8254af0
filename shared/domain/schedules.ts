import type { Scope } from './actor.ts';
import type { Instant } from './clock.ts';
import type { CommandId, TenantId } from './ids.ts';

/** `sch_` and 16 hex digits. */
export type ScheduleId = string & { readonly __brand: 'ScheduleId' };
export const SCHEDULE_ID = /^sch_[0-9a-f]{16}$/;

/** What happens at an instant while a command of an earlier one has not ended. */
export const OVERLAPS = ['allow', 'skip', 'replace', 'queue'] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** Which of the instants are made up for that passed while nobody was there to fire. */
export const CATCH_UPS = ['none', 'last', 'all'] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

/** When a schedule fires, before its jitter. */
export type Timing = (
  | { readonly kind: 'cron'; readonly cron: string; readonly timeZone: string }
  /** Each so many seconds from the anchor on. */
  | { readonly kind: 'every'; readonly everySeconds: number; readonly anchor: Instant }
  | { readonly kind: 'at'; readonly at: Instant }
) & {
  /** No instant is before. */
  readonly startAt?: Instant | undefined;
  /** No instant is after. */
  readonly endAt?: Instant | undefined;
};

export const OUTCOMES = ['submitted', 'skipped', 'refused', 'missed'] as const;

/** What became of an instant, or of several in a row that were missed. */
export interface Firing {
  /** When it was planned for; of one by hand, when that was. */
  readonly at: Instant;
  /** When this was decided. */
  readonly decidedAt: Instant;
  readonly outcome: (typeof OUTCOMES)[number];
  readonly command?: CommandId;
  /** Stable: `overlap`, `queue-full`, `paused`, `late`, `restored`, or the code of an error. */
  readonly reason?: string;
  /** For a person. */
  readonly detail?: string;
  /** How many instants this stands for, the first of them at `at`. Undefined: one. */
  readonly count?: number;
  /** Fired by hand, not by the clock. */
  readonly manual?: true;
}

/** A command on a clock. The template is what was submitted, in the contract's shape: nothing here reads it. */
export interface Schedule<Template = unknown> {
  readonly id: ScheduleId;
  readonly tenant: TenantId;
  readonly name: string;
  /** 1 when it was made, one more with each change by a caller. */
  readonly version: number;
  readonly timing: Timing;
  readonly jitterSeconds: number;
  readonly overlap: Overlap;
  readonly catchUp: CatchUp;
  readonly template: Template;
  /** What of the template decides who may see it. */
  readonly spec: { readonly target: string; readonly labels: Readonly<Record<string, string>> };
  /** Whoever stored it last: it fires with this member's rights. */
  readonly member: string;
  /** What the credential was limited to that it was stored with; goes on to hold. */
  readonly scope: Scope;
  readonly paused: boolean;
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly updatedAt: Instant;
  /** The instant that is fired next. Undefined while it is paused, and when none is left. */
  readonly next?: Instant | undefined;
  /** Instants that wait for a command to end, the oldest first. */
  readonly waiting: readonly Instant[];
  /** When those that wait are looked at again. */
  readonly lookAt?: Instant | undefined;
  /** Commands that had not ended when last seen. */
  readonly open: readonly CommandId[];
  /** The newest first. */
  readonly history: readonly Firing[];
}

/** FNV-1a, 32 bits: the same everywhere and always. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // Texts that differ in their last digits alone are far apart only after this (MurmurHash3's finalizer).
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
};

/** How much later than an instant it fires: for one schedule and instant always the same. */
export const jitterOf = ({ id, jitterSeconds }: Pick<Schedule, 'id' | 'jitterSeconds'>, at: Instant): number =>
  jitterSeconds === 0 ? 0 : hashOf(`${id}/${at}`) % (jitterSeconds * 1_000 + 1);

/** When someone must look at a schedule; undefined when nobody need. */
export const dueAtOf = (schedule: Schedule): Instant | undefined => {
  const { next, waiting, lookAt } = schedule;
  const fires = next === undefined ? Number.POSITIVE_INFINITY : next + jitterOf(schedule, next);
  const looks = waiting.length === 0 ? Number.POSITIVE_INFINITY : (lookAt ?? 0);
  const due = Math.min(fires, looks);
  return Number.isFinite(due) ? due : undefined;
};
