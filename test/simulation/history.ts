/*
 * What there is to judge a run by: what callers saw, and what providers know that they executed. The checker reads this and nothing else,
 * so it holds no type of the product.
 */

export type Stream = 'stdout' | 'stderr';

/** The statuses of commands that have ended. */
export const FINAL = ['succeeded', 'failed', 'timed_out', 'canceled', 'expired', 'lost'];
export const isFinal = (status: string): boolean => FINAL.includes(status);

/** A piece of output, as the command wrote it or as a caller read it. */
export interface Piece {
  readonly stream: Stream;
  readonly bytes: Uint8Array;
}

/** What a caller asked for, and all that it may count on. */
export interface Job {
  /** In the argv of its command, by which everything is told apart. */
  readonly name: string;
  readonly retryOn: readonly string[];
  readonly maxAttempts: number;
  /** All that it sends as input. */
  readonly input: Uint8Array;
  /** Where it may run. */
  readonly targets: readonly string[];
  /** Whether it asks to have it moved while it may run. */
  readonly moves: boolean;
}

/** One execution of a command, as the provider knows it. */
export interface Execution {
  readonly job: string;
  readonly command: string;
  readonly attempt: number;
  readonly place: string;
  readonly beganAt: number;
  /** Its arguments, behind the first, which says what it does. */
  readonly given: readonly string[];
  endedAt?: number;
  /** Null when it did not end by itself. */
  exitCode?: number | null;
  readonly wrote: Piece[];
  readonly read: Uint8Array[];
  readonly signals: string[];
}

export interface SeenResult {
  readonly exitCode: number | null;
  readonly reason: string;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  readonly droppedBytes: number;
}

export interface SeenAttempt {
  readonly number: number;
  readonly target: string;
  readonly status: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly result: SeenResult | null;
}

/** A command as a caller sees it. */
export interface Seen {
  readonly id: string;
  readonly status: string;
  readonly startedAt: string | null;
  readonly result: SeenResult | null;
  readonly attempts: readonly SeenAttempt[];
}

export type CallerEvent =
  /** It was told that its command is stored. */
  | { readonly kind: 'acknowledged'; readonly at: number; readonly job: string; readonly id: string }
  /** It will not be told: the answer was an error that is final. */
  | { readonly kind: 'refused'; readonly at: number; readonly job: string; readonly code: string }
  | { readonly kind: 'seen'; readonly at: number; readonly job: string; readonly seen: Seen }
  /** Its wish to cancel was confirmed. */
  | { readonly kind: 'cancel-confirmed'; readonly at: number; readonly job: string };

/** What is read of a command when everything is over. */
export interface FinalView {
  readonly job: string;
  readonly seen: Seen;
  readonly submittedAt: number;
  /** Of one that a schedule submitted. */
  readonly scheduledBy?: { readonly schedule: string; readonly at: number };
  /** Of one that a workflow submitted. */
  readonly partOf?: { readonly workflow: string; readonly node: string; readonly item: number };
  /** By attempt. */
  readonly output: ReadonlyMap<number, readonly Piece[]>;
}

/** In the order in which things were stored, and callers heard of them: several may be at one time. */
export type Place = number;

/** One version of a command's status, as it was stored. */
export interface StoredStatus {
  readonly at: number;
  readonly place: Place;
  readonly command: string;
  readonly status: string;
}

/** What became of an instant of a schedule, or of `count` in a row. */
export interface SeenFiring {
  readonly at: number;
  readonly outcome: string;
  readonly command?: string;
  readonly reason?: string;
  readonly count?: number;
}

/** A schedule, and all that was ever in its history. */
export interface ScheduleHistory {
  readonly id: string;
  /** Its first instant, as it was stored first, the last one that there can be, and how far two are apart. */
  readonly from: number;
  readonly until: number;
  readonly everyMs: number;
  readonly overlap: string;
  readonly catchUp: string;
  readonly hasEnded: boolean;
  readonly firings: readonly SeenFiring[];
}

/** A node as its workflow was submitted, and as it ended. */
export interface SeenNode {
  readonly name: string;
  /** In the argv of its commands. */
  readonly job: string;
  readonly needs: readonly string[];
  readonly condition: string | { readonly node: string; readonly exitCode?: number; readonly is?: readonly string[] };
  readonly allowFailure: boolean;
  /** Its items: given, what another wrote, or undefined where it runs once. */
  readonly items: readonly string[] | { readonly linesOf: string } | undefined;
  /** Whose output it is given, behind its item. */
  readonly reads: string | undefined;
  readonly retryOn: readonly string[];
  readonly maxAttempts: number;
  readonly status: string;
  readonly exitCode: number | null;
  readonly reason: string | null;
  readonly runs: readonly { readonly status: string; readonly command: string | null }[];
}

/** From the start of a workflow, or from a resumption, to its end. */
export interface Generation {
  readonly number: number;
  readonly begins: Place;
  readonly beganAt: number;
  readonly ends?: Place;
  readonly endedAt?: number;
  readonly status?: string;
  /** The commands that it knew of at its end. */
  readonly commands?: readonly string[];
}

/** A workflow, and all that it was. */
export interface WorkflowHistory {
  readonly name: string;
  /** Of which it was acknowledged. */
  readonly acknowledged: readonly string[];
  /** Those that are there under its name. */
  readonly found: readonly string[];
  readonly id: string;
  readonly status: string;
  readonly concurrency: number;
  readonly failFast: boolean;
  readonly timeoutSeconds: number;
  /** When a cancel of it was confirmed. */
  readonly canceled: Place | undefined;
  readonly wasToCancel: boolean;
  readonly generations: readonly Generation[];
  /** Each behind what it needs. */
  readonly nodes: readonly SeenNode[];
  /** How often the audit log has that it was submitted, and that it ended; undefined where it is not read. */
  readonly audited?: { readonly submitted: number; readonly ended: number } | undefined;
}

export interface History {
  readonly jobs: readonly Job[];
  readonly events: readonly CallerEvent[];
  readonly executions: readonly Execution[];
  readonly stored: readonly StoredStatus[];
  readonly schedules: readonly ScheduleHistory[];
  readonly workflows: readonly WorkflowHistory[];
  /** Whether the clocks of processes were wrong. */
  readonly clocksWereWrong: boolean;
  /** Whether anything at all went wrong. */
  readonly wasTroubled: boolean;
  readonly finals: readonly FinalView[];
  /** What providers still have when everything is over. */
  readonly left: readonly string[];
  /** When faults ended, and when everything was over. */
  readonly quietAt: number;
  readonly overAt: number;
  /** What of the promises this place can give. */
  readonly promises: Promises;
  /** Of a tenant with quotas. */
  readonly usage?: { readonly unfinished: number; readonly commands: number; readonly outputBytes: number };
  /** Subjects of the audit log's entries, by type. */
  readonly audit?: undefined | { readonly submitted: readonly string[]; readonly ended: readonly string[] };
}

export interface Promises {
  /** A ticket is redeemed before anything is executed. */
  readonly startTicket: boolean;
  /** Whether the provider can surely say that a run is gone. */
  readonly knowsGone: boolean;
  readonly keepsOutput: boolean;
}
