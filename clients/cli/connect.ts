import { type Client, type ClientOptions, makeClient } from '../sdk/client.ts';
import { UsageError } from './arguments.ts';
import { requireProfile } from './profiles.ts';
import type { Terminal } from './terminal.ts';

/** The options that say where the server is. */
export interface ConnectOptions {
  readonly url?: string;
  readonly profile?: string;
  readonly data?: string;
  /** Whether this process, if it has to do without a server, runs commands itself. @default true */
  readonly work?: boolean;
  /** Whether such a process finds out first if it can give isolation `sandbox`: about 10 ms. @default false */
  readonly trySandbox?: boolean;
}

export interface Connection {
  readonly client: Client;
  /** Whether commands run inside this very process, which then must stay until they have ended. */
  readonly embedded: boolean;
  close(): Promise<void>;
}

/** A server, as it is reached. */
export interface Place {
  readonly url: string;
  readonly streamUrl?: string | undefined;
  readonly fetch?: typeof globalThis.fetch;
  /** Whether it is this very process. */
  readonly embedded: boolean;
  readonly apiKey?: ClientOptions['apiKey'];
  close(): Promise<void>;
}

/**
 * Finds the server: --url or ERRAND_URL, else the profile, else the server that runs on the data folder, else one
 * inside this process.
 * @throws Error in words for a person
 */
export const connect = async (options: ConnectOptions, terminal: Pick<Terminal, 'env'>): Promise<Connection> => {
  const { embedded, close, fetch = globalThis.fetch, ...place } = await findPlace(options, terminal);
  return { client: makeClient({ ...place, fetch: withTrace(fetch, terminal.env) }), embedded, close };
};

/** The trace that this process was told to belong to (https://opentelemetry.io/docs/specs/otel/context/env-carriers/) goes on in what it submits. */
const withTrace = (fetch: typeof globalThis.fetch, env: NodeJS.ProcessEnv): typeof globalThis.fetch => {
  const { TRACEPARENT: traceparent, TRACESTATE: tracestate } = env;
  if (!traceparent) return fetch;
  return (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set('traceparent', traceparent);
    if (tracestate) headers.set('tracestate', tracestate);
    return fetch(input, { ...init, headers });
  };
};

/** The same, for who does not ask by a client. */
export const findPlace = async (options: ConnectOptions, { env }: Pick<Terminal, 'env'>): Promise<Place> => {
  const remote = await findRemote(options, env);
  if (remote) return { ...remote, embedded: false, close: async () => {} };
  const { openEmbedded } = await import('./embedded.ts');
  const { work = true, trySandbox = false } = options;
  const embedded = await openEmbedded({ dataDirectory: dataDirectoryOf(options, env), work, trySandbox });
  return { ...embedded, embedded: embedded.inProcess };
};

export const dataDirectoryOf = ({ data }: ConnectOptions, env: NodeJS.ProcessEnv): string =>
  data ?? env['ERRAND_DATA'] ?? '.errand';

interface Remote {
  readonly url: string;
  readonly apiKey?: ClientOptions['apiKey'];
  readonly streamUrl?: string | undefined;
}

const findRemote = async (options: ConnectOptions, env: NodeJS.ProcessEnv): Promise<Remote | undefined> => {
  const url = options.url ?? env['ERRAND_URL'];
  // A key that was read from a file often ends in a line break.
  const apiKey = env['ERRAND_API_KEY']?.trim() || undefined;
  if (url !== undefined) {
    if (!URL.canParse(url)) throw new Error(`${url} is no URL. Give one such as http://127.0.0.1:7070.`);
    return { url, apiKey, streamUrl: env['ERRAND_STREAM_URL'] };
  }
  const name = options.profile ?? env['ERRAND_PROFILE'];
  if (name === undefined) return undefined;
  const { login, ...profile } = await requireProfile(name, env);
  if (apiKey !== undefined || !login) return { ...profile, apiKey: apiKey ?? profile.apiKey };
  const { tokenSource } = await import('./login.ts');
  const source = tokenSource(name, { ...profile, login }, env, Date.now);
  // Who is logged out is told so before anything else is done.
  await source();
  return { ...profile, apiKey: source };
};

/** Connects, and lets go of it whatever becomes of the use. */
export const withConnection = async <T>(
  options: ConnectOptions,
  terminal: Terminal,
  use: (connection: Connection) => Promise<T>,
): Promise<T> => {
  const connection = await connect(options, terminal);
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
};

/**
 * The same, for what this process cannot stand in for a server with. `what`: what lives in a server, for a person.
 * @throws UsageError when there is no server
 */
export const withServer = <T>(
  options: ConnectOptions,
  terminal: Terminal,
  what: string,
  use: (client: Client) => Promise<T>,
): Promise<T> =>
  withConnection({ ...options, work: false }, terminal, ({ client, embedded }) => {
    if (embedded) throw new UsageError(`${what}. Start one: errand serve`);
    return use(client);
  });
