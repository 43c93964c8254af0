import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { type AttachedTerminal, attachTerminal, requireTerminal } from '../shared/app/attach-terminal.ts';
import type { Deps } from '../shared/app/deps.ts';
import { writeStdin } from '../shared/app/write-stdin.ts';
import { matchEndpoint } from '../shared/contract/endpoints.ts';
import { TERMINAL_CLOSES, TERMINAL_PROTOCOL, type TerminalNews, TerminalResize } from '../shared/contract/terminal.ts';
import type { Actor } from '../shared/domain/actor.ts';
import { AppError } from '../shared/domain/errors.ts';
import type { CommandId } from '../shared/domain/ids.ts';
import { LIMITS } from '../shared/domain/limits.ts';
import { admit } from '../shared/http/admit.ts';
import { parseRequest } from '../shared/http/parse-request.ts';
import { type GatewayRequest, toEvent } from './gateway-event.ts';

/** The WebSockets by which terminals are looked at (docs/terminals.md). */
export interface TerminalSockets {
  /** Whether a request that asks for a WebSocket asks for one of these. */
  takes(request: IncomingMessage): boolean;
  /** Goes on with a connection whose request was let in by the gateway (101). Owns it from then on. */
  accept(request: IncomingMessage, connection: { socket: Duplex; head: Buffer }, asked: GatewayRequest): void;
  /** Ends them all, saying that they may attach again. */
  close(): Promise<void>;
}

/** How often a peer is asked whether it lives, and whether it may still do this. Who has not answered by the next time is dropped. */
const BEAT_MS = 15_000;
/** Typed and not stored yet: beyond it nothing more is read. */
const MOST_PENDING_BYTES = 256 * 1024;
/** Who types faster than it may waits so long. */
const RATE_PAUSE_MS = 100;
const CLOSE_PATIENCE_MS = 1_000;

export const makeTerminalSockets = (deps: Deps): TerminalSockets => {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: LIMITS.terminalMessageBytes,
    perMessageDeflate: false,
    handleProtocols: () => TERMINAL_PROTOCOL,
  });
  let closing = false;
  return {
    takes: ({ headers, url = '' }) => {
      if (headers.upgrade?.toLowerCase() !== 'websocket') return false;
      const match = matchEndpoint('GET', url.split('?')[0] ?? '');
      return match.kind === 'endpoint' && match.name === 'attachTerminal';
    },
    accept(request, { socket, head }, asked) {
      if (closing) return void socket.destroy();
      server.handleUpgrade(request, socket, head, (peer) => serveTerminal(deps, peer, asked));
    },
    async close() {
      closing = true;
      const left = [...server.clients].map((peer) => {
        if (peer.readyState === peer.CLOSED) return undefined;
        const gone = new Promise<void>((resolve) => peer.once('close', () => resolve()));
        peer.close(TERMINAL_CLOSES.goingAway, 'The server shuts down.');
        return gone;
      });
      const given = new AbortController();
      await Promise.race([Promise.all(left), deps.clock.sleep(CLOSE_PATIENCE_MS, given.signal)]);
      given.abort();
      for (const peer of server.clients) peer.terminate();
      server.close();
    },
  };
};

/** Why a peer is closed. The reason has 123 bytes at most (RFC 6455, section 5.5). */
const close = (peer: WebSocket, code: number, reason: string): void => peer.close(code, reason.slice(0, 120));

const serveTerminal = (deps: Deps, peer: WebSocket, asked: GatewayRequest): void => {
  const event = toEvent(asked, Buffer.alloc(0), deps.clock.now());
  const match = matchEndpoint('GET', event.rawPath);
  const { params, query } = parseRequest('attachTerminal', {
    params: match.kind === 'endpoint' ? match.params : {},
    query: event.queryStringParameters ?? {},
    headers: event.headers,
    body: Buffer.alloc(0),
  });
  const { id } = params;
  let attached: AttachedTerminal | undefined;
  /** As by a request of its own: nothing is remembered of who was let in. */
  const letIn = async (): Promise<Actor> => {
    const { actor } = await admit(deps, 'attachTerminal', event);
    await requireTerminal(deps, actor, id);
    return actor;
  };
  const fail = (error: unknown): void => {
    if (isRefusal(error)) {
      close(peer, TERMINAL_CLOSES.unauthorized, error.message);
    } else {
      deps.log.warn('A terminal was cut off', { command: id, error });
      close(peer, TERMINAL_CLOSES.fault, 'A fault of the server.');
    }
  };
  const input = takeInput(deps, peer, id, { letIn, fail });
  // What is said before it is attached is heard all the same.
  let size = query.rows && query.columns ? { rows: query.rows, columns: query.columns } : undefined;
  peer.on('message', (data, isBinary) => {
    if (isBinary) return input(toBuffer(data));
    const resize = parseResize(toBuffer(data));
    if (!resize)
      return close(peer, TERMINAL_CLOSES.unsupported, 'Not a message of ours: {"type":"resize","rows","columns"}.');
    const { rows, columns } = resize;
    size = { rows, columns };
    attached?.resize(size);
  });
  peer.on('error', (error) => deps.log.debug('A terminal’s peer broke the protocol', { command: id, error }));
  keepAlive(deps, peer, { letIn, fail });
  const show = async (): Promise<void> => {
    const actor = await letIn();
    attached = await attachTerminal(deps, actor, id, query.from ?? 0);
    using terminal = attached;
    peer.once('close', () => terminal[Symbol.dispose]());
    if (peer.readyState !== peer.OPEN) return;
    if (size) terminal.resize(size);
    await send(peer, { type: 'attached', from: terminal.from, status: terminal.status });
    for (;;) {
      const shown = await terminal.output.next();
      if (!shown.done) {
        await send(peer, shown.value);
        continue;
      }
      if (!shown.value) return;
      const { status, result } = shown.value;
      await send(peer, { type: 'ended', status, exitCode: result?.exitCode ?? null, signal: result?.signal ?? null });
      return close(peer, 1000, 'The command has ended.');
    }
  };
  show().catch((error: unknown) => {
    if (peer.readyState === peer.OPEN) fail(error);
  });
};

