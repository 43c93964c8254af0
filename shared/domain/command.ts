import type { Instant } from './clock.ts';
import type { Credential } from './credential.ts';
import type { CommandId, TenantId, WorkflowId } from './ids.ts';
import type { OutputTotals } from './output.ts';
import type { TerminalSize } from './terminal.ts';
import type { TraceContext } from './trace-context.ts';

/** From which status a command may move to which. The empty rows are final. */
const NEXT = {
  // Straight to `lost` in a store that was restored from a backup: it may have run since that was made.
  queued: ['starting', 'canceled', 'expired', 'lost'],
  // Back to `queued` when the start ticket was never redeemed, so nothing ran, or before a retry.
  // Straight to an end where no ticket is redeemed, so that the start of the run is not seen.
  starting: ['running', 'queued', 'succeeded', 'failed', 'timed_out', 'canceled', 'lost'],
  running: ['queued', 'succeeded', 'failed', 'timed_out', 'canceled', 'lost'],
  succeeded: [],
  failed: [],
  timed_out: [],
  canceled: [],
  expired: [],
  lost: [],
} as const satisfies Record<string, readonly string[]>;

export type Status = keyof typeof NEXT;
export const STATUSES = Object.keys(NEXT) as [Status, ...Status[]];
export const canMove = (from: Status, to: Status): boolean => (NEXT[from] as readonly Status[]).includes(to);
export const isFinal = (status: Status): boolean => NEXT[status].length === 0;

export const REASONS = [
  'exit',
  'signal',
  'timeout',
  'canceled',
  'out-of-memory',
  'lost',
  'provider-error',
  'denied',
] as const;
export type Reason = (typeof REASONS)[number];

/** From the weakest walls to the strongest. */
export const ISOLATION_LEVELS = ['none', 'process', 'container', 'sandbox', 'microvm'] as const;
export type Isolation = (typeof ISOLATION_LEVELS)[number];

/** What may start commands on this machine, the fastest first. */
export const LAUNCHERS = ['native', 'node'] as const;
export type LauncherKind = (typeof LAUNCHERS)[number];

export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

export const RETRY_CAUSES = ['lost', 'provider-error', 'nonzero-exit'] as const;
export type RetryCause = (typeof RETRY_CAUSES)[number];

/** Signals that a caller may send; the POSIX ones that mean the same on every platform we run on. */
export const SIGNALS = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGKILL',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTERM',
  'SIGCONT',
  'SIGSTOP',
  'SIGWINCH',
] as const;
export type SignalName = (typeof SIGNALS)[number];

/** The input that a command is given: nothing, bytes fixed at submission, or parts that the caller sends while it runs. */
export type Stdin =
  | { readonly kind: 'none' }
  | { readonly kind: 'fixed'; readonly base64: string }
  | { readonly kind: 'open' };

/** A target that a command may run on, and the level of isolation that it has there. */
export interface Place {
  readonly target: string;
  readonly isolation: Isolation;
}

/** What stands behind one name: a target, or those of a pool. */
export interface Leg {
  readonly name: string;
  readonly places: readonly Place[];
}
/** In the order in which they are tried. No target is in it twice. */
export type Route = readonly Leg[];

/** What was asked for, defaults filled in. It never changes after submission. */
export interface CommandSpec {
  /** Exactly one of `argv` and `script` is there. */
  readonly argv?: readonly [string, ...string[]];
  readonly script?: string;
  /** Runs `script` as `<shell> -c <script>`. */
  readonly shell: string;
  /** As the caller named it: a target, or a pool of them. */
  readonly target: string;
  /** Where else it may run, as the caller named it. */
  readonly failover?: readonly string[];
  /** Every target that it may run on, as it was decided about at submission. Absent: `target` alone, which is one. */
  readonly route?: Route;
  readonly image?: string;
  readonly env: Readonly<Record<string, string>>;
  /** Variables that hold secrets, as `secret:<name>`. Their values are in no record. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin: Stdin;
  /** The size of its terminal at first. Absent: it has none. */
  readonly terminal?: TerminalSize;
  /** From the start of the command until it is stopped. */
  readonly timeoutSeconds: number;
  /** From submission until a command that has not started expires. */
  readonly queueTtlSeconds: number;
  /** A success that is no older is answered in its place. Absent: always executed. */
  readonly cacheSeconds?: number;
  readonly cpu?: number;
  readonly memoryMiB?: number;
  readonly priority: Priority;
  readonly labels: Readonly<Record<string, string>>;
  /** With a route, the weakest of its places'. */
  readonly isolation: Isolation;
  readonly retry: { readonly maxAttempts: number; readonly on: readonly RetryCause[] };
}

/** What a run took of its machine, as far as that was counted. */
export interface Usage {
  /** Processor time of all that it waited for. */
  readonly cpuMs: number;
  /** The most that one of its processes had in memory. */
  readonly peakMemoryMiB: number;
}

