import type { Instant } from '../../domain/clock.ts';
import type { ProviderFault } from '../provider.ts';
import { SignInError } from './credentials.ts';

/** There never was a connection. */
const NOT_REACHED: readonly unknown[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];
const LONGEST_WAIT_SECONDS = 3_600;

interface AzureError {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly statusCode?: unknown;
  readonly cause?: unknown;
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

const look = (error: unknown): AzureError => (typeof error === 'object' && error !== null ? error : {});

export const statusOf = (error: unknown): unknown => look(error).statusCode;
export const codeOf = (error: unknown): unknown => look(error).code;

const later = (detail: string): ProviderFault => ({ detail, retryable: true });
const never = (detail: string): ProviderFault => ({ detail, retryable: false });

/** By Azure's own codes: their statuses do not tell them apart. */
const BY_CODE: Readonly<Record<string, (error: unknown) => ProviderFault>> = {
  ContainerGroupTransitioning: () => later('The container group is being changed. It is tried again.'),
  ServiceUnavailable: () =>
    later('The region has no room for such a machine now. It is tried again; if it stays so, ask for a smaller one.'),
  RegistryErrorResponse: () => later('The image’s registry failed. It is tried again.'),
  InaccessibleImage: (error) =>
    never(`Azure cannot get the image. Look at its name, and whether it is public: ${plainMessage(error)}`),
};

/** ContainerGroupQuotaReached, QuotaExceeded and their like, which come with 400, 403 and 409. */
const QUOTA = /quota/i;
const quotaIsUsedUp = (): ProviderFault =>
  later(
    'A quota of the subscription in this region is used up. It is tried again; if it stays so, ask Azure for more.',
  );

const BY_STATUS: Readonly<Record<number, (error: unknown) => ProviderFault>> = {
  400: (error) => never(`Azure takes no such container group: ${plainMessage(error)}`),
  401: () => never('Azure does not take the credentials. Look at the target’s identity.'),
  403: () => never('This process may not make container groups in the resource group. Look at its role there.'),
  404: () => never('The resource group or the subscription is not there. Look at the target’s configuration.'),
  409: (error) => later(`Azure cannot do it now: ${plainMessage(error)}`),
  429: () => later('Azure takes no more requests for now: a rate is used up.'),
};

/** Why a request was surely not done; undefined when it may have been. */
export const toFault = (error: unknown, now: Instant): ProviderFault | undefined => {
  const { code, cause, statusCode } = look(error);
  if (error instanceof SignInError) return { detail: error.message, retryable: error.retryable };
  if (NOT_REACHED.includes(code) || NOT_REACHED.includes(codeOf(cause))) {
    return later('Azure cannot be reached. Look at the network.');
  }
  if (typeof statusCode !== 'number' || statusCode >= 500 || statusCode === 408) return undefined;
  const byCode = QUOTA.test(String(code)) ? quotaIsUsedUp : BY_CODE[String(code)];
  const fault = (byCode ?? BY_STATUS[statusCode])?.(error) ?? otherwise(error, statusCode);
  const wait = fault.retryable ? retryAfterSeconds(error, now) : undefined;
  return wait === undefined ? fault : { ...fault, retryAfterSeconds: wait };
};

const otherwise = (error: unknown, status: number): ProviderFault =>
  never(`Azure refused it with status ${status}: ${plainMessage(error)}`);

/** As seconds or as a date, and never longer than an hour: what was said then may not hold any more. */
const retryAfterSeconds = (error: unknown, now: Instant): number | undefined => {
  const said = look(error).response?.headers?.get('retry-after');
  if (said === undefined) return undefined;
  const seconds = /^\d+$/.test(said) ? Number(said) : (Date.parse(said) - now) / 1_000;
  return Number.isNaN(seconds) ? undefined : Math.min(LONGEST_WAIT_SECONDS, Math.max(1, Math.ceil(seconds)));
};

/** A provider's words for a person: one line, and not too long. */
const plainMessage = (error: unknown): string => plainText(error instanceof Error ? error.message : String(error));

export const plainText = (text: string, characters = 300): string =>
  text
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, characters);
