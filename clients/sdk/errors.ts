import type { ProblemView } from '../../shared/contract/schemas.ts';
import type { ProblemCode } from '../../shared/domain/errors.ts';

/** Those of docs/errors.md, and `unexpected-answer` for what no Errand would say. A newer server may know more. */
export type ErrorCode = ProblemCode | 'unexpected-answer' | (string & {});

/** The root of all that this client throws. */
export class ErrandError extends Error {
  override readonly name: string = 'ErrandError';
}

/** The server answered with a problem (RFC 9457). */
export class ApiError extends ErrandError {
  override readonly name = 'ApiError';
  readonly problem: ProblemView;
  /** When the server said that a repetition may succeed; undefined when it did not say. */
  readonly retryAfterSeconds: number | undefined;

  constructor(problem: ProblemView, options: ErrorOptions & { retryAfterSeconds?: number | undefined } = {}) {
    super(problem.detail ?? problem.title, options);
    this.problem = problem;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** Stable: what to branch on. */
  get code(): ErrorCode {
    return this.problem.code;
  }

  get status(): number {
    return this.problem.status;
  }
}

/** The server could not be reached, or was lost on the way. A command may go on without us. */
export class ConnectionError extends ErrandError {
  override readonly name = 'ConnectionError';
  readonly url: string;
  /** The command that was lost sight of: follow it again by this id. */
  readonly commandId: string | undefined;

  constructor(url: string, commandId: string | undefined, options?: ErrorOptions) {
    const what = commandId
      ? `The connection to ${url} was lost; ${commandId} may go on there`
      : `${url} cannot be reached`;
    super(what, options);
    this.url = url;
    this.commandId = commandId;
  }
}

/** There is nothing to show to the server: `apiKey` was asked for a key, and had none. Its own error is the cause. */
export class CredentialError extends ErrandError {
  override readonly name = 'CredentialError';
}
