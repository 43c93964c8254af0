import { makeClient } from '../sdk/client.ts';
import { ApiError } from '../sdk/errors.ts';
import type { NewSessionToken, SessionTokenCalls } from '../sdk/session-tokens.ts';
import type { Tokens } from './profiles.ts';

export type TradeTerms = NonNullable<Parameters<SessionTokenCalls['createSessionToken']>[0]> & {
  /** Also what gives access to others: as much as the key may. */
  readonly full?: boolean | undefined;
};

/** Trades a key, or an access token, for what takes its place here. @throws ApiError, ConnectionError */
export const tradeKey = async (
  url: string,
  apiKey: string,
  { full, ...terms }: TradeTerms,
  now: () => number,
): Promise<Tokens> => {
  const client = makeClient({ url, apiKey });
  const all = full ? { permissions: (await client.whoami()).permissions } : {};
  return toTokens(await client.createSessionToken({ ...all, ...terms }), now());
};

/** @throws Error in words for a person, who has to log in again; ApiError, ConnectionError, when it may succeed later */
export const renewAtServer = async (url: string, refreshToken: string, now: () => number): Promise<Tokens> => {
  try {
    return toTokens(await makeClient({ url }).refreshSessionToken(refreshToken), now());
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw new Error(`The login at ${url} has ended`, { cause });
  }
};

/** Has the server revoke it. One that has ended already is fine. */
export const revokeAtServer = async (
  url: string,
  { id = '', accessToken, refreshToken = '' }: Tokens,
  isFresh: boolean,
): Promise<void> => {
  try {
    const { accessToken: apiKey } = isFresh
      ? { accessToken }
      : await makeClient({ url }).refreshSessionToken(refreshToken);
    await makeClient({ url, apiKey }).revokeSessionToken(id);
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
};

const isRefusal = (error: unknown): boolean => error instanceof ApiError && error.status === 401;

/** By its own clock, as the server's may differ. */
const toTokens = ({ id, accessToken, refreshToken, expiresInSeconds }: NewSessionToken, now: number): Tokens => ({
  ...{ id, accessToken, refreshToken },
  expiresAt: now + expiresInSeconds * 1_000,
});