const isRefusal = (error: unknown): error is AppError =>
  error instanceof AppError && ['unauthenticated', 'forbidden', 'not-found', 'conflict'].includes(error.code);

/** Resolves once it has left: what waits here is one piece, so that a peer that does not read holds up its own reading alone. */
const send = (peer: WebSocket, message: Uint8Array | TerminalNews): Promise<void> =>
  new Promise((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve());
    if (message instanceof Uint8Array) peer.send(message, { binary: true }, done);
    else peer.send(JSON.stringify(message), { binary: false }, done);
  });

const toBuffer = (data: RawData): Buffer => {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
};

const parseResize = (text: Buffer): TerminalResize | undefined => {
  try {
    return TerminalResize.safeParse(JSON.parse(text.toString('utf8'))).data;
  } catch {
    return undefined;
  }
};

interface Ears {
  /** Who it is, if it still may. @throws AppError */
  letIn(): Promise<Actor>;
  fail(error: unknown): void;
}

/** What is typed goes where PUT …/stdin goes, and counts as that; what comes while a part is being stored goes with the next. */
const takeInput = (deps: Deps, peer: WebSocket, id: CommandId, { letIn, fail }: Ears): ((bytes: Buffer) => void) => {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let storing = false;
  const letInInTurn = async (): Promise<Actor> => {
    for (;;) {
      try {
        return await letIn();
      } catch (error) {
        if (!(error instanceof AppError && error.code === 'rate-limited') || peer.readyState !== peer.OPEN) throw error;
        await deps.clock.sleep(RATE_PAUSE_MS, deps.closing);
      }
    }
  };
  const store = async (): Promise<void> => {
    while (pendingBytes > 0) {
      const actor = await letInInTurn();
      const bytes = pending.length === 1 ? (pending[0] as Buffer) : Buffer.concat(pending, pendingBytes);
      pending = [];
      pendingBytes = 0;
      await writeStdin(deps, actor, id, { bytes });
    }
    peer.resume();
  };
  return (bytes) => {
    pending.push(bytes);
    pendingBytes += bytes.length;
    if (pendingBytes > MOST_PENDING_BYTES) peer.pause();
    if (storing) return;
    storing = true;
    store()
      .catch((error: unknown) => {
        pending = [];
        pendingBytes = 0;
        // Its end is on its way.
        if (error instanceof AppError && error.code === 'already-final') return;
        const takesNoMore = error instanceof AppError && ['conflict', 'too-large'].includes(error.code);
        if (takesNoMore) close(peer, TERMINAL_CLOSES.refused, (error as AppError).message);
        else fail(error);
      })
      .finally(() => {
        storing = false;
      });
  };
};

const keepAlive = ({ clock, log }: Pick<Deps, 'clock' | 'log'>, peer: WebSocket, { letIn, fail }: Ears): void => {
  let hasAnswered = true;
  peer.on('pong', () => {
    hasAnswered = true;
  });
  let callOff = (): void => {};
  const beat = (): void => {
    // One that is held back while what it typed is stored cannot answer.
    if (!hasAnswered && !peer.isPaused) {
      peer.terminate();
      return;
    }
    hasAnswered = false;
    peer.ping();
    letIn().catch((error: unknown) => {
      if (isRefusal(error)) fail(error);
      else log.warn('It could not be asked whether somebody may still look at a terminal', { error });
    });
    callOff = clock.after(BEAT_MS, beat);
  };
  callOff = clock.after(BEAT_MS, beat);
  peer.once('close', () => callOff());
};
