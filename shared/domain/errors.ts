interface Problem {
  /** HTTP status. */
  readonly status: number;
  readonly title: string;
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean;
}

/** The one table of errors. A code never changes its meaning; each has its row in docs/errors.md. */
export const PROBLEMS = {
  'invalid-request': { status: 400, title: 'The request is not valid', retryable: false },
  unauthenticated: { status: 401, title: 'Not authenticated', retryable: false },
  forbidden: { status: 403, title: 'Not allowed', retryable: false },
  'policy-denied': { status: 403, title: 'Denied by the policy', retryable: false },
  'approval-required': { status: 403, title: 'Needs an approval', retryable: false },
  'not-found': { status: 404, title: 'Not found', retryable: false },
  'method-not-allowed': { status: 405, title: 'Method not allowed', retryable: false },
  conflict: { status: 409, title: 'Conflicts with the present state', retryable: false },
  'already-final': { status: 409, title: 'The command has already ended', retryable: false },
  'too-large': { status: 413, title: 'Too large', retryable: false },
  'unsupported-media-type': { status: 415, title: 'Unsupported media type', retryable: false },
  'upgrade-required': { status: 426, title: 'Needs a WebSocket', retryable: false },
  'range-not-satisfiable': { status: 416, title: 'Range not satisfiable', retryable: false },
  'idempotency-mismatch': { status: 422, title: 'Idempotency key used with another body', retryable: false },
  'isolation-unavailable': { status: 422, title: 'Isolation level not available', retryable: false },
  'unsupported-by-target': { status: 422, title: 'The target cannot do this', retryable: false },
  'rate-limited': { status: 429, title: 'Too many requests', retryable: true },
  'quota-exceeded': { status: 429, title: 'Quota used up', retryable: true },
  unavailable: { status: 503, title: 'Not available right now', retryable: true },
} as const satisfies Record<string, Problem>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Where in the request a fault lies. */
export interface Fault {
  readonly in: 'body' | 'query' | 'path' | 'header';
  /** JSON pointer (RFC 6901) into the part named by `in`; for query, path and header `/<name>`. */
  readonly pointer: string;
  readonly detail: string;
}

/** An error that the caller may see: what happened, to what, and what to do next. Anything else thrown is our own bug. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ProblemCode;
  readonly faults: readonly Fault[];
  /** Extra response headers, such as `Allow` or `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    options: ErrorOptions & { faults?: readonly Fault[]; headers?: Record<string, string> } = {},
  ) {
    super(detail, options);
    this.code = code;
    this.faults = options.faults ?? [];
    this.headers = options.headers ?? {};
  }
}

/** Whether something refused for what is there already: the same again would be refused again. */
export const isConflict = (error: unknown): boolean => error instanceof AppError && error.code === 'conflict';

/**
 * One answer for a trigger that is not there, one that is paused, and a signature that is not good: who cannot sign learns nothing. It
 * counts as a credential that was not good.
 */
export class NoSuchHook extends AppError {
  /** For figures alone. */
  readonly why: 'unknown' | 'signature' | 'paused';
  constructor(why: NoSuchHook['why']) {
    const detail =
      'There is no trigger here that takes this. Check the address, the secret and the clock, and that the trigger is not paused.';
    super('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
    this.why = why;
  }
}
