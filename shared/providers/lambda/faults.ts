import type { ProviderFault, StartOutcome } from '../provider.ts';

/**
 * What a failed call says of the command. `rejected` is said only of errors that Lambda gives before it invokes.
 *
 * All others leave open whether the executor was reached, and they are `unheard`. The record knows what this process does
 * not, whether the start ticket was redeemed. If it was not, the engine gives the start up in the same compare-and-set that
 * makes the ticket void, so that an executor that comes late is refused, and starts again; if it was, the executor has the
 * word. `rejected` would start it again in both cases.
 */
export const toFault = (error: unknown, functionName: string): StartOutcome => {
  const { name, code, reason, retryAfterSeconds } = describe(error);
  if (NOT_REACHED.includes(code)) {
    const detail = `Lambda cannot be reached (${code}). Look at the target’s \`region\` and at the network.`;
    return { kind: 'rejected', fault: { detail, retryable: true } };
  }
  const row = NOT_INVOKED[name];
  if (!row) return { kind: 'unheard', detail: `${unclear(name)} Whether the function was reached is not known.` };
  const fault: ProviderFault = {
    detail: `The function ${functionName} was not invoked: ${THROTTLES[reason] ?? row.detail}`,
    retryable: row.retryable,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
  return { kind: 'rejected', fault };
};

const unclear = (name: string): string => {
  if (name === 'ServiceException') return 'Lambda failed in itself (ServiceException).';
  if (name === 'TimeoutError') return 'Lambda did not answer in time.';
  return 'The connection to Lambda broke before it answered.';
};

/** There never was a connection. */
const NOT_REACHED: readonly string[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

interface Row {
  readonly detail: string;
  readonly retryable: boolean;
}

const later = (detail: string): Row => ({ detail, retryable: true });
const never = (detail: string): Row => ({ detail, retryable: false });

const NETWORK = 'its network is not ready. It is tried again; if it stays so, look at the function’s VPC settings.';
const STORAGE = 'its file system could not be mounted. Look at the function’s file system settings.';
const KEY = 'its environment could not be decrypted. Look at the function’s KMS key.';
const SNAPSHOT = 'its snapshot is not ready. It is tried again.';

/** Errors that Lambda gives instead of invoking (the API model of InvokeWithResponseStream). */
const NOT_INVOKED: Readonly<Record<string, Row>> = {
  TooManyRequestsException: later('Lambda takes no more invocations for now.'),
  EC2ThrottledException: later(NETWORK),
  EC2UnexpectedException: later(NETWORK),
  ENILimitReachedException: later(NETWORK),
  ENINotReadyException: later(NETWORK),
  SubnetIPAddressLimitReachedException: later('its subnets have no free addresses. Give it larger ones.'),
  ServiceQuotaExceededException: later('a quota of the account is used up. Ask AWS for more.'),
  ResourceConflictException: later('it is being changed. It is tried again.'),
  ResourceNotReadyException: later('it is not ready. It is tried again.'),
  SnapStartException: later(SNAPSHOT),
  SnapStartNotReadyException: later(SNAPSHOT),
  SnapStartTimeoutException: later(SNAPSHOT),
  SnapStartRegenerationFailureException: later(SNAPSHOT),
  NoPublishedVersionException: later('it has no published version. Publish one.'),
  EFSMountConnectivityException: later(STORAGE),
  EFSMountTimeoutException: later(STORAGE),
  S3FilesMountConnectivityException: later(STORAGE),
  S3FilesMountTimeoutException: later(STORAGE),
  EFSMountFailureException: never(STORAGE),
  S3FilesMountFailureException: never(STORAGE),
  EFSIOException: later(STORAGE),
  KMSInvalidStateException: never(KEY),
  KMSAccessDeniedException: never(KEY),
  KMSDisabledException: never(KEY),
  KMSNotFoundException: never(KEY),
  EC2AccessDeniedException: never('it may not make network interfaces. Give its role the right.'),
  InvalidSecurityGroupIDException: never('its security group does not exist.'),
  InvalidSubnetIDException: never('its subnet does not exist.'),
  InvalidRuntimeException: never('its runtime is not supported. Deploy it again.'),
  InvalidZipFileException: never('its code cannot be unpacked. Deploy it again.'),
  InvalidParameterValueException: never(
    'a parameter is refused. Most often `tenantIsolation` of the target and the function’s tenancy differ.',
  ),
  InvalidRequestContentException: never('the request is refused.'),
  RequestTooLargeException: never('the request is too large.'),
  UnsupportedMediaTypeException: never('the request is refused.'),
  RecursiveInvocationException: never('Lambda took it for a loop of functions.'),
  ModeNotSupportedException: never('it was deployed for another way of invoking.'),
  ResourceNotFoundException: never('it does not exist. Look at the target’s `functionName`, `qualifier` and `region`.'),
  AccessDeniedException: never('this server may not. Give its role lambda:InvokeFunction on it.'),
  ExpiredTokenException: later('the credentials of this server are out of date.'),
  InvalidSignatureException: never('the signature is refused. Look at the credentials and the clock of this server.'),
  UnrecognizedClientException: never('the credentials of this server are refused.'),
  IncompleteSignatureException: never('the credentials of this server are refused.'),
  MissingAuthenticationTokenException: never('this server has no credentials.'),
  CredentialsProviderError: later('this server has no AWS credentials. Give it a role, or sign in.'),
};

const THROTTLES: Readonly<Record<string, string>> = {
  ConcurrentInvocationLimitExceeded: 'the account runs as many functions as it may at once.',
  ReservedFunctionConcurrentInvocationLimitExceeded: 'it runs as often as its reserved concurrency allows.',
  FunctionInvocationRateLimitExceeded: 'it is invoked too often a second.',
  ReservedFunctionInvocationRateLimitExceeded: 'it is invoked too often a second for its reserved concurrency.',
  CallerRateLimitExceeded: 'this server asks too often.',
  ConcurrentSnapshotCreateLimitExceeded: 'too many snapshots are being made.',
};

/** An hour: whoever says more is not believed. */
const LONGEST_RETRY_AFTER_SECONDS = 3_600;

const describe = (error: unknown) => {
  const { name, code, Reason, retryAfterSeconds } = (error ?? {}) as Record<string, unknown>;
  const seconds = Number(retryAfterSeconds);
  return {
    name: String(name ?? ''),
    code: String(code ?? ''),
    reason: String(Reason ?? ''),
    retryAfterSeconds: seconds > 0 ? Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER_SECONDS) : undefined,
  };
};

/** How Lambda says that an invocation ended before its last record. */
export interface Completion {
  readonly ErrorCode?: string | undefined;
  readonly ErrorDetails?: string | undefined;
}

/** How far the executor came: nothing was heard of it; it lives; it said that it redeemed the ticket. */
export type Heard = 'nothing' | 'life' | 'started';

/** What becomes of a run whose stream ended without a last record. */
export const toCutShort = (completion: Completion | undefined, heard: Heard): StartOutcome => {
  const { code, text } = read(completion);
  const started = heard === 'started';
  if (heard === 'nothing' && NEVER_LOADED.test(code)) {
    return broken(`The executor could not be loaded (${code}). Deploy the function again.`);
  }
  // It ended well, and yet did not even say that it lives.
  if (heard === 'nothing' && completion && code === '') return broken(ANOTHER_FUNCTION);
  if (started && /OutOfMemory/i.test(`${code} ${text}`)) {
    const detail = 'The function was out of memory. Use a target with more.';
    return { kind: 'ended', exit: { exitCode: null, signal: null, outOfMemory: true, detail } };
  }
  // Lambda did not say that the function ended: only the way from it did.
  if (!completion) return { kind: 'unheard', detail: how(code, text) };
  // Without `started` the record decides: never redeemed is given up and started again; redeemed it may be by another, which lives.
  if (!started) return { kind: 'unheard', detail: how(code, text) };
  return { kind: 'lost', detail: `${how(code, text)} How the command ended cannot be known.` };
};

export const ANOTHER_FUNCTION =
  'The function does not answer as the executor does. Look at the target’s `functionName` and `qualifier`.';

/** Tried again it would be the same, and another function than ours would be invoked again. */
export const broken = (detail: string): StartOutcome => ({ kind: 'rejected', fault: { detail, retryable: false } });

/** Our code was never there, so nothing redeemed the ticket. */
const NEVER_LOADED =
  /^Runtime\.(ImportModuleError|HandlerNotFound|MalformedHandlerName|UserCodeSyntaxError|InvalidEntrypoint)$/;

/** The error's type stands in the code, or in the details as JSON while the code says only that it was not handled. */
const read = ({ ErrorCode = '', ErrorDetails = '' }: Completion = {}): { code: string; text: string } => {
  let { errorType, errorMessage }: Record<string, unknown> = {};
  try {
    ({ errorType, errorMessage } = JSON.parse(ErrorDetails) as Record<string, unknown>);
  } catch {
    errorMessage = ErrorDetails;
  }
  const generic = ErrorCode === '' || ErrorCode === 'Unhandled' || ErrorCode === 'Handled';
  return {
    code: generic && typeof errorType === 'string' ? errorType : ErrorCode,
    text: typeof errorMessage === 'string' ? errorMessage : '',
  };
};

const how = (code: string, text: string): string => {
  if (code === 'Sandbox.Timedout') return 'Lambda ended the function at its own time-out.';
  if (/signal: killed/.test(text)) return 'The function was killed, perhaps for want of memory.';
  if (code === 'Runtime.ExitError') return 'The function’s process ended.';
  if (code !== '') return `The function failed (${/^[\w.]{1,100}$/.test(code) ? code : 'an unknown error'}).`;
  return 'The function’s response ended before its last word.';
};
