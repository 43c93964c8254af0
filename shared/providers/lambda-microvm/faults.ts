import type { ProviderFault } from '../provider.ts';

/**
 * What a failed call says when it says that nothing was done; undefined when it may have been done: Lambda failed in
 * itself, the connection broke, no answer came.
 */
export const toFault = (error: unknown): ProviderFault | undefined => {
  const { name, code, message, retryAfterSeconds } = describe(error);
  if (NOT_REACHED.includes(code)) {
    const detail = `Lambda cannot be reached (${code}). Look at the target’s \`region\` and at the network.`;
    return { detail, retryable: true };
  }
  const row = REFUSALS[name];
  if (!row) return undefined;
  return {
    detail: row.words ?? `Lambda refuses it: ${plainMessage(message)}`,
    retryable: row.retryable,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
};

/** The same for a person who cannot do anything about the difference. */
export const toWords = (error: unknown): string => toFault(error)?.detail ?? 'Lambda does not answer, or fails.';

export const isNotFound = (error: unknown): boolean => describe(error).name === 'ResourceNotFoundException';

/** What a change of a machine that has ended is answered with. Only a look at it tells that from another refusal. */
export const mayBeOver = (error: unknown): boolean =>
  ['ConflictException', 'ValidationException'].includes(describe(error).name);

/** There never was a connection. */
const NOT_REACHED: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

interface Row {
  readonly retryable: boolean;
  /** Without them Lambda's are shown, which tell what is wrong with what was asked. */
  readonly words?: string;
}

const later = (words: string): Row => ({ retryable: true, words });
const never = (words?: string): Row => ({ retryable: false, ...(words === undefined ? {} : { words }) });

const CREDENTIALS = 'AWS refuses the credentials of this server.';

/** Errors that are given instead of doing anything: the API model of RunMicrovm, and what all of AWS answers with. */
const REFUSALS: Readonly<Record<string, Row>> = {
  ThrottlingException: later('Lambda takes no more requests for now.'),
  TooManyRequestsException: later('Lambda takes no more requests for now.'),
  ServiceQuotaExceededException: later('A quota of the account for MicroVMs is used up. Ask AWS for more.'),
  InsufficientCapacityException: later('Lambda has no capacity for another MicroVM in this region. It is tried again.'),
  ConflictException: later('The MicroVM image is being changed, or cannot be run now. It is tried again.'),
  ValidationException: never(),
  ResourceNotFoundException: never(
    'The MicroVM image, its version or the network connector is not there. Look at the target’s config.',
  ),
  AccessDeniedException: never(
    'This server may not run MicroVMs of the image. Give its role the rights of docs/providers/lambda-microvm.md.',
  ),
  ExpiredTokenException: later('The credentials of this server are out of date.'),
  InvalidSignatureException: never(`${CREDENTIALS} Look at them and at its clock.`),
  UnrecognizedClientException: never(CREDENTIALS),
  IncompleteSignatureException: never(CREDENTIALS),
  MissingAuthenticationTokenException: never('This server has no AWS credentials.'),
  CredentialsProviderError: later('This server has no AWS credentials. Give it a role, or sign in.'),
};

/** An hour: whoever says more is not believed. */
const LONGEST_RETRY_AFTER_SECONDS = 3_600;

const describe = (error: unknown) => {
  const { name, code, message, retryAfterSeconds } = (error ?? {}) as Record<string, unknown>;
  const seconds = Number(retryAfterSeconds);
  return {
    name: String(name ?? ''),
    code: String(code ?? ''),
    message: String(message ?? ''),
    retryAfterSeconds: seconds > 0 ? Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER_SECONDS) : undefined,
  };
};

/** Lambda's words for a person: one line, and not too long. */
export const plainMessage = (words: string): string => {
  const line = words.replaceAll(/\p{C}+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
};
