import type { Configuration } from 'openid-client';
import type { IssuerLogin, Tokens } from './profiles.ts';

/** The issuer, by its own metadata. In the clear only on this machine, for trials. */
const discover = async ({ issuer, clientId }: IssuerLogin): Promise<Configuration> => {
  const { allowInsecureRequests, discovery, None } = await import('openid-client');
  const url = new URL(issuer);
  const isHere = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return discovery(url, clientId, undefined, None(), isHere ? { execute: [allowInsecureRequests] } : {});
};

/**
 * Signs in by a code that a person enters in a browser, on whatever machine that is (RFC 8628). `ask` tells where and which.
 * @throws Error in words for a person
 */
export const logInAtIssuer = async (
  terms: IssuerLogin,
  ask: (where: string, code: string) => void,
  now: () => number,
): Promise<Tokens> => {
  const { initiateDeviceAuthorization, pollDeviceAuthorizationGrant } = await import('openid-client');
  try {
    const issuer = await discover(terms);
    const { scope = 'openid offline_access', audience } = terms;
    const asked = await initiateDeviceAuthorization(issuer, { scope, ...(audience === undefined ? {} : { audience }) });
    ask(asked.verification_uri_complete ?? asked.verification_uri, asked.user_code);
    return toTokens(await pollDeviceAuthorizationGrant(issuer, asked), undefined, now());
  } catch (cause) {
    throw new Error(`The login at ${terms.issuer} did not succeed: ${reasonOf(cause)}.`, { cause });
  }
};

/** @throws Error in words for a person, who has to log in again */
export const renewAtIssuer = async (terms: IssuerLogin, refreshToken: string, now: () => number): Promise<Tokens> => {
  try {
    const { refreshTokenGrant } = await import('openid-client');
    return toTokens(await refreshTokenGrant(await discover(terms), refreshToken), refreshToken, now());
  } catch (cause) {
    throw new Error(`The login at ${terms.issuer} has ended (${reasonOf(cause)})`, { cause });
  }
};

/** Tells the issuer that the login is over, where it takes that. */
export const logOutAtIssuer = async (terms: IssuerLogin, { refreshToken, accessToken }: Tokens): Promise<void> => {
  const { tokenRevocation } = await import('openid-client');
  const issuer = await discover(terms);
  if (issuer.serverMetadata().revocation_endpoint === undefined) return;
  await tokenRevocation(issuer, refreshToken ?? accessToken);
};

interface Answer {
  readonly access_token: string;
  readonly refresh_token?: string | undefined;
  readonly expires_in?: number | undefined;
}

/** An issuer that gives no new refresh token means the old one to be kept (RFC 6749, section 6). */
const toTokens = (answer: Answer, before: string | undefined, now: number): Tokens => ({
  accessToken: answer.access_token,
  refreshToken: answer.refresh_token ?? before,
  ...(answer.expires_in === undefined ? {} : { expiresAt: now + answer.expires_in * 1_000 }),
});

/** In the issuer's words where it has some (RFC 6749, section 5.2), which hold no token. */
const reasonOf = (error: unknown): string => {
  const { error: code, error_description: description, message, cause } = error as Record<string, unknown>;
  if (typeof code === 'string') return typeof description === 'string' ? `${code}, ${description}` : code;
  const inner = (cause as Error | undefined)?.message;
  return typeof inner === 'string' ? `${message}, ${inner}` : String(message);
};
