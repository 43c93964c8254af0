import type { ProviderFault } from '../provider.ts';

/** gRPC's codes (https://grpc.io/docs/guides/status-codes/), which the client gives for HTTP too. */
export const CODE = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unauthenticated: 16,
} as const;

/** There never was a connection. */
const NOT_REACHED: readonly unknown[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

export const codeOf = (error: unknown): unknown => (error as { code?: unknown } | undefined)?.code;

/** Why a start was surely not done; undefined when it may have been. */
export const toFault = (error: unknown): ProviderFault | undefined => {
  const code = codeOf(error);
  const cause = codeOf((error as { cause?: unknown }).cause);
  if (NOT_REACHED.includes(code) || NOT_REACHED.includes(cause)) {
    return { detail: 'Cloud Run cannot be reached. Look at the target’s region and at the network.', retryable: true };
  }
  switch (code) {
    case CODE.resourceExhausted:
      return { detail: 'Cloud Run takes no more for now: a quota or a rate is used up.', retryable: true };
    case CODE.failedPrecondition:
      return { detail: 'The job is being changed. It is tried again.', retryable: true };
    case CODE.permissionDenied:
      return { detail: 'This process may not run jobs in the project. Look at its roles.', retryable: false };
    case CODE.unauthenticated:
      return {
        detail: 'Google does not take the credentials. Look at the target’s workloadIdentity.',
        retryable: false,
      };
    case CODE.invalidArgument:
      return { detail: `Cloud Run takes no such job: ${plainMessage(error)}`, retryable: false };
    case CODE.notFound:
      return { detail: 'The project or region is not there, or Cloud Run is not enabled in it.', retryable: false };
    default:
      return undefined;
  }
};

/** A provider's words for a person: one line, and not too long. */
export const plainMessage = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\p{C}+/gu, ' ').slice(0, 300);
};
