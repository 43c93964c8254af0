import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { plainAddress } from '../shared/limits/addresses.ts';

/** How the server can be reached, as whoever starts it says. */
export interface DoorOptions {
  readonly host: string;
  /** PEM files; both or neither. */
  readonly tlsCertificate?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Addresses of proxies that speak TLS for this server. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** The names that callers know it by, beside loopback's. */
  readonly publicHosts?: readonly string[] | undefined;
}

export const LOOPBACK = { host: '127.0.0.1' } as const;

/** Who may come in, before anything of a request is looked at. */
export interface Door {
  readonly tls: Pick<SecureContextOptions, 'cert' | 'key'> | undefined;
  /** Whether a connection from this address is taken. */
  admits(address: string | undefined): boolean;
  /** Whether `Host`, or the host of an `Origin`, is one of this server's names. */
  isOwnName(hostAndPort: string): boolean;
  /** Whether the address is this machine's or that of a proxy which is named: it may speak for many. */
  isTrusted(address: string): boolean;
  /** Whose connection it is: behind a proxy that is named, whom that one says it speaks for (its own word comes last). */
  sourceOf(address: string, forwardedFor: string | undefined): string;
  /** Whether callers on this machine may be known by their user: not where a proxy may speak for anyone. */
  readonly knowsUsers: boolean;
}

/**
 * On loopback nothing is needed. Elsewhere keys must not be readable on the way: TLS here, or a proxy that does it; and
 * the names that the server is called by, since others' pages could call it by names of theirs.
 * @throws Error in words for a person
 */
export const openDoor = (options: DoorOptions): Door => {
  const { host, trustedProxies = [], publicHosts = [] } = options;
  const tls = readTls(options);
  for (const proxy of trustedProxies) {
    if (isIP(proxy) === 0) throw new Error(`--trusted-proxy takes an address such as 10.0.0.7, not ${proxy}.`);
  }
  if (!isLoopbackHost(host)) {
    if (!tls && trustedProxies.length === 0) {
      throw new Error(
        `Refusing to listen on ${host}: without TLS, keys could be read on the way. Give --tls-cert and --tls-key, or ` +
          '--trusted-proxy with the address of one that speaks TLS; or use --host 127.0.0.1, and a tunnel (ssh -L).',
      );
    }
    if (publicHosts.length === 0) {
      throw new Error(
        `To listen on ${host}, give --public-host with the name that callers use, such as errand.example.com.`,
      );
    }
  }
  const proxies = new Set(trustedProxies.map(plainAddress));
  const names = new Set(publicHosts.map((name) => name.toLowerCase()));
  return {
    tls,
    admits: (address = '') => tls !== undefined || isLoopbackAddress(address) || proxies.has(plainAddress(address)),
    isOwnName: (hostAndPort) => {
      const name = hostAndPort.replace(/:\d+$/, '').toLowerCase();
      return isLoopbackHost(name.replace(/^\[(.*)\]$/, '$1')) || names.has(name);
    },
    isTrusted: (address) => isLoopbackAddress(address) || proxies.has(plainAddress(address)),
    sourceOf: (address, forwardedFor = '') => {
      const said = forwardedFor.split(',').at(-1)?.trim() ?? '';
      return proxies.has(plainAddress(address)) && isIP(said) !== 0 ? said : address;
    },
    knowsUsers: trustedProxies.length === 0,
  };
};

const readTls = ({ tlsCertificate, tlsKey }: DoorOptions): Door['tls'] => {
  if (tlsCertificate === undefined && tlsKey === undefined) return undefined;
  if (tlsCertificate === undefined || tlsKey === undefined) throw new Error('Give both --tls-cert and --tls-key.');
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new Error(`${file} cannot be read: ${(cause as Error).message}.`, { cause });
    }
  };
  return { cert: read(tlsCertificate), key: read(tlsKey) };
};

export const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

const isLoopbackAddress = (address: string): boolean => isLoopbackHost(plainAddress(address));
