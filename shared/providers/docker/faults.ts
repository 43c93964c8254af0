import type { ProviderFault } from '../provider.ts';

/** An error of the daemon's client. */
interface DaemonError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly json?: { readonly message?: string } | null;
  readonly message?: string;
}

/** A call that was given up. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

const statusOf = (error: unknown): number | undefined => (error as DaemonError).statusCode;
export const isNotFound = (error: unknown): boolean => statusOf(error) === 404;
export const isBeingRemoved = (error: unknown): boolean =>
  statusOf(error) === 409 && /removal .* in progress/.test(plainMessage(error));

/** There never was a connection. */
const NOT_REACHED: readonly unknown[] = [
  ...['ECONNREFUSED', 'ENOENT', 'EACCES', 'ENOTSOCK', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
];

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such socket. Start the daemon, or look at the target’s socketPath.',
  EACCES: 'This process may not use its socket.',
  ECONNREFUSED: 'Nobody listens there. Start the daemon.',
};

/** Of TLS, before anything was asked. */
const NOT_TRUSTED = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/** What the runtime says when it does not like the container, whatever status the daemon gives it. */
const OF_THE_RUNTIME = /OCI|runc|crun|runtime create|init binary|container-init/i;

/** What the daemon said no with, or why it was not reached; undefined when it may have done what was asked. */
export const toFault = (error: unknown): ProviderFault | undefined => {
  const { statusCode, code } = error as DaemonError;
  if (NOT_REACHED.includes(code)) {
    return {
      detail: `The Docker daemon cannot be reached (${code}). ${HINTS[code ?? ''] ?? ''}`.trim(),
      retryable: true,
    };
  }
  if (NOT_TRUSTED.test(code ?? '')) {
    return {
      detail: `The Docker daemon and this process do not trust each other (${code}). Look at \`tls\`.`,
      retryable: false,
    };
  }
  if (statusCode === undefined || statusCode < 400) return undefined;
  const detail = `The Docker daemon answered ${statusCode}: ${plainMessage(error)}`;
  return { detail, retryable: statusCode >= 500 && !OF_THE_RUNTIME.test(detail) };
};

/** The daemon's words for a person: one line, and not too long. */
export const plainMessage = (error: unknown): string => {
  const { json, message } = error as DaemonError;
  const said = json?.message ?? message ?? String(error);
  return (said.split('\n')[0] ?? '')
    .replace(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, 300);
};
