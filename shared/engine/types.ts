import type { Instant } from '../domain/clock.ts';
import type { Attempt, Command, Exit, SignalName } from '../domain/command.ts';
import type { HealthState } from '../domain/health.ts';
import type { OutputTotals } from '../domain/output.ts';
import type { Pool } from '../domain/pools.ts';
import type { EngineRules } from './rules.ts';

/** What someone saw, or asked for. */
export type Observation =
  /** A worker looks. `holding`: it carries the present attempt and vouches that it is alive. */
  | { readonly kind: 'looked'; readonly worker: string; readonly ticket: string; readonly holding: boolean }
  /** The sweeper found it due: its wake-up may be lost. */
  | { readonly kind: 'swept' }
  /** A detached start was accepted. `ref`: what the provider calls the run. */
  | { readonly kind: 'accepted'; readonly attempt: number; readonly ref?: string | undefined }
  /** The runner asks for the right to execute. `runner`: which one, when it is elsewhere and may have to ask again. */
  | { readonly kind: 'redeemed'; readonly attempt: number; readonly ticket: string; readonly runner?: string }
  /** The runner saw the end. */
  | {
      readonly kind: 'ended';
      readonly attempt: number;
      readonly exit: Exit;
      readonly output: OutputTotals;
      readonly ticket?: string;
    }
  /** The provider did not take the start; surely nothing was executed. */
  | {
      readonly kind: 'rejected';
      readonly attempt: number;
      readonly detail: string;
      readonly retryable: boolean;
      /** As the provider asked for. */
      readonly retryAfterSeconds?: number;
      /** Of whoever says so, who knows of nobody else's: of two that claimed one attempt, each has its own. */
      readonly ticket?: string;
    }
  /** The provider could not be asked: nothing is known of the run. */
  | { readonly kind: 'unreachable'; readonly attempt: number }
  /** The provider knows that the run exists. */
  | { readonly kind: 'alive'; readonly attempt: number }
  /** Nothing is left of the run. How it ended cannot be known, unless the provider says it (`exit`). */
  | {
      readonly kind: 'gone';
      readonly attempt: number;
      readonly output: OutputTotals;
      readonly detail?: string;
      readonly exit?: Exit;
      /** Nobody saw it gone: it was not heard of for a whole lease, where nobody can be asked for it. */
      readonly unheard?: true;
      /** The provider has said so for `goneSeconds`, by a timer. */
      readonly sure?: true;
      readonly ticket?: string;
    }
  /** Whoever read the run hears nothing of it any more. Its runner is elsewhere and may live: its looks will tell. */
  | { readonly kind: 'unheard'; readonly attempt: number; readonly detail?: string }
  /** Nothing of the run is left at the provider any more. */
  | { readonly kind: 'released'; readonly attempt: number }
  /** Its store was restored from a backup, so that it may have moved on since without a trace. */
  | {
      readonly kind: 'restored';
      /** When the backup was made. */
      readonly backedUpAt: Instant;
      /** Of the present attempt, if it had begun. */
      readonly output: OutputTotals;
      /** Whether what had not begun waits on, though it may have run since. */
      readonly waitsOn: boolean;
      /** Whether the installation that was backed up is gone, so that its runs are ours to retry, and what it left at providers to remove. */
      readonly takesOver: boolean;
    }
  | { readonly kind: 'cancel-requested' }
  /** Its next attempt is to be on this target, one that it may run on. */
  | { readonly kind: 'move-requested'; readonly target: string }
  | { readonly kind: 'signal-requested'; readonly signal: SignalName };

/** What must be done once `next` is stored, by the one who stored it. Each may be lost: a later look asks again. */
export type Effect =
  | { readonly kind: 'start'; readonly attempt: Attempt }
  | { readonly kind: 'observe'; readonly attempt: Attempt }
  | { readonly kind: 'stop'; readonly attempt: Attempt }
  /** Remove what is left of a run that has ended, or was given up. */
  | { readonly kind: 'release'; readonly attempt: Attempt }
  | { readonly kind: 'wake'; readonly at: Instant };

export interface StepContext {
  readonly now: Instant;
  /** Random, in [0, 1), for jitter. */
  readonly fraction: number;
  readonly rules: EngineRules;
  /** Of a target by name, also of one that is not configured any more. */
  readonly traitsOf: (target: string) => TargetTraits;
  readonly outlook: Outlook;
}

/** What the next attempt's target is chosen by. */
export interface Outlook {
  of(target: string): TargetOutlook;
  /** Undefined for a name that is no pool's. */
  pool(name: string): Pool | undefined;
}

export interface TargetOutlook {
  readonly state: HealthState;
  /** Why it is not healthy. */
  readonly why?: string | undefined;
  readonly downUntil?: Instant | undefined;
  /** How long a start is expected to take; 0 when it is not known. */
  readonly startMs: number;
  readonly pricePerHour?: number | undefined;
}

/** What the engine has to know of a target; a provider's features say it. */
export interface TargetTraits {
  /** Whether a runner redeems the start ticket. Without it, an attempt may run from its start on. */
  readonly startTicket: boolean;
  /** `detached`: nobody of ours carries the run, so the provider is asked how it is. */
  readonly mode: 'inline' | 'detached';
  /** `remote` and inline: a runner elsewhere tells of the run by itself should whoever reads it be gone. */
  readonly runner: 'in-process' | 'remote';
  /** From a start until its ticket is redeemed, at most. */
  readonly startSeconds: number;
  /** Whether something of an ended run stays at the provider until it is removed. */
  readonly leavesBehind: boolean;
}

export interface Step {
  /** The same object as before when nothing changes. */
  readonly next: Command;
  readonly effects: readonly Effect[];
}
