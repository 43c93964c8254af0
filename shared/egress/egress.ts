import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Clock } from '../domain/clock.ts';
import { isPublicAddress } from './addresses.ts';

export interface EgressRequest {
  readonly url: string;
  /** @default 'GET' */
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** `head`: the answer's status and headers alone; its body is not waited for, however long it is. @default 'all' */
  readonly reads?: 'all' | 'head';
  /** Gives up when it aborts, as when time is over. */
  readonly signal?: AbortSignal;
}

export interface EgressReply {
  /** Never 3xx. */
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** Why nothing came of it. Says nothing of addresses: whoever named the URL may be asking for just that. */
export type EgressFault =
  | 'invalid-url'
  | 'scheme'
  | 'port'
  | 'credentials'
  | 'unknown-host'
  | 'address'
  | 'redirect'
  | 'too-large'
  | 'timeout'
  | 'unreachable';

export class EgressError extends Error {
  override readonly name = 'EgressError';
  readonly fault: EgressFault;

  constructor(fault: EgressFault, options?: ErrorOptions) {
    super(WORDS[fault], options);
    this.fault = fault;
  }
}

const WORDS: Readonly<Record<EgressFault, string>> = {
  'invalid-url': 'It is no URL.',
  scheme: 'Only https is asked.',
  port: 'Only the ports 443 and 8443 are asked.',
  credentials: 'The URL must not hold a user or a password.',
  'unknown-host': 'The host has no address.',
  address: 'The host is not on the public internet.',
  redirect: 'It answered with a redirect, which is not followed.',
  'too-large': 'The answer is too large.',
  timeout: 'It did not answer in time.',
  unreachable: 'It could not be reached.',
};

/** The only door for requests to addresses that others name: webhooks, issuers of tokens. */
export interface Egress {
  /** @throws EgressError */
  send(request: EgressRequest): Promise<EgressReply>;
  /** Why nothing can come of a URL, as far as its text tells: names are resolved when it is asked. */
  check(url: string): EgressFault | undefined;
}

/** Asks nobody. */
export const closedEgress: Egress = {
  send: () => Promise.reject(new EgressError('unreachable')),
  check: () => undefined,
};

export interface EgressOptions {
  readonly clock: Clock;
  /** All addresses of a name, as the system resolves it. Rejects or gives none when there are none. */
  readonly resolve: (hostname: string) => Promise<readonly string[]>;
  /** In all, from the resolving to the last byte. @default 10 */
  readonly timeoutSeconds?: number;
  /** Of the answer's body. @default 65536 */
  readonly mostBytes?: number;
  /** Makes a request. @default node:https */
  readonly request?: typeof httpsRequest;
  /** Where the rules are bent: for servers on loopback, of tests and of whoever tries out a webhook. @default nowhere */
  readonly bent?: {
    readonly isAllowed: (address: string, port: number) => boolean;
    /** Also without TLS. @default false */
    readonly http?: boolean;
    readonly ca?: string;
  };
}

const PORTS = new Set([443, 8443]);
const MOST_HEADER_BYTES = 16 * 1024;

/**
 * Resolves a name once, looks at every address, and connects to the first of just these, so that a name that changes between
 * the look and the connection (DNS rebinding) gains nothing. TLS is verified for the name. No redirects, no proxies, no connection that is
 * kept for another request.
 */
export const makeEgress = (options: EgressOptions): Egress => {
  const { clock, resolve, timeoutSeconds = 10, mostBytes = 64 * 1024, request = httpsRequest, bent } = options;

  const isAllowed = (address: string, port: number): boolean => bent?.isAllowed(address, port) ?? false;

  /** What is good for the public internet only with TLS, and on its ports, is good where the rules are bent. */
  const refusalOf = ({ protocol }: URL, port: number, addresses: readonly string[]): EgressFault | undefined => {
    if (addresses.length > 0 && addresses.every((address) => isAllowed(address, port))) return undefined;
    if (protocol !== 'https:') return 'scheme';
    // One that is not public among others is an attempt, or a mistake that would work now and then.
    if (!addresses.every((address) => isPublicAddress(address) || isAllowed(address, port))) return 'address';
    return PORTS.has(port) ? undefined : 'port';
  };

  const parse = (text: string): { readonly url: URL; readonly port: number; readonly literal: string | undefined } => {
    const url = URL.parse(text);
    if (!url) throw new EgressError('invalid-url');
    const isHttp = url.protocol === 'http:' && bent?.http === true;
    if (url.protocol !== 'https:' && !isHttp) throw new EgressError('scheme');
    if (url.username !== '' || url.password !== '') throw new EgressError('credentials');
    const port = Number(url.port || (isHttp ? 80 : 443));
    if (!PORTS.has(port) && !bent) throw new EgressError('port');
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    return { url, port, literal: isIP(host) === 0 ? undefined : host };
  };

  const addressOf = async ({ url, port, literal }: ReturnType<typeof parse>): Promise<string> => {
    const addresses = literal === undefined ? await resolve(url.hostname).catch(() => []) : [literal];
    const [first] = addresses;
    if (first === undefined) throw new EgressError('unknown-host');
    const refusal = refusalOf(url, port, addresses);
    if (refusal) throw new EgressError(refusal);
    return first;
  };

  const send = async (asked: EgressRequest, over: AbortSignal): Promise<EgressReply> => {
    const parsed = parse(asked.url);
    const { url, port, literal } = parsed;
    const address = await addressOf(parsed);
    over.throwIfAborted();
    const isHttp = url.protocol === 'http:';
    const how: RequestOptions = {
      host: address,
      port,
      path: `${url.pathname}${url.search}`,
      method: asked.method ?? 'GET',
      // A connection of its own.
      agent: isHttp ? new HttpAgent({ keepAlive: false }) : new Agent({ keepAlive: false }),
      headers: { ...asked.headers, host: url.host, connection: 'close' },
      ...(literal === undefined ? { servername: url.hostname } : {}),
      maxHeaderSize: MOST_HEADER_BYTES,
      signal: over,
      ...(bent?.ca === undefined ? {} : { ca: bent.ca }),
    };
    return new Promise((done, fail) => {
      const reading = (response: IncomingMessage) => read(response, asked.reads === 'head' ? 'none' : mostBytes);
      const sent = (isHttp ? httpRequest : request)(how, (response) => reading(response).then(done, fail));
      sent.once('error', (cause) =>
        fail(cause instanceof EgressError ? cause : new EgressError('unreachable', { cause })),
      );
      sent.end(asked.body);
    });
  };

  return {
    check(text) {
      try {
        const { url, port, literal } = parse(text);
        return literal === undefined ? undefined : refusalOf(url, port, [literal]);
      } catch (error) {
        if (error instanceof EgressError) return error.fault;
        throw error;
      }
    },

    async send(asked) {
      const over = new AbortController();
      const giveUp = () => over.abort();
      const callOff = clock.after(timeoutSeconds * 1_000, giveUp);
      asked.signal?.addEventListener('abort', giveUp, { once: true });
      const late = new Promise<never>((_, fail) =>
        over.signal.addEventListener('abort', () => fail(new EgressError('timeout')), { once: true }),
      );
      if (asked.signal?.aborted) giveUp();
      try {
        return await Promise.race([send(asked, over.signal), late]);
      } finally {
        callOff();
        asked.signal?.removeEventListener('abort', giveUp);
      }
    },
  };
};

const read = async (response: IncomingMessage, mostBytes: number | 'none'): Promise<EgressReply> => {
  const { statusCode: status = 0, headers } = response;
  try {
    if (status >= 300 && status < 400) throw new EgressError('redirect');
    if (mostBytes === 'none') {
      response.destroy();
      return { status, headers, body: Buffer.alloc(0) };
    }
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of response as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > mostBytes) throw new EgressError('too-large');
      pieces.push(piece);
    }
    return { status, headers, body: Buffer.concat(pieces, length) };
  } catch (error) {
    response.destroy();
    throw error instanceof EgressError ? error : new EgressError('unreachable', { cause: error });
  }
};
