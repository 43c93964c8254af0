import type { Instant } from '../domain/clock.ts';
import type { Exit, Isolation, LauncherKind, SignalName } from '../domain/command.ts';
import type { AttemptKey, TenantId } from '../domain/ids.ts';
import type { StreamName } from '../domain/output.ts';
import type { SessionShell } from '../domain/sessions.ts';
import type { TerminalSize } from '../domain/terminal.ts';

/** What a provider can do, as data: submission checks it, GET /v1/providers shows it, the contract suite skips by it. */
export interface ProviderFeatures {
  /**
   * `inline`: `start` itself carries the run to its end, or until it is `unheard`.
   * `detached`: `start` only makes it exist; the runner beside the command reports by itself, over shared/contract/runner.ts.
   */
  readonly mode: 'inline' | 'detached';
  /** Who redeems the start ticket: this process, or a runner that stands beside the command and calls back. */
  readonly runner: 'in-process' | 'remote';
  /** Whether something of an ended run stays at the provider until `cancel` removes it. */
  readonly leavesBehind: boolean;
  /** From an accepted start until the start ticket is redeemed, at most: a machine to be found, an image to be pulled. */
  readonly startSeconds: number;
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
  /** The levels at which they can, where it is not at all of them. */
  readonly resourceLimitsAt?: readonly Isolation[];
  readonly isolation: readonly Isolation[];
  /** Why a level is not offered that could be: a stable name, the reason and what to do, for a person. */
  readonly isolationLacking?: { readonly [level in Isolation]?: string };
  /** What each command of isolation `sandbox` gets on this machine where it asks for nothing else. */
  readonly sandbox?: {
    readonly network: 'none' | 'host';
    readonly diskMiB: number;
    readonly diskFiles: number;
    readonly memoryMiB: number;
    readonly processes: number;
    readonly openFiles: number;
    /** `watching`: without control groups, memory and processor are looked at many times a second, which is weaker. */
    readonly limitedBy: 'control-groups' | 'watching';
  };
  readonly longestTimeoutSeconds: number;
  /** Whether each command of isolation `process` has a user of its own. */
  readonly ownUser?: boolean;
  /** What starts the commands, where that is this machine. */
  readonly launcher?: LauncherKind;
  /** The levels at which it can hold a warm shell. Absent: at none. */
  readonly sessions?: readonly Isolation[];
  /** The levels at which a command can have a terminal. Absent: at none. */
  readonly terminals?: readonly Isolation[];
  /** Why there are none that could be, and what to do, for a person. */
  readonly terminalsLacking?: string;
}

/** What names an attempt at its provider. */
export interface RunName {
  readonly key: AttemptKey;
  readonly tenant: TenantId;
  /** Who holds it, for an inline provider; see `observe`. */
  readonly worker: string;
  /** What an accepted start said that the provider calls it. Absent when that answer was lost. */
  readonly ref?: string;
}

/** One attempt, as the provider needs to know it. Everything comes from the stored record, so a start can be repeated. */
export interface Run extends RunName {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly image?: string;
  readonly isolation: Isolation;
  readonly cpu?: number;
  readonly memoryMiB?: number;
  /** All three streams are a terminal of this size, of a session of its own: what it shows comes as stdout, what is typed goes in as stdin. */
  readonly terminal?: TerminalSize;
  readonly timeoutSeconds: number;
  /** The right of a runner elsewhere to this one attempt; see shared/contract/runner.ts. Secret. */
  readonly token: string;
}

/** The caller's side of a run: what the runner asks and tells while the command lives. */
export interface RunIo {
  /** Redeems the start ticket. The command may be executed only after `true`; `false` means: leave silently. */
  redeem(): Promise<boolean>;
  /** Tells that a runner elsewhere redeemed the ticket by itself, so the command may be executing from now on. */
  redeemedElsewhere(): Promise<void>;
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
  /** Calls back with each size that the run's terminal is given. Absent for a run without one. */
  onResize?(deliver: (size: TerminalSize) => void): void;
}

/** Why a provider could not do what was asked. `retryable`: the same start may succeed later. */
export interface ProviderFault {
  readonly detail: string;
  readonly retryable: boolean;
  /** When to ask again at the earliest, as the provider said (`Retry-After`). */
  readonly retryAfterSeconds?: number;
}

