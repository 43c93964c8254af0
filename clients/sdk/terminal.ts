import type * as z from 'zod';
import type { ProblemView } from '../../shared/contract/schemas.ts';
import type { TerminalAttached, TerminalEnded } from '../../shared/contract/terminal.ts';
import { ApiError, ErrandError } from './errors.ts';
import { holdWebSocket, type WebSocketEars, type WebSocketLike } from './web-socket.ts';

/** As in shared/contract/terminal.ts, which brings schemas along. */
const PROTOCOL = 'errand.terminal.v1';
const CLOSED_FOR_GOOD = [1003, 1008, 1009];
/** The server takes no larger message. */
const MESSAGE_BYTES = 32 * 1024;
/** Shown and not read yet: beyond it nothing more is taken from the connection. */
const MOST_WAITING_BYTES = 1024 * 1024;

export interface TerminalOptions {
  /** The first byte of what it has shown; `end`: what comes next. @default 0, all of it */
  readonly from?: number | 'end' | undefined;
  /** How much fits on it, from now on. Both or neither. */
  readonly rows?: number | undefined;
  readonly columns?: number | undefined;
  /** Called when the connection broke and is tried again. */
  readonly onBreak?: ((error: unknown) => void) | undefined;
  /** Detaches; the command goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** How the command ended. */
export type TerminalEnd = Omit<z.output<typeof TerminalEnded>, 'type'>;

/** Somebody who looks at the terminal of a command, and types. */
export interface TerminalConnection extends AsyncIterable<Uint8Array> {
  /**
   * Types. Resolves once it was given to the connection. What was on its way when a connection breaks may be lost, and is
   * never sent twice.
   */
  send(input: Uint8Array | string): Promise<void>;
  /** Tells how much fits on it. Of several who look at it, the last one counts. */
  resize(rows: number, columns: number): void;
  /** The offset right after what was handed out: `from`, to look on from there. */
  readonly offset: number;
  /**
   * How the command ended; undefined when `signal` detached. Rejects as the iteration does: with an ApiError when the server says no, a
   * ConnectionError when it is away for about half a minute. The command goes on then.
   */
  readonly ended: Promise<TerminalEnd | undefined>;
}

interface Parts {
  /** Where to, with the query. */
  readonly urlAt: (query: Record<string, string>) => string;
  readonly authorization: () => Promise<Record<string, string>>;
  readonly backoff: { failed(error: unknown): Promise<void>; reset(): void };
  readonly silenceMs: number;
}

/** Attaches, and again by the offset when the connection breaks: every byte once, in order. */
export const connectTerminal = (
  { urlAt, authorization, backoff, silenceMs }: Parts,
  { from = 0, rows, columns, onBreak, signal }: TerminalOptions,
): TerminalConnection => {
  let size = rows !== undefined && columns !== undefined ? { rows, columns } : undefined;
  let start: number | 'end' = from;
  let handedOut = typeof from === 'number' ? from : 0;
  let socket: WebSocketLike | undefined;
  let isOver = false;
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let wakeReader = (): void => {};
  let roomAgain = (): void => {};
  const typed: { readonly bytes: Uint8Array; readonly sent: () => void }[] = [];

  const sendTyped = (): void => {
    while (socket && typed.length > 0) {
      const { bytes, sent } = typed.shift() as (typeof typed)[number];
      for (let at = 0; at < bytes.length; at += MESSAGE_BYTES) socket.send(bytes.subarray(at, at + MESSAGE_BYTES));
      sent();
    }
  };

  const take = (bytes: Uint8Array): void => {
    start = (start as number) + bytes.length;
    backoff.reset();
    waiting.push(bytes);
    waitingBytes += bytes.length;
    if (waitingBytes > MOST_WAITING_BYTES) socket?.pause();
    wakeReader();
  };

  /** Until it ends, or breaks. */
  const once = async (): Promise<TerminalEnd | undefined> => {
    const query = { from: String(start), ...(size ? { rows: String(size.rows), columns: String(size.columns) } : {}) };
    const how = { protocol: PROTOCOL, headers: await authorization(), silenceMs, refusalOf };
    let end: TerminalEnd | undefined;
    const ears: WebSocketEars = {
      bytes: take,
      asked: () => backoff.reset(),
      text(message, connection) {
        const news = JSON.parse(message) as z.output<typeof TerminalAttached> | z.output<typeof TerminalEnded>;
        if (news.type === 'attached') {
          start = news.from;
          handedOut = news.from - waitingBytes;
          socket = connection;
          if (size) connection.send(JSON.stringify({ type: 'resize', ...size }));
          sendTyped();
        } else if (news.type === 'ended') {
          const { type: _, ...rest } = news;
          end = rest;
        }
      },
    };
    const closed = await holdWebSocket(urlAt(query), how, ears, signal).finally(() => {
      socket = undefined;
    });
    if (end || signal?.aborted) return end;
    const why = closed.reason === '' ? 'The connection to the terminal broke' : closed.reason;
    if (CLOSED_FOR_GOOD.includes(closed.code)) throw new TerminalRefused(why);
    throw new Error(why);
  };

  /** A connection that was cut since nobody read from it is not made again before somebody does. */
  const room = async (): Promise<void> => {
    while (waitingBytes > MOST_WAITING_BYTES && !signal?.aborted) {
      await new Promise<void>((resolve) => {
        roomAgain = resolve;
      });
    }
  };

  const attach = async (): Promise<TerminalEnd | undefined> => {
    signal?.addEventListener('abort', () => roomAgain(), { once: true });
    for (;;) {
      try {
        await room();
        return await once();
      } catch (error) {
        if (signal?.aborted) return undefined;
        if (error instanceof TerminalRefused) throw error;
        onBreak?.(error);
        try {
          await backoff.failed(error);
        } catch (final) {
          if (signal?.aborted) return undefined;
          throw final;
        }
      }
    }
  };

  const ended = attach().finally(() => {
    isOver = true;
    for (const { sent } of typed.splice(0)) sent();
    wakeReader();
  });
  // Whoever reads hears of it too.
  ended.catch(() => {});

  async function* read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const bytes = waiting.shift();
      if (bytes) {
        waitingBytes -= bytes.length;
        handedOut += bytes.length;
        if (waitingBytes <= MOST_WAITING_BYTES) {
          socket?.resume();
          roomAgain();
        }
        yield bytes;
      } else if (isOver) {
        await ended;
        return;
      } else {
        await new Promise<void>((resolve) => {
          wakeReader = resolve;
        });
      }
    }
  }

  return {
    send(input) {
      const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input;
      return new Promise((sent) => {
        if (isOver) return sent();
        typed.push({ bytes, sent });
        sendTyped();
      });
    },
    resize(newRows, newColumns) {
      size = { rows: newRows, columns: newColumns };
      socket?.send(JSON.stringify({ type: 'resize', ...size }));
    },
    get offset() {
      return handedOut;
    },
    ended,
    [Symbol.asyncIterator]: read,
  };
};

/** The server ended the connection for good: what was sent is nothing that it takes. */
class TerminalRefused extends ErrandError {
  override readonly name = 'TerminalRefused';
}

/** The answer to a request for a WebSocket that was not taken. */
const refusalOf = (status: number, body: string): Error => {
  try {
    const problem = JSON.parse(body) as ProblemView;
    if (typeof problem.code === 'string') return new ApiError(problem, {});
  } catch {
    // As below.
  }
  const detail = `The server answered ${status} where a terminal was asked for. Is the URL right, and does a proxy before it pass WebSockets on?`;
  return new ApiError({ type: 'about:blank', title: String(status), status, detail, code: 'unexpected-answer' }, {});
};
