import { hostname } from 'node:os';
import { readPiped, scopeOf, UsageError } from '../arguments.ts';
import type { ConnectOptions } from '../connect.ts';
import { endLogin } from '../login.ts';
import {
  configFile,
  type IssuerLogin,
  type Profile,
  readProfiles,
  readTokens,
  requireProfile,
  saveProfile,
  type Tokens,
  withTokensLocked,
} from '../profiles.ts';
import { table } from '../render.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface LoginOptions extends ConnectOptions {
  readonly issuer?: string;
  readonly clientId?: string;
  readonly scope?: string;
  readonly audience?: string;
  readonly apiKeyStdin?: boolean;
  readonly permission?: string[];
  readonly target?: string[];
  readonly label?: Record<string, string>;
  readonly full?: boolean;
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
  if (url !== undefined && !URL.canParse(url)) throw new UsageError(`${url} is no URL.`);
  const { profile, tokens } = await (options.apiKeyStdin ? byKey : byIssuer)(options, { known, url }, terminal);
  await saveProfile(name, profile, env);
  await withTokensLocked(env, (save) => save(name, tokens));
  say(terminal, `logged in; use it with --profile ${name}, or ERRAND_PROFILE=${name}`);
  return 0;
};

interface Known {
  readonly known: Profile | undefined;
  readonly url: string | undefined;
}
interface LoggedIn {
  readonly profile: Profile;
  readonly tokens: Tokens;
}

const byIssuer = async (options: LoginOptions, { known, url }: Known, terminal: Terminal): Promise<LoggedIn> => {
  const before = known?.login && 'issuer' in known.login ? known.login : undefined;
  const terms = termsOf(options, before);
  if (url === undefined || !terms) {
    const other = known?.login ? ', or pipe the key in again with --api-key-stdin' : ', or --url and --api-key-stdin';
    throw new UsageError(`The first login of a profile needs --url, --issuer and --client-id${other}.`);
  }
  const { logInAtIssuer } = await import('../issuer-login.ts');
  const ask = (where: string, code: string) => say(terminal, `open ${where} and enter ${plain(code)}`);
  const tokens = await logInAtIssuer(terms, ask, Date.now);
  return { profile: { ...known, url, login: terms }, tokens };
};

/** The longest access token that a server takes, and a line break. */
const MOST_KEY_BYTES = 16 * 1024 + 2;

/** The key is traded, and not kept. */
const byKey = async (options: LoginOptions, { known, url }: Known, { stdin }: Terminal): Promise<LoggedIn> => {
  if (url === undefined) throw new UsageError('Say where the server is: --url.');
  // It would be shown while it is typed.
  const key = stdin.isTTY ? '' : (await readPiped(stdin, MOST_KEY_BYTES)).toString('utf8').trim();
  if (key === '') throw new UsageError('Pipe the key in, as in: pass show errand | errand login --api-key-stdin');
  const { permission, full } = options;
  const { tradeKey } = await import('../key-login.ts');
  const terms = {
    name: `errand on ${hostname()}`.slice(0, 255),
    // Which there are is the server's to say.
    ...(permission ? { permissions: permission as never } : {}),
    ...scopeOf(options),
    full,
  };
  const tokens = await tradeKey(url, key, terms, Date.now);
  const { apiKey: _, ...profile } = { ...known, url, login: { with: 'api-key' } as const };
  return { profile, tokens };
};

const termsOf = (
  { issuer, clientId, scope, audience }: LoginOptions,
  known: IssuerLogin | undefined,
): IssuerLogin | undefined => {
  const terms = { ...known, ...defined({ issuer, clientId, scope, audience }) };
  const { issuer: where, clientId: who } = terms;
  return where === undefined || who === undefined ? undefined : { ...terms, issuer: where, clientId: who };
};

const defined = <T extends object>(fields: T): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;

/** Forgets what a login gave, and tells whoever gave it. */
export const logout = async (options: ConnectOptions, terminal: Terminal): Promise<number> => {
  const { env } = terminal;
  const name = nameOf(options, env);
  const { login: terms, ...profile } = await requireProfile(name, env);
  const tokens = await withTokensLocked(env, (save) => {
    const held = readTokens(name, env);
    save(name, undefined);
    return held;
  });
  if (!terms || !tokens) return 0;
  await endLogin({ ...profile, login: terms }, tokens, Date.now).catch((error: unknown) => {
    const where = 'issuer' in terms ? terms.issuer : profile.url;
    say(terminal, `forgotten here, but ${where} could not be told: ${(error as Error).message}`);
  });
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
    terms ? `${credentialOf(terms)}${readTokens(name, env) ? '' : ', logged out'}` : apiKey ? 'key' : '',
  ]);
  await write(terminal.stdout, table(['NAME', 'URL', 'CREDENTIAL'], rows));
  return 0;
};

const credentialOf = (terms: NonNullable<Profile['login']>): string =>
  'issuer' in terms ? `login at ${plain(terms.issuer)}` : 'session token';

export const removeProfiles = async (names: readonly string[], { env }: Terminal): Promise<number> => {
  for (const name of names) {
    await saveProfile(name, undefined, env);
    await withTokensLocked(env, (save) => save(name, undefined));
  }
  return 0;
};
