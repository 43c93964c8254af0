import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type DoorOptions, openDoor } from '../../../local/door.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const pem = (): Pick<DoorOptions, 'tlsCertificate' | 'tlsKey'> => {
  const folder = tempDirectory();
  const files = { tlsCertificate: join(folder, 'cert.pem'), tlsKey: join(folder, 'key.pem') };
  for (const file of Object.values(files)) writeFileSync(file, 'PEM');
  return files;
};
const publicHosts = ['errand.example.com'];

describe('the door is not opened', () => {
  test.for<[string, () => DoorOptions, RegExp]>([
    [
      'to the network without TLS',
      () => ({ host: '0.0.0.0', publicHosts }),
      /without TLS.*--tls-cert.*--trusted-proxy/,
    ],
    ['by a name without TLS', () => ({ host: 'example.com', publicHosts }), /without TLS/],
    ['to the network without a name', () => ({ host: '0.0.0.0', ...pem() }), /--public-host/],
    [
      'with a certificate and no key',
      () => ({ host: '127.0.0.1', tlsCertificate: 'x' }),
      /both --tls-cert and --tls-key/,
    ],
    [
      'with a file that is not there',
      () => ({ host: '127.0.0.1', tlsCertificate: '/nowhere', tlsKey: '/nowhere' }),
      /\/nowhere cannot be read/,
    ],
    [
      'to a proxy by its name',
      () => ({ host: '0.0.0.0', trustedProxies: ['proxy.internal'], publicHosts }),
      /takes an address/,
    ],
  ])('%s', ([, options, message]) => {
    expect(() => openDoor(options())).toThrow(message);
  });
});

describe('who is let in', () => {
  test.for<[string, DoorOptions, string, boolean]>([
    ['this machine, on loopback', { host: '127.0.0.1' }, '127.0.0.1', true],
    ['another machine, on loopback', { host: '127.0.0.1' }, '192.0.2.1', false],
    ['the proxy', { host: '0.0.0.0', trustedProxies: ['192.0.2.1'], publicHosts }, '192.0.2.1', true],
    [
      'the proxy, by a socket of both kinds',
      { host: '::', trustedProxies: ['192.0.2.1'], publicHosts },
      '::ffff:192.0.2.1',
      true,
    ],
    [
      'another one than the proxy',
      { host: '0.0.0.0', trustedProxies: ['192.0.2.1'], publicHosts },
      '192.0.2.10',
      false,
    ],
    ['nobody knows who', { host: '0.0.0.0', trustedProxies: ['192.0.2.1'], publicHosts }, '', false],
  ])('%s', ([, options, address, admitted]) => {
    expect(openDoor(options).admits(address)).toBe(admitted);
  });

  test('with TLS, everyone', () => {
    expect(openDoor({ host: '0.0.0.0', publicHosts, ...pem() }).admits('192.0.2.1')).toBe(true);
  });

  test('users of this machine are not known by their user where a proxy may speak for anyone', () => {
    expect(openDoor({ host: '127.0.0.1' }).knowsUsers).toBe(true);
    expect(openDoor({ host: '127.0.0.1', trustedProxies: ['127.0.0.1'] }).knowsUsers).toBe(false);
  });
});

describe('its names', () => {
  const door = openDoor({ host: '0.0.0.0', trustedProxies: ['192.0.2.1'], publicHosts: ['Errand.example.com'] });
  test.for([
    ['localhost', true],
    ['LOCALHOST:7070', true],
    ['127.0.0.1:7070', true],
    ['127.9.9.9', true],
    ['[::1]:7070', true],
    ['errand.example.com', true],
    ['errand.EXAMPLE.com:443', true],
    ['example.com', false],
    ['errand.example.com.evil.com', false],
    ['127.0.0.1.evil.com', false],
    ['localhost.evil.com:7070', false],
    ['127.0.0.1:7070@evil.com', false],
    ['', false],
  ] as const)('%s: %s', ([name, own]) => {
    expect(door.isOwnName(name)).toBe(own);
  });
});
