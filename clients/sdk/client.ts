import type * as z from 'zod';
import type {
  CommandList,
  CommandSummary,
  CommandView,
  ProblemView,
  ReplayCommand,
  SignalCommand,
  StdinAccepted,
  SubmitCommand,
  TargetList,
} from '../../shared/contract/schemas.ts';
import { ApiError, ConnectionError } from './errors.ts';
import { type CommandEvent, readEvents } from './events.ts';

export interface ClientOptions {
  /** Such as `http://127.0.0.1:7070`. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  /** @default globalThis.fetch */
  readonly fetch?: typeof globalThis.fetch;
  /** Waits between tries. @default setTimeout */
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

export type Submission = z.input<typeof SubmitCommand>;
export type Replay = z.input<typeof ReplayCommand>;

export interface SubmitOptions {
  /** Waits so long for the end, at most 60 s; the command may come back unfinished. */
  readonly waitSeconds?: number;
  /** @default one made for this call, so that a repeated request submits once */
  readonly idempotencyKey?: string;
}

export interface ListOptions {
  readonly status?: CommandSummary['status'] | undefined;
  /** `key:value` */
  readonly label?: string | undefined;
  readonly target?: string | undefined;
}

export interface FollowOptions {
  readonly stream?: 'stdout' | 'stderr' | undefined;
  /** Begin with this attempt. @default the first that ran */
  readonly attempt?: number | undefined;
  /** Begin at this byte. @default 0 */
  readonly from?: number | undefined;
  /** Ends the following, without a fault. */
  readonly signal?: AbortSignal | undefined;
}

/** What is stored of an output now. */
export interface Snapshot {
  readonly attempt: number;
  /** How many bytes `body` has. */
  readonly size: number;
  /** Whether no more will come. */
  readonly complete: boolean;
  /** Read it, or cancel it. */
  readonly body: ReadableStream<Uint8Array>;
}

/** The API, one method for each thing to do. All throw ApiError and ConnectionError. */
export interface Client {
  readonly url: string;
  submit(submission: Submission, options?: SubmitOptions): Promise<CommandView>;
  replay(id: string, changes: Replay, options?: SubmitOptions): Promise<CommandView>;
  get(id: string, options?: { readonly waitSeconds?: number }): Promise<CommandView>;
  /** All commands that match, newest first, page after page. */
  list(options?: ListOptions): AsyncGenerator<CommandSummary>;
  /** What happens, from the beginning to the end event, through broken connections: every byte once, in order. */
  follow(id: string, options?: FollowOptions): AsyncGenerator<CommandEvent>;
  /** The exact bytes that are stored now, of one stream or of both in the order in which they came. */
  readOutput(id: string, options?: Omit<FollowOptions, 'signal'>): Promise<Snapshot>;
  cancel(id: string): Promise<CommandView>;
  signal(id: string, signal: SignalCommand['signal']): Promise<CommandView>;
  /** Sends a part of open stdin; `from` is its offset, so that a repeated part is taken once. */
  writeStdin(id: string, bytes: Uint8Array, from: number): Promise<StdinAccepted>;
  endStdin(id: string): Promise<StdinAccepted>;
  targets(): Promise<TargetList>;
}

interface Call {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  readonly commandId?: string;
}

const MOST_TRIES = 6;
const FIRST_WAIT_MS = 100;

export const makeClient = (options: ClientOptions): Client => {
  const { apiKey, fetch = globalThis.fetch } = options;
  const url = options.url.replace(/\/+$/, '');
  const sleep = options.sleep ?? ((milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)));

