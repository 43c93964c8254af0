import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { openDoor } from '../../local/door.ts';
import { makeGateway } from '../../local/gateway.ts';
import { listen } from '../../local/http-server.ts';
import { openData } from '../../local/open-data.ts';
import { serve } from '../../local/serve.ts';
import { makeTerminalSockets } from '../../local/terminal-sockets.ts';
import { systemRandom } from '../../machine/system-clock.ts';
import { TERMINAL_PROTOCOL, type TerminalNews } from '../../shared/contract/terminal.ts';
import { nativeProgram } from '../../shared/providers/local/helper-programs.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { fasterClock } from './faster-clock.ts';
import { tempDirectory } from './temp-directory.ts';

/** Whether commands can have terminals here: by the native launcher. */
export const terminalsAreGiven = nativeProgram() !== undefined;

/** The embedded server on a port of its own. */
export const openServer = async (dataDirectory = tempDirectory(), port = 0) => {
  const server = await serve({ host: '127.0.0.1', port, dataDirectory, concurrency: 8 });
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= server.close());
  onTestFinished(close);
  return { ...server, close, dataDirectory };
};

/** The same, where time goes by so many times as fast. */
export const openFasterServer = async (times: number) => {
  const clock = fasterClock(times);
  const data = await openData({
    ...{ dataDirectory: tempDirectory(), clock, random: systemRandom, log: silentLog },
    runnerUrl: () => '',
  });
  const terminals = makeTerminalSockets(data.deps);
  const door = openDoor({ host: '127.0.0.1' });
  const { ownerKey, deps } = data;
  const server = await listen(makeGateway(deps), {
    ...{ host: '127.0.0.1', port: 0, door, log: silentLog, ownerKey, terminals },
  });
  onTestFinished(async () => {
    await Promise.all([terminals.close(), server.close(), data.close()]);
  });
  return { url: server.url };
};

interface AttachOptions {
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly protocols?: readonly string[];
}

/** A peer that keeps what it is told, or says why it was not let in. */
export const attachTo = async (url: string, id: string, options: AttachOptions = {}) => {
  const { query = '', headers = {}, protocols = [TERMINAL_PROTOCOL] } = options;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/commands/${id}/terminal${query}`, [...protocols], {
    headers,
  });
  onTestFinished(() => socket.terminate());
  const pieces: Buffer[] = [];
  const news: TerminalNews[] = [];
  const waiting = new Set<() => void>();
  const opened = Promise.withResolvers<{ status: number; problem?: { code: string; detail: string } }>();
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) pieces.push(data);
    else news.push(JSON.parse(data.toString()) as TerminalNews);
    for (const look of waiting) look();
  });
  socket.on('open', () => opened.resolve({ status: 101 }));
  socket.on('unexpected-response', (_, answer) => {
    let body = '';
    answer.on('data', (piece: Buffer) => (body += piece));
    answer.on('end', () => opened.resolve({ status: answer.statusCode ?? 0, problem: JSON.parse(body) }));
  });
  socket.on('error', () => opened.resolve({ status: 0 }));
  socket.on('close', (code, reason) => {
    closed.resolve({ code, reason: reason.toString() });
    for (const look of waiting) look();
  });
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const bytes = () => Buffer.concat(pieces);
  return {
    ...(await opened.promise),
    socket,
    news,
    bytes,
    text: () => bytes().toString(),
    shows: (text: string) => until(() => bytes().includes(text)),
    has: (length: number) => until(() => pieces.reduce((sum, piece) => sum + piece.length, 0) >= length),
    attached: () => until(() => news.some(({ type }) => type === 'attached')),
    closed: closed.promise,
  };
};
