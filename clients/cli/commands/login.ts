import { UsageError } from '../arguments.ts';
import type { ConnectOptions } from '../connect.ts';
import { logIn, logOut } from '../login.ts';
import {
  configFile,
  type LoginTerms,
  type Profile,
  readProfiles,
  readTokens,
  requireProfile,
  saveProfile,
  saveTokens,
} from '../profiles.ts';
import { table } from '../render.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface LoginOptions extends ConnectOptions {
  readonly issuer?: string;
  readonly clientId?: string;
  readonly scope?: string;
  readonly audience?: string;
}

export interface AddProfileOptions extends ConnectOptions {
  readonly streamUrl?: string;
}

const DEFAULT_PROFILE = 'default';
const nameOf = ({ profile }: ConnectOptions, env: NodeJS.ProcessEnv): string =>
  profile ?? env['ERRAND_PROFILE'] ?? DEFAULT_PROFILE;

/** Signs in, and keeps what that gave for all commands with the profile. */
export const login = async (options: LoginOptions, terminal: Terminal): Promise<number> => {
  const { env } = terminal;
  const name = nameOf(options, env);
  const known = (await readProfiles(env))[name];
  const url = options.url ?? known?.url;
  const terms = termsOf(options, known?.login);
  if (url === undefined || !terms) {
    throw new UsageError('The first login of a profile needs --url, --issuer and --client-id.');
  }
  const tokens = await logIn(terms, (where, code) => say(terminal, `open ${where} and enter ${plain(code)}`), Date.now);
  await saveProfile(name, { ...known, url, login: terms }, env);
  saveTokens(name, tokens, env);
  say(terminal, `logged in; use it with --profile ${name}, or ERRAND_PROFILE=${name}`);
  return 0;
};

const termsOf = (
  { issuer, clientId, scope, audience }: LoginOptions,
  known: LoginTerms | undefined,
): LoginTerms | undefined => {
  const terms = { ...known, ...defined({ issuer, clientId, scope, audience }) };
  const { issuer: where, clientId: who } = terms;
  return where === undefined || who === undefined ? undefined : { ...terms, issuer: where, clientId: who };
};

const defined = <T extends object>(fields: T): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;

/** Forgets what a login gave, and tells the issuer. */
export const logout = async (options: ConnectOptions, terminal: Terminal): Promise<number> => {
  const { env } = terminal;
  const name = nameOf(options, env);
  const { login: terms } = await requireProfile(name, env);
  const tokens = readTokens(name, env);
  saveTokens(name, undefined, env);
  if (!terms || !tokens) return 0;
  await logOut(terms, tokens).catch((error: unknown) =>
    say(terminal, `forgotten here, but ${terms.issuer} could not be told: ${(error as Error).message}`),
  );
  return 0;
};

/** Names a server. A key is read from ERRAND_API_KEY, never from the command line, where others could see it. */
export const addProfile = async (name: string, options: AddProfileOptions, terminal: Terminal): Promise<number> => {
  const { env } = terminal;
  const { url, streamUrl } = options;
  if (url === undefined || !URL.canParse(url)) throw new UsageError('Say where the server is: --url.');
  const apiKey = env['ERRAND_API_KEY']?.trim() || undefined;
  const profile: Profile = { url, ...defined({ apiKey, streamUrl }) };
  await saveProfile(name, profile, env);
  say(terminal, `${name} is in ${configFile(env)}${apiKey === undefined ? '' : ', with the key of ERRAND_API_KEY'}`);
  return 0;
};

export const listProfiles = async (terminal: Terminal): Promise<number> => {
  const { env } = terminal;
  const rows = Object.entries(await readProfiles(env)).map(([name, { url, apiKey, login: terms }]) => [
    plain(name),
    plain(url),
    terms ? `login at ${plain(terms.issuer)}${readTokens(name, env) ? '' : ', logged out'}` : apiKey ? 'key' : '',
  ]);
  await write(terminal.stdout, table(['NAME', 'URL', 'CREDENTIAL'], rows));
  return 0;
};

export const removeProfiles = async (names: readonly string[], { env }: Terminal): Promise<number> => {
  for (const name of names) {
    await saveProfile(name, undefined, env);
    saveTokens(name, undefined, env);
  }
  return 0;
};
