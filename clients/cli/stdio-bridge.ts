import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { EventSourceParserStream } from 'eventsource-parser/stream';

/** Sends a message, as JSON, to a server's `/mcp`. */
export type SendMessage = (body: string, headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;

export interface BridgeOptions {
  readonly send: SendMessage;
  /** Waits between tries, and for what is in flight when it ends. Rejects once `signal` aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Made once for a message, so that one whose answer was lost is the same when it is sent again. */
  readonly makeKey: () => string;
  /** Ends it as the end of its input does: what is in flight is answered first. */
  readonly stop: AbortSignal;
  /** Leaves without the answers. So does `stop` after the end of the input: who closes it and then asks again is in a hurry. */
  readonly leave: AbortSignal;
}

interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
}

const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
/** JSON-RPC 2.0, section 5.1. */
const PARSE_ERROR = -32700;
const INTERNAL_ERROR = -32603;
const LEFT = 'errand mcp was told to end before the answer was there. What was submitted is not taken back by that.';

/** About six seconds of waiting. */
const TRIES = 7;
const FIRST_WAIT_MS = 100;
/** For what is in flight at the end. */
const GRACE_MS = 10_000;
/** 502 and 504 are what proxies say of a server that restarts. */
const RETRIED = new Set([502, 503, 504]);
/** Input that is sent again without a place would be there twice; run_command is told apart by its key. */
const isRepeatable = ({ params }: Message): boolean => params?.['name'] !== 'send_input';

/**
 * MCP over stdio, a message a line, by a server's Streamable HTTP: what stands in a message is told in headers as the
 * protocol's revision asks (2026-07-28: all in the message; before: agreed by `initialize`). Ends with its input, once each request
 * has its answer: after some 10 s that is an error.
 */
export const bridgeStdio = async (input: Readable, output: Writable, options: BridgeOptions): Promise<void> => {
  const { send, sleep, makeKey, stop, leave } = options;
  /** By the id as JSON: 1 is not "1". */
  const open = new Map<string, AbortController>();
  const left = new AbortController();
  let agreedVersion: string | undefined;

  const say = (message: unknown): void => void output.write(`${JSON.stringify(message)}\n`);

  const headersOf = ({ method = '', params = {} }: Message): Record<string, string> => {
    const meta = params['_meta'] as Readonly<Record<string, unknown>> | undefined;
    const stated = meta?.[VERSION_KEY];
    const version = typeof stated === 'string' ? stated : agreedVersion;
    const { name } = params;
    return {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(version === undefined ? {} : { 'mcp-protocol-version': version }),
      ...(stated === undefined ? {} : { 'mcp-method': asHeader(method) }),
      ...(stated === undefined || typeof name !== 'string' ? {} : { 'mcp-name': asHeader(name) }),
    };
  };

  /** Sends it until its answer was read to the end. */
  const relay = async (message: Message, text: string, gone: AbortSignal): Promise<void> => {
    const headers = { ...headersOf(message), 'idempotency-key': makeKey() };
    for (let failures = 0; ; failures++) {
      let isAnswered = message.id === undefined;
      try {
        const response = await send(text, headers, gone);
        if (RETRIED.has(response.status)) throw await toError(response);
        for await (const one of messagesIn(response)) {
          const version = message.method === 'initialize' ? one.result?.['protocolVersion'] : undefined;
          if (typeof version === 'string') agreedVersion = version;
          gone.throwIfAborted();
          say(one);
          isAnswered ||= one.id === message.id;
        }
        if (isAnswered) return;
        throw new Error('The connection to the server was lost before its answer');
      } catch (error) {
        if (isAnswered) return;
        const isFinal = error instanceof Refused || !isRepeatable(message) || failures + 1 >= TRIES;
        if (gone.aborted || isFinal) throw error;
        await sleep(FIRST_WAIT_MS * 2 ** failures, gone);
      }
    }
  };

  const answer = async (message: Message, text: string): Promise<void> => {
    const { id } = message;
    const taken = new AbortController();
    const key = JSON.stringify(id);
    if (id !== undefined) open.set(key, taken);
    try {
      await relay(message, text, AbortSignal.any([taken.signal, left.signal]));
    } catch (error) {
      // What was taken back needs no answer.
      if (id === undefined || taken.signal.aborted) return;
      const detail = left.signal.aborted ? LEFT : error instanceof Error ? error.message : String(error);
      say({ jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message: detail } });
    } finally {
      if (open.get(key) === taken) open.delete(key);
    }
  };

  const running = new Set<Promise<void>>();
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY, signal: stop })) {
    if (line.trim() === '') continue;
    const message = parse(line);
    if (!message) {
      say({ jsonrpc: '2.0', id: null, error: { code: PARSE_ERROR, message: 'The line is no JSON object.' } });
      continue;
    }
    if (message.method === 'notifications/cancelled') {
      open.get(JSON.stringify(message.params?.['requestId']))?.abort();
      continue;
    }
    const answering = answer(message, line);
    // What a session is agreed on comes first.
    if (message.method === 'initialize') await answering;
    running.add(answering);
    void answering.finally(() => running.delete(answering));
  }
  const answered = new AbortController();
  const hurry = stop.aborted ? leave : AbortSignal.any([stop, leave]);
  const grace = sleep(GRACE_MS, AbortSignal.any([hurry, answered.signal])).catch(() => {});
  await Promise.race([Promise.all(running), grace]);
  answered.abort();
  left.abort();
  await Promise.all(running);
};

const parse = (line: string): Message | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** A server that has understood, and says no. */
class Refused extends Error {
  override readonly name = 'Refused';
}

async function* messagesIn(response: Response): AsyncGenerator<Message> {
  const { body, headers, status } = response;
  if (!body || status === 202) return;
  const type = headers.get('content-type') ?? '';
  if (type.startsWith('text/event-stream')) {
    const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const { data } of events) if (data !== '') yield JSON.parse(data) as Message;
    return;
  }
  // The protocol's own errors are answers, whatever their status.
  if (!type.startsWith('application/json')) throw await toError(response);
  yield JSON.parse(await response.text()) as Message;
}

const toError = async (response: Response): Promise<Error> => {
  const { status, headers } = response;
  const text = await response.text();
  if (!headers.get('content-type')?.startsWith('application/problem+json')) {
    return new Refused(`The server answered ${status}, but not as Errand does. Is the URL right?`);
  }
  const { code, detail } = JSON.parse(text) as { readonly code: string; readonly detail?: string };
  const told = `${code}: ${detail ?? ''}`;
  return RETRIED.has(status) ? new Error(told) : new Refused(told);
};

/** As the protocol puts what is not printable ASCII into a header. */
const asHeader = (text: string): string =>
  /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith('=?base64?')
    ? text
    : `=?base64?${Buffer.from(text).toString('base64')}?=`;