  const fetchOnce = (method: string, path: string, call: Call): Promise<Response> => {
    const query = Object.entries(call.query ?? {}).filter(([, value]) => value !== undefined);
    const search =
      query.length > 0
        ? `?${new URLSearchParams(query.map(([name, value]): [string, string] => [name, String(value)]))}`
        : '';
    return fetch(`${url}${path}${search}`, {
      method,
      headers: {
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(call.bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
        ...call.headers,
      },
      ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
      ...(call.bytes === undefined ? {} : { body: call.bytes as Uint8Array<ArrayBuffer> }),
      ...(call.signal ? { signal: call.signal } : {}),
    });
  };

  /** Every call here is safe to repeat: it reads, or it carries a key or an offset, or twice is the same as once. */
  const request = async <T>(
    method: string,
    path: string,
    call: Call,
    read: (response: Response) => Promise<T>,
  ): Promise<T> => {
    for (let tries = 1; ; tries++) {
      const waitMs = FIRST_WAIT_MS * 2 ** (tries - 1);
      try {
        const response = await fetchOnce(method, path, call);
        if (response.ok) return await read(response);
        const error = await toApiError(response);
        if ((error.status !== 429 && error.status !== 503) || tries === MOST_TRIES) throw error;
        await sleep(Math.max(waitMs, Number(response.headers.get('retry-after') ?? 0) * 1_000));
      } catch (error) {
        if (error instanceof ApiError || call.signal?.aborted) throw error;
        if (tries === MOST_TRIES) throw new ConnectionError(url, call.commandId, { cause: error });
        await sleep(waitMs);
      }
    }
  };

  const json = <T>(method: string, path: string, call: Call = {}): Promise<T> =>
    request(method, path, call, (response) => response.json() as Promise<T>);

  const submitHeaders = ({ waitSeconds, idempotencyKey = crypto.randomUUID() }: SubmitOptions) => ({
    'idempotency-key': idempotencyKey,
    ...(waitSeconds === undefined ? {} : { prefer: `wait=${waitSeconds}` }),
  });

  const pathOf = (id: string, more = ''): string => `/v1/commands/${encodeURIComponent(id)}${more}`;

  return {
    url,
    submit: (submission, submitOptions = {}) =>
      json('POST', '/v1/commands', { json: submission, headers: submitHeaders(submitOptions) }),
    replay: (id, changes, submitOptions = {}) =>
      json('POST', pathOf(id, '/replay'), { json: changes, headers: submitHeaders(submitOptions) }),
    get: (id, { waitSeconds } = {}) =>
      json('GET', pathOf(id), waitSeconds === undefined ? {} : { headers: { prefer: `wait=${waitSeconds}` } }),

    async *list({ status, label, target } = {}) {
      for (let cursor: string | undefined; ; ) {
        const page: CommandList = await json('GET', '/v1/commands', {
          query: { status, label, target, cursor, limit: 100 },
        });
        yield* page.items;
        cursor = page.nextCursor;
        if (cursor === undefined) return;
      }
    },

    async *follow(id, { stream, attempt, from, signal } = {}) {
      let lastId: string | undefined;
      for (let failures = 0; failures < MOST_TRIES; failures++) {
        if (failures > 0) await sleep(FIRST_WAIT_MS * 2 ** (failures - 1));
        try {
          const call: Call = {
            query: lastId === undefined ? { stream, attempt, from } : { stream },
            headers: { accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
            signal,
            commandId: id,
          };
          const body = await request('GET', pathOf(id, '/output'), call, async (response) => response.body);
          if (!body) continue;
          for await (const { id: eventId, event } of readEvents(body)) {
            failures = 0;
            lastId = eventId;
            yield event;
            if (event.type === 'end') return;
          }
        } catch (error) {
          if (signal?.aborted) return;
          if (error instanceof ApiError || error instanceof ConnectionError) throw error;
        }
      }
      throw new ConnectionError(url, id);
    },

    readOutput: (id, { stream, attempt, from } = {}) =>
      request('GET', pathOf(id, '/output'), { query: { stream, attempt, from } }, async ({ headers, body }) => ({
        attempt: Number(headers.get('errand-attempt')),
        size: Number(headers.get('content-length')),
        complete: headers.get('errand-output-complete') === 'true',
        body: body ?? new ReadableStream({ start: (controller) => controller.close() }),
      })),

    cancel: (id) => json('POST', pathOf(id, '/cancel')),
    signal: (id, signal) => json('POST', pathOf(id, '/signal'), { json: { signal } }),
    writeStdin: (id, bytes, from) => json('PUT', pathOf(id, '/stdin'), { bytes, query: { from }, commandId: id }),
    endStdin: (id) => json('DELETE', pathOf(id, '/stdin'), { commandId: id }),
    targets: () => json('GET', '/v1/providers'),
  };
};

/** What answers with something else than a problem is a proxy, or no Errand at all. */
const toApiError = async (response: Response): Promise<ApiError> => {
  const text = await response.text();
  try {
    if (response.headers.get('content-type')?.includes('json')) return new ApiError(JSON.parse(text) as ProblemView);
  } catch {
    // As below.
  }
  const { status, statusText, url } = response;
  return new ApiError({
    type: 'about:blank',
    title: statusText,
    status,
    detail: `${url} answered ${status} ${statusText}, which is not Errand's way of saying no.`,
    code: 'unexpected-answer',
  });
};
