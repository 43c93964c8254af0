/** What is used of a WebSocket of the package `ws`, whose own types would bring Node's along. */
export interface WebSocketLike {
  send(data: string | Uint8Array): void;
  pause(): void;
  resume(): void;
  close(code?: number): void;
  terminate(): void;
  on<A extends unknown[]>(event: string, hear: (...args: A) => void): void;
}

const LEAVE_MS = 1_000;

interface Opening {
  readonly protocol: string;
  readonly headers: Record<string, string>;
  /** A connection on which nothing comes for so long is dead: the server asks every 15 s whether we live. */
  readonly silenceMs: number;
  /** An answer that is none to a WebSocket. */
  readonly refusalOf: (status: number, body: string) => Error;
}

export interface WebSocketEars {
  bytes(bytes: Uint8Array): void;
  text(text: string, socket: WebSocketLike): void;
  /** The server has asked whether we live. */
  asked(): void;
}

interface Answer {
  readonly statusCode?: number;
  setEncoding(encoding: string): void;
  on<A extends unknown[]>(event: string, hear: (...args: A) => void): void;
}

/**
 * Opens a WebSocket and resolves once it is closed. By the package `ws`, since those of browsers and of Node can show no key;
 * named so that nothing that bundles this client takes it along.
 * @throws what `refusalOf` makes of the answer; Error when no connection came about, or it broke
 */
export const holdWebSocket = async (
  url: string,
  { protocol, headers, silenceMs, refusalOf }: Opening,
  ears: WebSocketEars,
  signal: AbortSignal | undefined,
): Promise<{ readonly code: number; readonly reason: string }> => {
  const library = 'ws';
  const { WebSocket } = (await import(library)) as {
    WebSocket: new (url: string, protocols: string[], options: object) => WebSocketLike;
  };
  signal?.throwIfAborted();
  const socket = new WebSocket(url, [protocol], {
    headers,
    perMessageDeflate: false,
    handshakeTimeout: silenceMs,
  });
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; reason: string }>();
  let silence: ReturnType<typeof setTimeout> | undefined;
  let closing: ReturnType<typeof setTimeout> | undefined;
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.terminate(), silenceMs);
  };
  const leave = (): void => {
    socket.close(1000);
    // Whoever leaves does not wait for a server that is not there, which the package would do for 30 s.
    closing = setTimeout(() => socket.terminate(), LEAVE_MS);
    resolve({ code: 1000, reason: '' });
  };
  socket.on('open', heard);
  socket.on('ping', () => {
    heard();
    ears.asked();
  });
  socket.on('message', (data: Uint8Array, isBinary: boolean) => {
    heard();
    try {
      if (isBinary) ears.bytes(data);
      else ears.text(new TextDecoder().decode(data), socket);
    } catch (error) {
      reject(error);
      socket.terminate();
    }
  });
  socket.on('unexpected-response', (_: unknown, answer: Answer) => {
    let body = '';
    answer.setEncoding('utf8');
    answer.on('data', (piece: string) => {
      body += piece;
    });
    answer.on('end', () => {
      reject(refusalOf(answer.statusCode ?? 0, body));
      socket.terminate();
    });
  });
  socket.on('error', (error: Error) => reject(error));
  socket.on('close', (code: number, reason: Uint8Array) => {
    clearTimeout(closing);
    resolve({ code, reason: new TextDecoder().decode(reason) });
  });
  signal?.addEventListener('abort', leave, { once: true });
  try {
    return await promise;
  } finally {
    clearTimeout(silence);
    signal?.removeEventListener('abort', leave);
  }
};