export type StartOutcome =
  /**
   * Detached: it exists at the provider, or surely will, and its runner has the word from now on. Also the answer when an
   * earlier start with the same key made it.
   */
  | { readonly kind: 'accepted'; readonly ref?: string }
  /** The command ran and all that it started is gone. */
  | { readonly kind: 'ended'; readonly exit: Exit }
  /** The ticket was not redeemed: someone else has the attempt, or it was canceled. Nothing was executed. */
  | { readonly kind: 'refused' }
  /** Surely not executed. */
  | { readonly kind: 'rejected'; readonly fault: ProviderFault }
  /**
   * Inline with a remote runner: it is not heard of any more from here, and may live. Whether it redeemed the ticket the
   * record knows; if it did, it tells the rest by itself.
   */
  | { readonly kind: 'unheard'; readonly detail: string }
  /** May have executed; what became of it cannot be known. All that could be found of it is gone. */
  | { readonly kind: 'lost'; readonly detail: string };

export type Observed =
  | { readonly kind: 'alive' }
  /** Nothing of the run is left, and how it ended cannot be known beyond what `detail` and `exit` tell. */
  | {
      readonly kind: 'gone';
      /** What the provider says of its end, for a person. */
      readonly detail?: string;
      /** Set when the provider says how the run itself ended, such as by want of memory. */
      readonly exit?: Exit;
      /** It was not seen to be gone, only not heard of for as long as its lease: something of it may still be there. */
      readonly unheard?: true;
    }
  /** It never executed and never will: its image cannot be pulled, the provider refuses its shape. */
  | { readonly kind: 'failed'; readonly detail: string };

/** A warm shell, as it is to be. */
export interface ShellSpec {
  /** Names it at the provider, as the key of an attempt does. */
  readonly key: AttemptKey;
  readonly tenant: TenantId;
  readonly shell: SessionShell;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly isolation: Isolation;
}

/** One shell that executes script after script and keeps its state between them. */
export interface Shell {
  /**
   * Executes a script in the shell itself and resolves with how it ended; one at a time. Its output is all that was written until
   * then: what its background jobs write later goes nowhere. `stop` interrupts it (SIGINT, for its children too), and ends the shell
   * if that does not help. A script that ends the shell ends as the shell does.
   */
  run(script: ShellScript, io: Pick<RunIo, 'output' | 'stop' | 'onSignal'>): Promise<ShellOutcome>;
  /** Ends it and all that was started in it. Resolves when all is gone; twice is the same as once. */
  end(): Promise<void>;
  /** Resolves when the shell and all of it is gone, with one sentence for a person. */
  readonly ended: Promise<{ readonly detail: string }>;
}

export type ShellOutcome = Extract<StartOutcome, { kind: 'ended' | 'lost' }>;

export interface ShellScript {
  readonly text: string;
  readonly stdin: Uint8Array;
  /** Exported while it runs; then all of these are what they were before. @default none */
  readonly env?: Readonly<Record<string, string>>;
}

/** A run that the provider still holds. */
export interface HeldRun extends RunName {
  readonly createdAt: Instant | undefined;
}

/** A health line for GET /v1/providers and /readyz. */
export interface Health {
  readonly healthy: boolean;
  readonly detail?: string;
}

/** What a provider may have to be brought. */
export interface PreparationParts {
  /** The runner's program by file name, such as `runner.mjs` and `chunks/….mjs`. What it runs on is not among them. */
  readonly runner: ReadonlyMap<string, Uint8Array>;
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
  /**
   * One look, without waiting. Inline: looks for a run that someone else may hold; when its holder is dead, all that is
   * left of the run is ended first. Detached: what the provider says of it.
   */
  observe(run: RunName): Promise<Observed>;
  /**
   * Ends a run and removes what is left of it at the provider, as far as it can be found. Twice is the same as once;
   * unknown and ended ones are fine. Resolves once it was asked for: only `observe` says that it is gone.
   */
  cancel(run: RunName): Promise<void>;
  /**
   * A warm shell, once it is up. There where `features.sessions` is. After its holder died, `observe` with its key ends what is left.
   * @throws Error in words for a person when it does not come up; nothing is left of it
   */
  openShell?(spec: ShellSpec): Promise<Shell>;
  /** Every run of this installation that the provider holds, for the search for those that nobody waits for. */
  held?(): AsyncIterable<HeldRun>;
  health(): Promise<Health>;
  /**
   * Brings what runs need at the provider and can be brought without a person, such as this release's runner. Twice is the
   * same as once. Absent: nothing is needed beyond what the target's configuration names.
   * @throws Error that says what is missing, for a person
   */
  prepare?(parts: PreparationParts): Promise<void>;
  /** Removes what this installation left at the provider beside runs. Twice is the same as once. */
  remove?(): Promise<void>;
  /** Ends every run held by this process and lets go of what it holds. */
  close(): Promise<void>;
}
