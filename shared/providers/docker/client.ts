import { readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import Docker from 'dockerode';
import type { Clock } from '../../domain/clock.ts';
import type { DockerConfig } from './config.ts';
import { Unanswered } from './faults.ts';

export const CALL_MS = 15_000;

export type Bounded = <T>(call: (signal: AbortSignal) => Promise<T>, forMs?: number) => Promise<T>;

/** The client's own abort is silent when the answer has begun. */
export const makeBounded =
  (clock: Clock, closed: AbortSignal): Bounded =>
  async (call, forMs = CALL_MS) => {
    const [done, cut] = [new AbortController(), new AbortController()];
    const { promise: late, reject } = Promise.withResolvers<never>();
    void clock.sleep(forMs, AbortSignal.any([done.signal, closed])).then(() => {
      if (done.signal.aborted) return;
      reject(new Unanswered('The Docker daemon does not answer.'));
      cut.abort();
    });
    try {
      return await Promise.race([call(cut.signal), late]);
    } finally {
      done.abort();
    }
  };

/** Everything is named: what is not, the client would take from this process's environment. */
export const openClient = async ({ tls }: DockerConfig, socketPath: string): Promise<Docker> => {
  const nothing = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined, pathPrefix: '/' };
  // A connection for each call: one that was kept may be to a daemon that is gone, and the start of a command is asked once.
  const keepAlive = false;
  if (!tls) return new Docker({ ...nothing, socketPath, protocol: 'http', agent: new Agent({ keepAlive }) } as never);
  const { host, port, ...files } = tls;
  const [ca, cert, key] = await Promise.all(
    [files.caFile, files.certFile, files.keyFile].map((file) => readFile(file, 'utf8')),
  );
  const agent = new TlsAgent({ keepAlive });
  return new Docker({
    ...nothing,
    socketPath: undefined,
    protocol: 'https',
    host,
    port,
    ca,
    cert,
    key,
    agent,
  } as never);
};

/** The part of the client that has no types. */
interface Modem {
  dial(options: object, callback: (error: Error | null, stream: Duplex) => void): void;
  readonly agent?: Agent;
}

const modemOf = (docker: Docker): Modem => docker.modem as Modem;

interface PostOptions {
  readonly query: object;
  /** Makes the connection itself the answer. */
  readonly hijack?: boolean;
  readonly abortSignal: AbortSignal;
}

/** Without a body: of what the client's own attach sends in one, some could reach the command as its input. */
export const post = (docker: Docker, path: string, { query, ...options }: PostOptions): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const request = { path: `${path}?`, method: 'POST', file: Buffer.alloc(0), isStream: true };
    const statusCodes = { 101: true, 200: true };
    modemOf(docker).dial({ ...request, ...options, statusCodes, options: { _query: query } }, (error, stream) =>
      error ? reject(error) : resolve(stream),
    );
  });

export const closeClient = (docker: Docker): void => modemOf(docker).agent?.destroy();
