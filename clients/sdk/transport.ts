import type { ProblemView } from '../../shared/contract/schemas.ts';
import { ApiError, ConnectionError, CredentialError } from './errors.ts';

/** Waits, or returns early, without a fault, when `signal` aborts. */
export type Sleep = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

/** A key or a token; or what gives the one that is good now, asked with each request. */
export type ApiKeySource = string | (() => Promise<string>);

export interface TransportOptions {
  readonly url: string;
  readonly apiKey?: ApiKeySource | undefined;
  readonly fetch: typeof globalThis.fetch;
  readonly sleep: Sleep;
  /** In [0, 1): spreads the tries of many clients. */
  readonly random: () => number;
}

/** One request. With more than one try it must be safe to repeat: it reads, or carries a key or an offset. */
export interface Call {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
  /** Aborts the request and the waiting between tries; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The command that goes on at the server, also when we lose sight of it. */
  readonly commandId?: string;
  /** @default 6, about 2 seconds of waiting */
  readonly tries?: number;
}

/** A call whose answer is JSON. */
export type Json = <T>(method: string, path: string, call?: Call) => Promise<T>;
/** A call whose answer says nothing. */
export type Send = (method: string, path: string) => Promise<void>;

const MOST_ITEMS = 100;

/** All items of a list, page after page. */
export async function* allItems<T>(json: Json, path: string, filter: Call['query'] = {}): AsyncGenerator<T> {
  let cursor: string | undefined;
  do {
    const query = { ...filter, cursor, limit: MOST_ITEMS };
    const page = await json<{ readonly items: readonly T[]; readonly nextCursor?: string }>('GET', path, { query });
    yield* page.items;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** Counts failures in a row, and waits ever longer between tries. */
export interface Backoff {
  /** Waits for the next try. @throws what the caller shall see, when no further try makes sense */
  failed(error: unknown): Promise<void>;
  /** There was progress: the count begins again. */
  reset(): void;
}

export interface Transport {
  readonly url: string;
  /** Sends it once. @throws ApiError, or whatever `fetch` throws */
  once(method: string, path: string, call: Call): Promise<Response>;
  /** Sends it until `read` has the answer, within the tries. @throws ApiError, ConnectionError */
  request<T>(method: string, path: string, call: Call, read: (response: Response) => Promise<T>): Promise<T>;
  backoff(call: Pick<Call, 'tries' | 'signal' | 'commandId'>): Backoff;
  /** The header that shows who calls. @throws CredentialError; whatever its source throws that a repetition may help with */
  authorization(): Promise<Record<string, string>>;
}

const TRIES = 6;
/** For what belongs to a command that runs: about half a minute, so that a server may restart. */
export const PATIENT_TRIES = 12;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** A caller who is told to wait longer decides by itself. */
const LONGEST_RETRY_AFTER_SECONDS = 30;
/** 408: the request came too slowly and was not read. 502 and 504 are what proxies say of a server that restarts. */
const RETRIED = new Set([408, 429, 502, 503, 504]);

/** A 500 in other words than ours is a gateway's, which fails for a moment; one in ours is a fault that would come again. */
const isWorthAnotherTry = ({ status, code }: ApiError): boolean =>
  RETRIED.has(status) || (status === 500 && code === 'unexpected-answer');

export const makeTransport = ({ url, apiKey, fetch, sleep, random }: TransportOptions): Transport => {
  const authorization = async (): Promise<Record<string, string>> =>
    apiKey === undefined ? {} : { authorization: `Bearer ${await keyOf(apiKey)}` };

  const once: Transport['once'] = async (method, path, call) => {
    const response = await fetch(`${url}${path}${toSearch(call.query)}`, {
      method,
      headers: {
        ...(await authorization()),
        ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(call.bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
        ...call.headers,
      },
      ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
      ...(call.bytes === undefined ? {} : { body: call.bytes as Uint8Array<ArrayBuffer> }),
      ...(call.signal ? { signal: call.signal } : {}),
    });
    if (!response.ok) throw await toApiError(response);
    return response;
  };

  const backoff: Transport['backoff'] = ({ tries = TRIES, signal, commandId }) => {
    let failures = 0;
    return {
      async failed(error) {
        signal?.throwIfAborted();
        if (error instanceof CredentialError) throw error;
        const ours = error instanceof ApiError;
        const asked = ours ? (error.retryAfterSeconds ?? 0) : 0;
        if (ours && (!isWorthAnotherTry(error) || asked > LONGEST_RETRY_AFTER_SECONDS)) throw error;
        if (++failures >= tries) throw ours ? error : new ConnectionError(url, commandId, { cause: error });
        const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + random() / 2);
        await sleep(Math.max(waitMs, asked * 1_000), signal);
        signal?.throwIfAborted();
      },
      reset() {
        failures = 0;
      },
    };
  };

  return {
    url,
    once,
    backoff,
    authorization,
    async request(method, path, call, read) {
      const { failed } = backoff(call);
      for (;;) {
        try {
          return await read(await once(method, path, call));
        } catch (error) {
          await failed(error);
        }
      }
    },
  };
};

/** @throws CredentialError; whatever the source throws that a repetition may help with */
const keyOf = async (source: ApiKeySource): Promise<string> => {
  if (typeof source === 'string') return source;
  const key = await source().catch((cause: unknown) => {
    if (cause instanceof ConnectionError || cause instanceof ApiError) throw cause;
    throw new CredentialError(cause instanceof Error ? cause.message : String(cause), { cause });
  });
  // fetch would quote it in its error.
  if (isSendable(key)) return key;
  throw new CredentialError('The API key must be printable ASCII without spaces.');
};

export const isSendable = (key: string): boolean => /^[\x21-\x7e]+$/.test(key);

const toSearch = (query: Call['query'] = {}): string => {
  const given = Object.entries(query).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return given.length > 0 ? `?${new URLSearchParams(given)}` : '';
};

/** Reads JSON. What answers with something else is a proxy, or no Errand at all. */
export const readJson = async <T>(response: Response): Promise<T> => {
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw unexpectedAnswer(response, { cause });
  }
};

const toApiError = async (response: Response): Promise<ApiError> => {
  const text = await response.text();
  const retryAfterSeconds = parseRetryAfter(response.headers);
  try {
    // Gateways answer JSON too.
    if (response.headers.get('content-type')?.startsWith('application/problem+json'))
      return new ApiError(JSON.parse(text) as ProblemView, { retryAfterSeconds });
  } catch {
    // As below.
  }
  return unexpectedAnswer(response, { retryAfterSeconds });
};

const unexpectedAnswer = (
  { status, statusText, url }: Response,
  options: ConstructorParameters<typeof ApiError>[1],
): ApiError => {
  const words = `${status} ${statusText}`.trim();
  const detail = `${url} answered ${words}, but not as Errand does. Is the URL right?`;
  return new ApiError({ type: 'about:blank', title: words, status, detail, code: 'unexpected-answer' }, options);
};

/** Seconds, or a date (RFC 9110, section 10.2.3), which is measured by the server's own clock. */
const parseRetryAfter = (headers: Headers): number | undefined => {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  const seconds = (Date.parse(text) - Date.parse(headers.get('date') ?? '')) / 1_000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
};
