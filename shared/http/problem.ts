import type { ProblemView } from '../contract/schemas.ts';
import { AppError, PROBLEMS } from '../domain/errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** RFC 9457 problem details. What was thrown by mistake is ours to read in the log; the caller learns nothing of it. */
export const toProblem = (error: unknown, requestId: string): ProblemView => {
  if (!(error instanceof AppError)) {
    const detail = `Something failed on our side. Tell the operator the request id ${requestId}.`;
    return { type: 'about:blank', title: 'Internal error', status: 500, detail, code: 'internal', requestId };
  }
  const { status, title } = PROBLEMS[error.code];
  return {
    type: `urn:errand:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    requestId,
    ...(error.faults.length > 0 ? { errors: [...error.faults] } : {}),
  };
};
