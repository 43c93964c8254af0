import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** How one signs in at an issuer, which the server trusts. */
export interface IssuerLogin {
  readonly issuer: string;
  readonly clientId: string;
  readonly scope?: string | undefined;
  /** What the server is called at the issuer, where it asks for that. */
  readonly audience?: string | undefined;
}

/** By a key, which the server traded for a session token and nobody keeps here. */
export interface KeyLogin {
  readonly with: 'api-key';
}

/** A server by a name of one's own. */
export interface Profile {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly streamUrl?: string | undefined;
  readonly login?: IssuerLogin | KeyLogin | undefined;
}

/** What a login gave. */
export interface Tokens {
  /** Of a session token. */
  readonly id?: string | undefined;
  readonly accessToken: string;
  readonly refreshToken?: string | undefined;
  /** Milliseconds since 1970; undefined: not known. */
  readonly expiresAt?: number | undefined;
}

type Profiles = Readonly<Record<string, Profile>>;
type Credentials = Readonly<Record<string, Tokens>>;

export const configFile = (env: NodeJS.ProcessEnv): string =>
  env['ERRAND_CONFIG'] ?? join(homedir(), '.config', 'errand', 'config.json');
/** Beside it, so that the one can be shown and the other not. */
const credentialsFile = (env: NodeJS.ProcessEnv): string => join(dirname(configFile(env)), 'credentials.json');

/** @throws Error in words for a person */
export const readProfiles = async (env: NodeJS.ProcessEnv): Promise<Profiles> => {
  const file = configFile(env);
  const text = readText(file);
  if (text === undefined) return {};
  // Loaded here: most calls have no profile, and need not wait for it.
  const z = await import('zod');
  const Issuer = z.strictObject({
    issuer: z.url(),
    clientId: z.string().min(1),
    scope: z.string().optional(),
    audience: z.string().optional(),
  });
  const Profile = z.strictObject({
    url: z.url(),
    apiKey: z.string().optional(),
    streamUrl: z.url().optional(),
    login: z.union([Issuer, z.strictObject({ with: z.literal('api-key') })]).optional(),
  });
  const Config = z.strictObject({ profiles: z.record(z.string(), Profile) });
  try {
    return Config.parse(JSON.parse(text)).profiles;
  } catch (cause) {
    // The parser's own words could quote a key.
    throw new Error(`${file} is not as it should be: {"profiles": {"name": {"url": "…", "apiKey": "…"}}}.`, { cause });
  }
};

/** @throws Error in words for a person */
export const requireProfile = async (name: string, env: NodeJS.ProcessEnv): Promise<Profile> => {
  const profile = (await readProfiles(env))[name];
  if (profile) return profile;
  throw new Error(
    `There is no profile ${name} in ${configFile(env)}. Make one with errand profile add, or give --url.`,
  );
};

/** Puts a profile there, or takes it away. */
export const saveProfile = async (name: string, profile: Profile | undefined, env: NodeJS.ProcessEnv): Promise<void> =>
  save(configFile(env), { profiles: changed(await readProfiles(env), name, profile) });

export const readTokens = (name: string, env: NodeJS.ProcessEnv): Tokens | undefined =>
  (JSON.parse(readText(credentialsFile(env)) ?? '{}') as Credentials)[name];

const LOCK_POLL_MS = 50;
const LONGEST_LOCK_MS = 30_000;

/** Handed to whoever has the lock: what it stores replaces nobody else's. */
export type SaveTokens = (name: string, tokens: Tokens | undefined) => void;

/**
 * While `work` runs, nobody else stores tokens or has any renewed: a refresh token is good once, and who lost the one that came for it is logged out.
 * @throws Error in words for a person, when another process does not come to an end
 */
export const withTokensLocked = async <T>(
  env: NodeJS.ProcessEnv,
  work: (save: SaveTokens) => Promise<T> | T,
): Promise<T> => {
  const { tryLock } = await import('./embedded.ts');
  const file = `${credentialsFile(env)}.lock`;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  for (let waited = 0; ; waited += LOCK_POLL_MS) {
    const lock = await tryLock(file);
    if (lock) {
      try {
        return await work((name, tokens) => saveTokens(name, tokens, env));
      } finally {
        lock.release();
      }
    }
    if (waited >= LONGEST_LOCK_MS) throw new Error(`Another errand has held ${file} for long. End it, and try again.`);
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
};

const saveTokens = (name: string, tokens: Tokens | undefined, env: NodeJS.ProcessEnv): void => {
  const file = credentialsFile(env);
  save(file, changed(JSON.parse(readText(file) ?? '{}') as Credentials, name, tokens));
};

const changed = <T>(all: Readonly<Record<string, T>>, name: string, value: T | undefined): Record<string, T> => {
  const { [name]: _, ...others } = all;
  return value === undefined ? others : { ...others, [name]: value };
};

const readText = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} cannot be read: ${(cause as Error).message}.`, { cause });
  }
};

/** Whole or not at all, and for its user alone. */
const save = (file: string, value: unknown): void => {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
    renameSync(draft, file);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw new Error(`${file} cannot be written: ${(cause as Error).message}.`, { cause });
  }
};
