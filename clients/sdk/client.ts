import type * as z from 'zod';
import type {
  CommandList,
  CommandSummary,
  CommandView,
  ReplayCommand,
  SignalCommand,
  StdinAccepted,
  SubmitCommand,
  TargetList,
} from '../../shared/contract/schemas.ts';
import { type AccessCalls, makeAccessCalls } from './access.ts';
import { type AuditCalls, makeAuditCalls } from './audit.ts';
import { cancelUnlessOver } from './cancel-unless-over.ts';
import { type EventCalls, makeEventCalls } from './event-log.ts';
import { type FollowedEvent, type FollowOptions, followEvents } from './follow.ts';
import { makePolicyCalls, type PolicyCalls } from './policies.ts';
import { makeScheduleCalls, type ScheduleCalls } from './schedules.ts';
import { makeSecretCalls, type SecretCalls } from './secrets.ts';
import { makeSessionTokenCalls, type SessionTokenCalls } from './session-tokens.ts';
import { makeSessionCalls, type SessionCalls, type SessionCommand } from './sessions.ts';
import type { AbortOptions, SubmitOptions, WaitOptions } from './submit-options.ts';
import { makeTenancyCalls, type TenancyCalls } from './tenancy.ts';
import { connectTerminal, type TerminalConnection, type TerminalOptions } from './terminal.ts';
import {
  type ApiKeySource,
  type Call,
  isSendable,
  makeTransport,
  PATIENT_TRIES,
  readJson,
  type Send,
  type Sleep,
} from './transport.ts';
import { makeTriggerCalls, type TriggerCalls } from './triggers.ts';
import { makeWebhookCalls, type WebhookCalls } from './webhooks.ts';
import { makeWorkflowCalls, type WorkflowCalls } from './workflows.ts';

export interface ClientOptions {
  /** Where live output is asked for, when that is another door than `url`. @default `url` */
  readonly streamUrl?: string | undefined;
  /** Such as `http://127.0.0.1:7070`. */
  readonly url: string;
  /** Sent as a bearer token: a key, an access token or a session token. A function is asked with each request, so that it can renew what ends. */
  readonly apiKey?: ApiKeySource | undefined;
  /** @default globalThis.fetch */
  readonly fetch?: typeof globalThis.fetch;
  /** Waits between tries. @default setTimeout */
  readonly sleep?: Sleep;
  /** Spreads the tries of many clients. @default Math.random */
  readonly random?: () => number;
  /** A live stream on which nothing comes for so long is dead: the server sends something every 15 s. @default 45000 */
  readonly silenceMs?: number;
}

export type Submission = z.input<typeof SubmitCommand>;
export type Replay = z.input<typeof ReplayCommand>;

export type { AbortOptions, SubmitOptions, WaitOptions } from './submit-options.ts';

