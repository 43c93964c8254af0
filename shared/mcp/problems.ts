import type { CallToolResult } from '@modelcontextprotocol/server';
import { AppError, type ProblemCode } from '../domain/errors.ts';
import { toProblem } from '../http/problem.ts';
import { toSafe } from './safe-text.ts';

/** What an agent does next. Where nothing stands, the problem's own words say it. */
const NEXT: Partial<Record<ProblemCode, string>> = {
  'approval-required':
    'Ask a person who may answer approvals to approve it (errand approval approve <id>), then call again with the same arguments. You cannot approve it.',
  'policy-denied': 'Do not look for a way around it: ask for something else, or tell the person you work for.',
  forbidden: 'Tell the person you work for: the key that you use was not given this right.',
  'not-found': 'list_commands lists the commands that there are.',
  'already-final': 'wait_command with waitSeconds 0 shows how it ended.',
  'idempotency-mismatch': 'Use a new idempotencyKey for another command.',
  'rate-limited': 'Wait, then call again.',
  'quota-exceeded': 'Wait, then call again.',
  unavailable: 'Call again in a few seconds.',
};

/** A problem as a tool's answer: its code, what happened, what to do next. */
export const toErrorResult = (error: unknown, requestId: string): CallToolResult => {
  const problem = toSafe(toProblem(error, requestId));
  const isOurs = error instanceof AppError;
  const next = isOurs ? NEXT[error.code] : undefined;
  const approval = isOurs
    ? /^\/v1\/approvals\/(apr_[0-9a-f]{32})$/.exec(error.headers['location'] ?? '')?.[1]
    : undefined;
  const lines = [
    `${problem.code}: ${problem.detail}`,
    ...(approval === undefined ? [] : [`Approval: ${approval}`]),
    ...(next === undefined ? [] : [`Next: ${next}`]),
  ];
  return {
    isError: true,
    content: [{ type: 'text', text: lines.join('\n') }],
    _meta: { problem: { ...problem, ...(approval === undefined ? {} : { approval }) } },
  };
};
