import type { Isolation } from './command.ts';

/** What a rule does to what it applies to. Whatever their order, a denial wins over an approval, and that over a permission. */
export const EFFECTS = ['allow', 'deny', 'approval'] as const;
export type Effect = (typeof EFFECTS)[number];

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A time of the week. */
export interface Hours {
  /** An IANA name, such as `Europe/Berlin`. */
  readonly timeZone: string;
  /** Undefined: all. The day on which a time over midnight begins. */
  readonly days?: readonly Weekday[] | undefined;
  /** `08:00`; with `to` before it, over midnight. */
  readonly from: string;
  /** Not any more at this minute. */
  readonly to: string;
}

/**
 * What a rule is about: all that is given must hold, and of a list one. Texts are patterns of the whole, in which `*` stands for any
 * characters and `?` for one.
 */
export interface Conditions {
  readonly roles?: readonly string[] | undefined;
  /** By id. */
  readonly members?: readonly string[] | undefined;
  /**
   * By name or path. A name also means such a program in a system folder when it is allowed, in any folder when it is not. `>` and `<` are
   * files that a script writes and reads, with their path as the argument.
   */
  readonly programs?: readonly string[] | undefined;
  /** Each argument is one of these. */
  readonly everyArgument?: readonly string[] | undefined;
  /** Some argument is one of these. */
  readonly anyArgument?: readonly string[] | undefined;
  /** A pool's name means each of its targets, when a command gets there by it. */
  readonly targets?: readonly string[] | undefined;
  /** Of a command that names an image. */
  readonly images?: readonly string[] | undefined;
  /** All of them. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Some secret that it is given is one of these. */
  readonly secrets?: readonly string[] | undefined;
  readonly isolationBelow?: Isolation | undefined;
  /** Whether it can reach a network, as far as the target tells; what it does not tell is `reachable`. */
  readonly network?: 'reachable' | 'none' | undefined;
  /** It asks for more than any one of these. */
  readonly over?:
    | {
        readonly timeoutSeconds?: number | undefined;
        readonly queueTtlSeconds?: number | undefined;
        readonly cpu?: number | undefined;
        readonly memoryMiB?: number | undefined;
        readonly attempts?: number | undefined;
      }
    | undefined;
  readonly hours?: Hours | undefined;
}

export interface PolicyRule extends Conditions {
  /** Unique within its policy. */
  readonly name: string;
  readonly effect: Effect;
  /** What who is refused is told. */
  readonly reason?: string | undefined;
  /** It does not apply where all of this holds. */
  readonly except?: Conditions | undefined;
}

/** What a tenant's commands may be. */
export interface Policy {
  /** What no rule applies to. */
  readonly default: Effect;
  /**
   * What becomes of a command of which it cannot be told what it runs, where a rule is about programs or arguments.
   * @default 'deny'
   */
  readonly unreadable?: Effect | undefined;
  readonly rules: readonly PolicyRule[];
}

/** A policy as it was applied. It never changes. */
export interface PolicyVersion {
  /** From 1. */
  readonly version: number;
  readonly policy: Policy;
  readonly comment?: string;
  /** The version whose policy this is again. */
  readonly restored?: number;
  readonly appliedAt: number;
  readonly appliedBy: string;
}