/** How a run ended, as the one who watched it saw it. */
export interface Exit {
  /** The exit status, or null when a signal ended the command or it could not be run at all. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory?: boolean;
  /** One sentence for a person, such as why the program could not be executed. */
  readonly detail?: string;
  readonly usage?: Usage;
  /** How often a secret was masked in its output; absent for a command that was given none. */
  readonly redactions?: number;
}

export interface Result extends OutputTotals {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly reason: Reason;
  readonly detail?: string;
  readonly durationMs: number | null;
  /** The level that was really used. */
  readonly isolation: Isolation;
  readonly usage?: Usage;
  readonly redactions?: number;
}

/** Why a run is ended. `moved`: it runs again, on another target. */
export type StopReason = 'canceled' | 'timeout' | 'moved';

/** One try to run a command on a provider. */
export interface Attempt {
  /** From 1. */
  readonly number: number;
  readonly target: string;
  /** The level that it has there, where that is not the command's own. */
  readonly isolation?: Isolation;
  readonly status: Exclude<Status, 'queued'>;
  /** One-time right to execute. Redeemed by the runner before it executes; void once the attempt is given up. */
  readonly ticket: string;
  /** Who holds the run, for an inline provider. */
  readonly worker: string;
  /** Which runner redeemed the ticket, when that was one elsewhere: its repetition of the request is not another's. */
  readonly runner?: string;
  /** What the provider calls the run, as its accepted start said. */
  readonly ref?: string;
  /** Something of the run may be left at the provider, to be removed. */
  readonly held?: true;
  /** Why a start was given up, for a person. */
  readonly detail?: string;
  readonly requestedAt: Instant;
  /** When the ticket was redeemed. */
  readonly startedAt?: Instant;
  readonly endedAt?: Instant;
  /** When the run time-out ends it. */
  readonly deadlineAt?: Instant;
  /** Until then the holder is trusted to be alive; serves progress only, never safety. */
  readonly leaseUntil: Instant;
  /** Set once, by whichever came first. */
  readonly stop?: { readonly reason: StopReason; readonly requestedAt: Instant };
  readonly result?: Result;
}

export interface SentSignal {
  readonly attempt: number;
  /** From 1 within the command. */
  readonly number: number;
  readonly signal: SignalName;
}

/** What of its tenant's policy let a command in. */
export interface Admission {
  readonly version: number;
  /** Undefined: the policy's default. */
  readonly rule?: string;
  readonly approval?: string;
}

/** The record of a command: what the store keeps and the engine moves. */
export interface Command {
  readonly id: CommandId;
  readonly tenant: TenantId;
  readonly spec: CommandSpec;
  readonly status: Status;
  readonly submittedBy: string;
  /** As whom, and how it proved that. */
  readonly submittedWith?: {
    readonly role: string;
    readonly credential: Credential;
    /** The network that it came from. */
    readonly place?: string;
  };
  readonly submittedAt: Instant;
  readonly startedAt?: Instant;
  readonly endedAt?: Instant;
  /** When someone must look at it next; absent once final and nothing of it is left at a provider. */
  readonly dueAt?: Instant;
  /** A command still queued then expires. */
  readonly expiresAt: Instant;
  /** A retry waits until then. */
  readonly notBefore?: Instant;
  readonly cancelRequestedAt?: Instant;
  /** Where its next attempt is to be, as somebody asked for. */
  readonly moveTo?: string;
  readonly signals: readonly SentSignal[];
  readonly attempts: readonly Attempt[];
  readonly result?: Result;
  readonly replayOf?: CommandId;
  /** Whose shell runs it. */
  readonly session?: string;
  /** Which schedule submitted it, for which instant. */
  readonly scheduledBy?: { readonly schedule: string; readonly at: Instant };
  /** Which trigger submitted it, and what its sender calls the delivery that made it do so. */
  readonly triggeredBy?: { readonly trigger: string; readonly delivery?: string | undefined };
  /** Of which node of which workflow it is; of one of many, the place of its item. */
  readonly workflow?: { readonly id: WorkflowId; readonly node: string; readonly item?: number };
  /** What its tenant's policy let it in by. */
  readonly policy?: Admission;
  /** Its end is counted, as its tenant has quotas. */
  readonly metered?: true;
  /** It was put into the audit log by whoever moved it first, and not by the log's reader, which may come upon it too late, or later. */
  readonly loggedApart?: true;
  /** What it was submitted within. */
  readonly trace?: TraceContext;
}

/** Where a command may run. */
export const routeOf = ({ target, isolation, route }: Pick<CommandSpec, 'target' | 'isolation' | 'route'>): Route =>
  route ?? [{ name: target, places: [{ target, isolation }] }];

export const currentAttempt = (command: Command): Attempt | undefined => command.attempts.at(-1);

/** Whether the command still waits for this attempt: it is the present one, and neither ended nor given up. */
export const waitsFor = (command: Command, attemptNumber: number): boolean => {
  const current = currentAttempt(command);
  return !isFinal(command.status) && current?.number === attemptNumber && current.endedAt === undefined;
};