export interface ListOptions {
  readonly status?: CommandSummary['status'] | undefined;
  /** `key:value` */
  readonly label?: string | undefined;
  readonly target?: string | undefined;
  /** At most so many. @default all */
  readonly limit?: number | undefined;
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

/**
 * The API, one method for each thing to do. All throw ApiError, when the server says no, ConnectionError, when it cannot be
 * reached, and CredentialError, when `apiKey` is a function and fails; all are an ErrandError. Failed connections, 429 and 503 are retried within bounds, as every call
 * but `signal` and those that make a key is safe to repeat.
 */
export interface Client
  extends AccessCalls,
    AuditCalls,
    EventCalls,
    PolicyCalls,
    ScheduleCalls,
    WebhookCalls,
    SecretCalls,
    SessionCalls,
    SessionTokenCalls,
    TenancyCalls,
    TriggerCalls,
    WorkflowCalls {
  readonly url: string;
  /** Resolves once the command is stored durably; then it will run. */
  submit(submission: Submission, options?: SubmitOptions): Promise<CommandView>;
  /**
   * Submits, and waits for the end however long it takes. A command that fails is a result, not an error. An abort of
   * `signal` cancels the command, also one whose submission was not answered yet, and then rejects with the signal's reason.
   */
  run(submission: Submission, options?: Omit<SubmitOptions, 'waitSeconds'>): Promise<CommandView>;
  /** Submits the same again as a new command, with changes. */
  replay(id: string, changes?: Replay, options?: SubmitOptions): Promise<CommandView>;
  get(id: string, options?: WaitOptions): Promise<CommandView>;
  /** All commands that match, newest first, page after page. */
  list(options?: ListOptions): AsyncGenerator<CommandSummary>;
  /**
   * What happens, from the beginning to the end event, through broken connections: every byte once, in order.
   * Gives up with a ConnectionError when the server is away for about half a minute; the command goes on.
   */
  follow(id: string, options?: FollowOptions): AsyncGenerator<FollowedEvent>;
  /** The exact bytes that are stored now, of one stream or of both in the order in which they came. */
  readOutput(id: string, options?: Pick<FollowOptions, 'stream' | 'attempt' | 'from'>): Promise<Snapshot>;
  /** Ends a command with all that it started. Twice is the same as once. @throws ApiError 'already-final' */
  cancel(id: string): Promise<CommandView>;
  /** Has its next attempt on another target that it may run on. */
  move(id: string, target: string): Promise<CommandView>;
  /** Sends one signal. Not retried, since a repetition would send another. */
  signal(id: string, signal: SignalCommand['signal']): Promise<CommandView>;
  /** Sends a part of open stdin, at most 1 MiB; `from` is its offset, so that a repeated part is taken once. */
  writeStdin(id: string, bytes: Uint8Array, from: number, options?: AbortOptions): Promise<StdinAccepted>;
  endStdin(id: string, options?: AbortOptions): Promise<StdinAccepted>;
  /**
   * Attaches to the terminal of a command that was submitted with one, through broken connections. In Node alone, with the package `ws`:
   * a browser's WebSocket cannot show a key.
   */
  terminal(id: string, options?: TerminalOptions): TerminalConnection;
  /** Targets, what they can do, and whether they are healthy. */
  targets(): Promise<TargetList>;
}

const MOST_ITEMS = 100;
const LONGEST_WAIT_SECONDS = 60;

/** @throws TypeError when the API key could not stand in a header */
export const makeClient = (options: ClientOptions): Client => {
  const { apiKey, fetch = globalThis.fetch, sleep = timerSleep, random = Math.random, silenceMs = 45_000 } = options;
  const url = options.url.replace(/\/+$/, '');
  // fetch would quote it in its error.
  if (typeof apiKey === 'string' && !isSendable(apiKey))
    throw new TypeError('The API key must be printable ASCII without spaces.');
  const transport = makeTransport({ url, apiKey, fetch, sleep, random });
  const streamUrl = (options.streamUrl ?? url).replace(/\/+$/, '');
  const streams = streamUrl === url ? transport : makeTransport({ url: streamUrl, apiKey, fetch, sleep, random });

  const json = <T>(method: string, path: string, call: Call = {}): Promise<T> =>
    transport.request(method, path, call, (response) => readJson<T>(response));
  const send: Send = (method, path) => transport.request(method, path, {}, async () => {});
  const toCommand = (id: string, more = ''): string => `/v1/commands/${encodeURIComponent(id)}${more}`;

  const submit = (
    path: string,
    body: Submission | Replay | SessionCommand,
    { idempotencyKey, ...wait }: SubmitOptions,
  ) =>
    json<CommandView>('POST', path, {
      json: body,
      headers: { 'idempotency-key': idempotencyKey ?? makeKey(), ...toPrefer(wait) },
      signal: wait.signal,
    });
  const get = (id: string, wait: WaitOptions = {}) =>
    json<CommandView>('GET', toCommand(id), { headers: toPrefer(wait), signal: wait.signal });

  const cancel = (id: string): Promise<CommandView> => json('POST', toCommand(id, '/cancel'));

  return {
    url,
    submit: (submission, submitOptions = {}) => submit('/v1/commands', submission, submitOptions),
    async run(submission, { signal, idempotencyKey = makeKey() } = {}) {
      const wait = { waitSeconds: LONGEST_WAIT_SECONDS, signal };
      signal?.throwIfAborted();
      let command: CommandView | undefined;
      try {
        command = await submit('/v1/commands', submission, { ...wait, idempotencyKey });
        while (command.endedAt === null) command = await get(command.id, wait);
        return command;
      } catch (error) {
        if (signal?.aborted) {
          // Asked again with its key, an unanswered submission tells which command it made.
          const { id } = command ?? (await submit('/v1/commands', submission, { idempotencyKey }));
          await cancelUnlessOver({ cancel }, id);
        }
        throw error;
      }
    },
    replay: (id, changes = {}, submitOptions = {}) => submit(toCommand(id, '/replay'), changes, submitOptions),
    get,

    async *list({ status, label, target, limit = Number.POSITIVE_INFINITY } = {}) {
      let left = limit;
      for (let cursor: string | undefined; left > 0; ) {
        const query = { status, label, target, cursor, limit: Math.min(left, MOST_ITEMS) };
        const page: CommandList = await json('GET', '/v1/commands', { query });
        yield* page.items;
        left -= page.items.length;
        cursor = page.nextCursor;
        if (cursor === undefined) return;
      }
    },

    follow: (id, followOptions = {}) =>
      followEvents(streams, id, toCommand(id, '/output'), { ...followOptions, silenceMs }),

    readOutput: (id, { stream, attempt, from } = {}) =>
      transport.request(
        'GET',
        toCommand(id, '/output'),
        { query: { stream, attempt, from } },
        async ({ headers, body }) => ({
          attempt: Number(headers.get('errand-attempt')),
          size: Number(headers.get('content-length')),
          complete: headers.get('errand-output-complete') === 'true',
          body: body ?? new Blob([]).stream(),
        }),
      ),

    cancel,
    move: (id, target) => json('POST', toCommand(id, '/move'), { json: { target } }),
    // The one call that must not be repeated: a signal that came may be counted.
    signal: (id, signal) => json('POST', toCommand(id, '/signal'), { json: { signal }, tries: 1 }),
    writeStdin: (id, bytes, from, { signal } = {}) =>
      json('PUT', toCommand(id, '/stdin'), { bytes, query: { from }, commandId: id, tries: PATIENT_TRIES, signal }),
    endStdin: (id, { signal } = {}) =>
      json('DELETE', toCommand(id, '/stdin'), { commandId: id, tries: PATIENT_TRIES, signal }),
    terminal: (id, terminalOptions = {}) =>
      connectTerminal(
        {
          urlAt: (query) => `${url.replace(/^http/, 'ws')}${toCommand(id, '/terminal')}?${new URLSearchParams(query)}`,
          authorization: transport.authorization,
          backoff: transport.backoff({ tries: PATIENT_TRIES, commandId: id, signal: terminalOptions.signal }),
          silenceMs,
        },
        terminalOptions,
      ),
    targets: () => json('GET', '/v1/providers'),
    ...makeAccessCalls(json, send),
    ...makeAuditCalls(json, transport),
    ...makeEventCalls(json, streams, silenceMs),
    ...makePolicyCalls(json),
    ...makeScheduleCalls(json, send, makeKey),
    ...makeWebhookCalls(json, send),
    ...makeSecretCalls(json, send),
    ...makeSessionCalls(json, submit),
    ...makeSessionTokenCalls(json, send),
    ...makeTenancyCalls(json, send),
    ...makeTriggerCalls(json, send),
    ...makeWorkflowCalls(json, streams, { silenceMs, makeKey }),
  };
};

const toPrefer = ({ waitSeconds }: WaitOptions): Record<string, string> =>
  waitSeconds === undefined ? {} : { prefer: `wait=${waitSeconds}` };

/** Not randomUUID(): browsers have that on secure pages only. */
const makeKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

const timerSleep: Sleep = (milliseconds, signal) =>
  new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal?.addEventListener('abort', wake, { once: true });
    if (signal?.aborted) wake();
  });
