export interface AbortOptions {
  /** Ends our waiting, not the command; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface WaitOptions extends AbortOptions {
  /** Waits so long for the end, at most 60 s; the command may come back unfinished. */
  readonly waitSeconds?: number;
}

export interface SubmitOptions extends WaitOptions {
  /** @default one made for this call, so that a repeated request submits once */
  readonly idempotencyKey?: string;
}
