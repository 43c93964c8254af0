import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectOptions, findPlace } from '../connect.ts';
import { bridgeStdio, type SendMessage } from '../stdio-bridge.ts';
import type { Terminal } from '../terminal.ts';

/**
 * Serves until its input ends, or it is told to stop, and answers what was asked by then; told again, it leaves. What then runs in this
 * process ends with it.
 */
export const mcp = async (options: ConnectOptions, terminal: Terminal): Promise<number> => {
  const place = await findPlace({ ...options, trySandbox: true }, terminal);
  const { fetch = globalThis.fetch } = place;
  const send: SendMessage = async (body, headers, signal) => {
    const apiKey = typeof place.apiKey === 'function' ? await place.apiKey() : place.apiKey;
    const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const url = `${place.url.replace(/\/+$/, '')}/mcp`;
    return fetch(url, { method: 'POST', body, headers: { ...headers, ...authorization }, signal });
  };
  const [stop, leave] = [new AbortController(), new AbortController()];
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      stop.abort();
      process.once(name, () => leave.abort());
    });
  }
  try {
    const makeKey = () => randomBytes(16).toString('hex');
    await bridgeStdio(terminal.stdin, terminal.stdout, {
      send,
      makeKey,
      sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }),
      stop: stop.signal,
      leave: leave.signal,
    });
    return 0;
  } finally {
    await place.close();
  }
};
