import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { systemClock, systemRandom } from '../machine/system-clock.ts';
import type { Deps } from '../shared/app/deps.ts';
import { recoverRuns, sweep } from '../shared/app/sweep.ts';
import { type Log, silentLog } from '../shared/telemetry/log.ts';
import { LOOPBACK, openDoor } from './door.ts';
import { type Gateway, makeGateway } from './gateway.ts';
import { type HttpServer, listen } from './http-server.ts';
import { openData } from './open-data.ts';
import { readOwnerKey } from './owner-key.ts';
import { findServer } from './server-lock.ts';
import { keepSweeping } from './sweeping.ts';

export interface EmbeddedOptions {
  readonly dataDirectory: string;
  /** Whether commands are run here; otherwise they are stored for the next server. */
  readonly work: boolean;
  /** Whether to find out if isolation `sandbox` can be given here: about 10 ms. @default true */
  readonly trySandbox?: boolean;
  /** @default silent: whoever calls is told what it asked for */
  readonly log?: Log;
}

export interface Embedded {
  readonly url: string;
  /** False when it is a server in another process that answers. */
  readonly inProcess: boolean;
  readonly fetch: typeof globalThis.fetch;
  /** The owner's key to a server in another process, for what does not go by `fetch`. */
  readonly apiKey?: string | undefined;
  close(): Promise<void>;
}

/**
 * The whole of Errand inside the calling process, on a data folder: no port is opened.
 * When a server already runs on that folder, it is that server which answers.
 */
export const openEmbedded = async (options: EmbeddedOptions): Promise<Embedded> => {
  const { dataDirectory, work, trySandbox = true, log = silentLog } = options;
  const directory = resolve(dataDirectory);
  const server = findServer(directory);
  if (server) {
    const apiKey = readOwnerKey(directory);
    const fetch = withKey(globalThis.fetch, apiKey);
    return { url: server.url, inProcess: false, fetch, apiKey, close: async () => {} };
  }
  let runnerUrl = '';
  const data = await openData({
    dataDirectory: directory,
    work,
    trySandbox,
    clock: systemClock,
    random: systemRandom,
    log,
    runnerUrl: () => runnerUrl,
  });
  // What an earlier process left behind when it was killed is not shown as running.
  await recoverRuns(data.deps);
  const gateway = makeGateway(data.deps);
  const runners = work && data.expectsRunners ? await listenToRunners(gateway, data.deps) : undefined;
  runnerUrl = runners?.url ?? '';
  return {
    url: 'http://embedded.invalid',
    inProcess: true,
    fetch: fetchFrom(gateway, data.ownerKey),
    async close() {
      await runners?.close();
      await data.close();
    },
  };
};

/** Runners elsewhere need a door, and what becomes of them has to be looked at from time to time. */
const listenToRunners = async (gateway: Gateway, deps: Deps): Promise<Pick<HttpServer, 'url' | 'close'>> => {
  const forRunners: Gateway = (request) =>
    // Callers are in this process; nobody else has business here.
    gateway(request.target.startsWith('/runner/') ? request : { ...request, target: '/' });
  const http = await listen(forRunners, { ...LOOPBACK, port: 0, door: openDoor(LOOPBACK), log: deps.log });
  const done = new AbortController();
  const sweeping = keepSweeping({ ...deps, closing: AbortSignal.any([deps.closing, done.signal]) });
  return {
    url: http.url,
    async close() {
      done.abort();
      await sweeping;
      // What just ended may still have something at its provider.
      await sweep(deps);
      await http.close();
    },
  };
};

/** Whoever may read the folder's key is its owner, also where the server cannot tell who calls. */
const withKey =
  (fetch: typeof globalThis.fetch, key: string | undefined): typeof globalThis.fetch =>
  (input, init) => {
    const request = new Request(input, init);
    if (key !== undefined && !request.headers.has('authorization'))
      request.headers.set('authorization', `Bearer ${key}`);
    return fetch(request);
  };

/** `fetch` that asks the gateway directly, as the owner. */
export const fetchFrom =
  (gateway: Gateway, ownerKey: string): typeof globalThis.fetch =>
  async (input, init) => {
    const request = new Request(input, init);
    const { pathname, search } = new URL(request.url);
    const reply = await gateway({
      method: request.method,
      target: pathname + search,
      headers: { authorization: `Bearer ${ownerKey}`, ...Object.fromEntries(request.headers) },
      body: (request.body as ReadableStream<Uint8Array> | null) ?? undefined,
      sourceIp: '',
    });
    if (typeof reply.body === 'string' || Buffer.isBuffer(reply.body))
      return new Response(reply.statusCode === 204 ? null : (reply.body as string | Buffer<ArrayBuffer>), {
        status: reply.statusCode,
        headers: reply.headers,
      });
    const { body } = reply;
    // As over a socket: a caller that aborts stops the reading.
    request.signal.addEventListener('abort', () => body.destroy(), { once: true });
    return new Response(Readable.toWeb(body) as ReadableStream<Uint8Array>, {
      status: reply.statusCode,
      headers: reply.headers,
    });
  };
