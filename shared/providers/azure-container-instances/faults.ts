import type { ProviderFault } from '../provider.ts';

interface RestError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly message?: string;
  readonly response?: { readonly headers: { get(name: string): string | undefined } };
}

/** There never was a connection. */
const NOT_REACHED: readonly unknown[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];
const later = (detail: string): ProviderFault => ({ detail, retryable: true });
const never = (detail: string): ProviderFault => ({ detail, retryable: false });

const statusOf = (error: unknown): number | undefined => (error as RestError).statusCode;
export const isNotFound = (error: unknown): boolean => statusOf(error) === 404;

/** Why a start was surely not done; undefined when it may have been. */
export const toFault = (error: unknown): ProviderFault | undefined => {
  const { statusCode = 0, code } = error as RestError;
  if (NOT_REACHED.includes(code)) return later('Azure cannot be reached. Look at the network.');
  if (statusCode === 429) return { ...later('Azure takes no more for now.'), ...retryAfterOf(error as RestError) };
  if (statusCode === 409) return later('Azure is still busy with the group of that name. It is tried again.');
  if (statusCode === 401) return never('Azure does not take the credentials. Look at the target’s identity.');
  if (statusCode === 403) {
    return code?.includes('Quota')
      ? later('A quota of the subscription is used up in this location. Ask Azure for more.')
      : never('This process may not make container groups there. Look at its role.');
  }
  if (statusCode === 404) return never('The subscription or resource group is not there.');
  if (statusCode === 400 && code === 'InaccessibleImage')
    return never(`The image cannot be pulled: ${plainMessage(error)}`);
  if (statusCode >= 400 && statusCode < 500) return never(`Azure takes no such group: ${plainMessage(error)}`);
  return undefined;
};

/** Never slept for here: whoever carries the command looks again by then. */
const retryAfterOf = ({ response }: RestError): { readonly retryAfterSeconds?: number } => {
  const seconds = Number(response?.headers.get('retry-after'));
  return Number.isFinite(seconds) && seconds > 0 ? { retryAfterSeconds: Math.min(seconds, 3_600) } : {};
};

/** A provider's words for a person: one line, and not too long. */
export const plainMessage = (error: unknown): string => {
  const message = typeof error === 'string' ? error : ((error as RestError).message ?? String(error));
  // The client puts the whole answer, as JSON, behind the message.
  return (message.split('\n')[0] ?? '').replace(/\p{C}+/gu, ' ').slice(0, 300);
};
