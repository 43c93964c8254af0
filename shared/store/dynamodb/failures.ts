import { AppError } from '../../domain/errors.ts';

/**
 * What DynamoDB answers when someone else has the item for a moment; surely nothing was written. Throttles and faults of
 * the service are not among them: those the SDK has tried again already.
 */
const BUSY = new Set(['TransactionConflictException', 'TransactionInProgressException']);

/** Reasons of a canceled transaction that are as good. */
export const isBusyReason = (code: string | undefined): boolean =>
  code === 'TransactionConflict' || code === 'ThrottlingError' || code === 'ProvisionedThroughputExceeded';

/** A transaction that was canceled for nothing but that. */
export const busy = (): Error => Object.assign(new Error('busy'), { name: 'TransactionConflictException' });

const ADVICE: Readonly<Record<string, string>> = {
  ResourceNotFoundException: 'The table is not there: deploy the data stack, or see which table the function is given.',
  AccessDeniedException: 'The role may not use the table: deploy again, or see its policy.',
  UnrecognizedClientException: 'The credentials are not good.',
  ExpiredTokenException: 'The credentials have expired.',
  ProvisionedThroughputExceededException: 'It is throttled; try again in a moment.',
  ThrottlingException: 'It is throttled; try again in a moment.',
};

/** What AWS says of a signature that is not good quotes the request, its session token included. */
const QUOTES_THE_REQUEST = /Signature|Token|UnrecognizedClient|MissingAuthentication/;

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

export const isBusy = (error: unknown): boolean => BUSY.has(nameOf(error));

/** What the callers of the store get to see of a failure. */
export const toStoreError = (tableName: string, error: unknown): Error => {
  if (error instanceof AppError || error instanceof TypeError) return error;
  const name = nameOf(error);
  if (name === 'ValidationException') {
    // A mistake of ours must not look like a store that is down.
    return new TypeError(`DynamoDB takes no such request: ${(error as Error).message}`, { cause: error });
  }
  const advice = ADVICE[name] ?? 'Try again in a moment.';
  const cause = QUOTES_THE_REQUEST.test(name) ? undefined : error;
  return new AppError(
    'unavailable',
    `The table ${tableName} cannot be used right now (${name || 'unknown'}). ${advice}`,
    cause === undefined ? {} : { cause },
  );
};
