import type { ProviderFault } from '../provider.ts';
import { SignInFault } from './credentials.ts';

/** gRPC's codes (https://grpc.io/docs/guides/status-codes), which the client gives over REST too. */
export const CODE = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  unauthenticated: 16,
} as const;

export const codeOf = (error: unknown): number | undefined => {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
};

/**
 * What a failed call says, when it says that nothing was done; undefined when it may have been done: a failure of Cloud
 * Run itself (5xx), a connection that broke, an answer that did not come.
 */
export const toFault = (error: unknown): ProviderFault | undefined => {
  const causes = causesOf(error);
  if (causes.some((cause) => cause instanceof SignInFault)) return { detail: signInDetail(causes), retryable: true };
  const unreachable = causes.map(({ code }) => code).find((code) => NOT_REACHED.includes(String(code)));
  if (unreachable !== undefined) {
    const detail = `Cloud Run cannot be reached (${unreachable}). Look at the target’s \`region\` and at the network.`;
    return { detail, retryable: true };
  }
  const row = REFUSALS[codeOf(error) ?? -1];
  if (!row) return undefined;
  const seconds = retryAfterOf(causes);
  return {
    detail: row.words === undefined ? `Cloud Run refuses it: ${plainMessage(error)}` : row.words,
    retryable: row.retryable,
    ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }),
  };
};

/** There never was a connection. */
const NOT_REACHED: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

/** Without `words` those of Cloud Run are shown, which tell what is wrong with what was asked. */
const REFUSALS: Readonly<Record<number, { readonly retryable: boolean; readonly words?: string }>> = {
  [CODE.invalidArgument]: { retryable: false },
  [CODE.outOfRange]: { retryable: false },
  [CODE.unimplemented]: { retryable: false },
  [CODE.notFound]: {
    retryable: false,
    words: 'The project or the region is not there for Cloud Run. Look at the target’s `project` and `region`.',
  },
  [CODE.permissionDenied]: {
    retryable: false,
    words:
      'This server may not do that in the project, or Cloud Run is not enabled there. Give its identity the role of docs/providers/cloud-run.md.',
  },
  [CODE.unauthenticated]: {
    retryable: false,
    words: 'Google refuses the credentials of this server. Look at the target’s `workloadIdentity`.',
  },
  [CODE.resourceExhausted]: {
    retryable: true,
    words: 'A quota of the project for Cloud Run is used up for now: requests a minute, executions at once, or jobs.',
  },
  [CODE.failedPrecondition]: { retryable: true, words: 'The job is not ready. It is tried again.' },
  [CODE.aborted]: { retryable: true, words: 'The job is being changed by someone else. It is tried again.' },
};

/** Nothing of what the exchange of tokens said is shown: it may hold what was sent. */
const signInDetail = (causes: readonly Cause[]): string => {
  const status = causes.map(({ status }) => status).find((value) => typeof value === 'number');
  const how = status === undefined ? '' : ` (${status})`;
  return `This server could not sign in to Google${how}. Look at the target’s \`workloadIdentity\`, and at who may use it.`;
};

type Cause = Error & { readonly code?: unknown; readonly status?: unknown; readonly response?: unknown };

const causesOf = (error: unknown): readonly Cause[] => {
  const causes: Cause[] = [];
  for (let at = error; at instanceof Error && causes.length < 8; at = at.cause) causes.push(at);
  return causes;
};

/** An hour: whoever says more is not believed. */
const LONGEST_RETRY_AFTER_SECONDS = 3_600;

const retryAfterOf = (causes: readonly Cause[]): number | undefined => {
  for (const { response } of causes) {
    const { headers } = (response ?? {}) as { headers?: Headers };
    const seconds = Number(headers?.get('retry-after') ?? 0);
    if (seconds > 0) return Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER_SECONDS);
  }
  return undefined;
};

/** Cloud Run's words for a person: one line, and not too long. */
export const plainMessage = (words: unknown): string => {
  const text = words instanceof Error ? words.message : String(words);
  const line = text
    .replace(/^\d+ [A-Z_]+: /, '')
    .replaceAll(/\p{C}+/gu, ' ')
    .trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
};
