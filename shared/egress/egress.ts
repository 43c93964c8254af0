import type { IncomingMessage } from 'node:http';
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
}

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
  /** Where the rules are bent: for servers of tests, on loopback. @default nowhere */
  readonly bent?: { readonly isAllowed: (address: string, port: number) => boolean; readonly ca: string };
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

  const addressOf = async (hostname: string, port: number): Promise<string> => {
    const literal = hostname.replace(/^\[(.*)\]$/, '$1');
    const addresses = isIP(literal) !== 0 ? [literal] : await resolve(hostname).catch(() => []);
    const [first] = addresses;
    if (first === undefined) throw new EgressError('unknown-host');
    // One that is not public among others is an attempt, or a mistake that would work now and then.
    const isFine = (address: string) => isPublicAddress(address) || (bent?.isAllowed(address, port) ?? false);
    if (!addresses.every(isFine)) throw new EgressError('address');
    return first;
  };

  const send = async (asked: EgressRequest, over: AbortSignal): Promise<EgressReply> => {
    const url = parseUrl(asked.url);
    const port = Number(url.port || 443);
    if (!PORTS.has(port) && !bent) throw new EgressError('port');
    const address = await addressOf(url.hostname, port);
    over.throwIfAborted();
    const literal = isIP(url.hostname.replace(/^\[(.*)\]$/, '$1')) !== 0;
    const how: RequestOptions = {
      host: address,
      port,
      path: `${url.pathname}${url.search}`,
      method: asked.method ?? 'GET',
      // A connection of its own.
      agent: new Agent({ keepAlive: false }),
      headers: { ...asked.headers, host: url.host, connection: 'close' },
      ...(literal ? {} : { servername: url.hostname }),
      maxHeaderSize: MOST_HEADER_BYTES,
      signal: over,
      ...(bent ? { ca: bent.ca } : {}),
    };
    return new Promise((done, fail) => {
      const sent = request(how, (response) => read(response, mostBytes).then(done, fail));
      sent.once('error', (cause) =>
        fail(cause instanceof EgressError ? cause : new EgressError('unreachable', { cause })),
      );
      sent.end(asked.body);
    });
  };

  return {
    async send(asked) {
      const over = new AbortController();
      const callOff = clock.after(timeoutSeconds * 1_000, () => over.abort());
      const late = new Promise<never>((_, fail) =>
        over.signal.addEventListener('abort', () => fail(new EgressError('timeout')), { once: true }),
      );
      try {
        return await Promise.race([send(asked, over.signal), late]);
      } finally {
        callOff();
      }
    },
  };
};

const parseUrl = (text: string): URL => {
  const url = URL.parse(text);
  if (!url) throw new EgressError('invalid-url');
  if (url.protocol !== 'https:') throw new EgressError('scheme');
  if (url.username !== '' || url.password !== '') throw new EgressError('credentials');
  return url;
};

const read = async (response: IncomingMessage, mostBytes: number): Promise<EgressReply> => {
  const { statusCode: status = 0, headers } = response;
  try {
    if (status >= 300 && status < 400) throw new EgressError('redirect');
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
