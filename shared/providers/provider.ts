import type { Exit, Isolation, SignalName } from '../domain/command.ts';
import type { AttemptKey } from '../domain/ids.ts';
import type { StreamName } from '../domain/output.ts';

/** What a provider can do, as data: submission checks it, GET /v1/providers shows it, the contract suite skips by it. */
export interface ProviderFeatures {
  /** `inline`: `start` itself carries the run to its end. */
  readonly mode: 'inline';
  /** Whether code of ours redeems the start ticket right before the command executes. */
  readonly startTicket: boolean;
  readonly liveOutput: boolean;
  readonly separateStreams: boolean;
  readonly stdin: boolean;
  readonly signals: boolean;
  /** What is ended by cancel and time-out: every descendant, or the process group only. */
  readonly cancel: 'tree' | 'process-group';
  readonly customImage: boolean;
  /** Whether `cpu` and `memoryMiB` can be asked for. */
  readonly resourceLimits: boolean;
  readonly isolation: readonly Isolation[];
  readonly longestTimeoutSeconds: number;
}

/** One attempt, as the provider needs to know it. Everything comes from the stored record, so a start can be repeated. */
export interface Run {
  readonly key: AttemptKey;
  /** Who holds it; see `observe`. */
  readonly worker: string;
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly image?: string;
  readonly isolation: Isolation;
  readonly cpu?: number;
  readonly memoryMiB?: number;
  readonly timeoutSeconds: number;
}

/** The caller's side of a run: what the runner asks and tells while the command lives. */
export interface RunIo {
  /** Redeems the start ticket. The command may be executed only after `true`; `false` means: leave silently. */
  redeem(): Promise<boolean>;
  /**
   * Takes bytes in the order in which they came. The provider waits for the promise before it reads
   * more than a bounded amount, which slows the command down: that is the back-pressure.
   */
  output(stream: StreamName, bytes: Uint8Array): Promise<void>;
  /** The command's input, ended when the iteration ends; undefined gives it an empty one. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  /** Aborts when the command must end: TERM, grace, KILL, the whole tree. */
  readonly stop: AbortSignal;
  /** Calls back for each signal that the caller sends to the running command. */
  onSignal(deliver: (signal: SignalName) => void): void;
}

/** Why a provider could not do what was asked. `retryable`: the same start may succeed later. */
export interface ProviderFault {
  readonly detail: string;
  readonly retryable: boolean;
}

export type StartOutcome =
  /** The command ran and all that it started is gone. */
  | { readonly kind: 'ended'; readonly exit: Exit }
  /** The ticket was not redeemed: someone else has the attempt, or it was canceled. Nothing was executed. */
  | { readonly kind: 'refused' }
  /** Surely not executed. */
  | { readonly kind: 'rejected'; readonly fault: ProviderFault }
  /** May have executed; what became of it cannot be known. All that could be found of it is gone. */
  | { readonly kind: 'lost'; readonly detail: string };

export type Observed =
  | { readonly kind: 'alive' }
  /** Nothing of the run is left, and how it ended cannot be known. */
  | { readonly kind: 'gone' };

/** A health line for GET /v1/providers and /readyz. */
export interface Health {
  readonly healthy: boolean;
  readonly detail?: string;
}

/** Where commands run. A folder per provider holds one factory that returns this. */
export interface Provider {
  /** The kind, such as `local`. */
  readonly name: string;
  readonly features: ProviderFeatures;
  /**
   * Runs one attempt to its end. Never throws for what the command did: a program that cannot be found ends
   * with exit code 127, one that cannot be executed with 126, as shells do.
   */
  start(run: Run, io: RunIo): Promise<StartOutcome>;
  /** Looks for a run that someone else may hold. When its holder is dead, all that is left of the run is ended first. */
  observe(run: Pick<Run, 'key' | 'worker'>): Promise<Observed>;
  /** Ends a run that someone else holds, as far as it can be found. Twice is the same as once; unknown is fine. */
  cancel(run: Pick<Run, 'key' | 'worker'>): Promise<void>;
  health(): Promise<Health>;
  /** Ends every run held by this process and lets go of what it holds. */
  close(): Promise<void>;
}
