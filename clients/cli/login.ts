import { ErrandError } from '../sdk/errors.ts';
import { type Profile, readTokens, type Tokens, withTokensLocked } from './profiles.ts';

type LoggedIn = Profile & { readonly login: NonNullable<Profile['login']> };

/** So long before its end a token is no longer used: it has to live through the request. */
const MARGIN_MS = 30_000;

const isFresh = ({ expiresAt = Number.POSITIVE_INFINITY }: Tokens, now: number): boolean => expiresAt - MARGIN_MS > now;

/**
 * Gives a token that is good for a while yet, whenever it is asked: the one there is, or a new one for it, which every other process then uses too.
 * @throws Error in words for a person, who has to log in again
 */
export const tokenSource = (
  name: string,
  profile: LoggedIn,
  env: NodeJS.ProcessEnv,
  now: () => number,
): (() => Promise<string>) => {
  let held: { readonly accessToken: string; readonly until: number } | undefined;
  let asking: Promise<Tokens> | undefined;
  return async () => {
    if (held && now() < held.until) return held.accessToken;
    asking ??= freshTokens(name, profile, env, now).finally(() => (asking = undefined));
    const tokens = await asking;
    const { accessToken, expiresAt = Number.POSITIVE_INFINITY } = tokens;
    // One whose whole life is short is used for half of it.
    held = { accessToken, until: isFresh(tokens, now()) ? expiresAt - MARGIN_MS : (now() + expiresAt) / 2 };
    return accessToken;
  };
};

const freshTokens = async (
  name: string,
  profile: LoggedIn,
  env: NodeJS.ProcessEnv,
  now: () => number,
): Promise<Tokens> => {
  const again = `errand login --profile ${name}${'issuer' in profile.login ? '' : ' --api-key-stdin'}`;
  const tokens = readTokens(name, env);
  if (tokens && isFresh(tokens, now())) return tokens;
  return withTokensLocked(env, async (save) => {
    // Another process may have been first.
    const latest = readTokens(name, env);
    if (latest && isFresh(latest, now())) return latest;
    if (!latest?.refreshToken) throw new Error(`You are not logged in at ${whereOf(profile)}: ${again}`);
    const renewed = await renew(profile, latest.refreshToken, now).catch((cause: unknown) => {
      if (cause instanceof ErrandError) throw cause;
      throw new Error(`${(cause as Error).message}: ${again}`, { cause });
    });
    save(name, renewed);
    return renewed;
  });
};

const whereOf = ({ login, url }: LoggedIn): string => ('issuer' in login ? login.issuer : url);

const renew = async ({ login, url }: LoggedIn, refreshToken: string, now: () => number): Promise<Tokens> =>
  'issuer' in login
    ? (await import('./issuer-login.ts')).renewAtIssuer(login, refreshToken, now)
    : (await import('./key-login.ts')).renewAtServer(url, refreshToken, now);

/** Tells whoever gave the tokens that the login is over. */
export const endLogin = async ({ login, url }: LoggedIn, tokens: Tokens, now: () => number): Promise<void> =>
  'issuer' in login
    ? (await import('./issuer-login.ts')).logOutAtIssuer(login, tokens)
    : (await import('./key-login.ts')).revokeAtServer(url, tokens, isFresh(tokens, now()));
