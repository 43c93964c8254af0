/** How a run at a place ended. */
export interface PlaceRun {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  /** What the place or the command said beside it, for a person. */
  readonly detail: string;
}

export interface PlaceRunOptions {
  readonly stdin: Uint8Array;
  /** Ends the run with all that it started. */
  readonly stop?: AbortSignal;
  /** Called with each piece of its output. */
  readonly onOutput?: (text: string) => void;
}

/** What each command of a place may have; what is absent is not known. */
export interface PlaceLimits {
  readonly processes?: number;
  readonly memoryMiB?: number;
  readonly diskMiB?: number;
  readonly files?: number;
  readonly descriptors?: number;
  /** 100 is one processor. */
  readonly cpuPercent?: number;
}

/** Somewhere that commands can be run, with more or less of a wall around them. */
export interface Place {
  /** An isolation level, or a name of one's own. */
  readonly level: string;
  readonly limits: PlaceLimits;
  /** Whether each command has a user of its own on this machine. */
  readonly ownUsers: boolean;
  /**
   * Runs a command to its end. What it did is its result.
   * @throws when the place could not run it
   */
  run(argv: readonly [string, ...string[]], options: PlaceRunOptions): Promise<PlaceRun>;
  /** Whether whoever runs commands there is alive and well. */
  isHealthy(): Promise<boolean>;
}
