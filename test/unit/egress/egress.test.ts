import type { request } from 'node:https';
import { describe, expect, test } from 'vitest';
import { isLoopbackAddress, isPublicAddress } from '../../../shared/egress/addresses.ts';
import { type EgressOptions, makeEgress } from '../../../shared/egress/egress.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const NOT_PUBLIC = [
  // Metadata of clouds.
  ...['169.254.169.254', '169.254.170.2', '169.254.170.23', '169.254.169.123', '169.254.169.253', '168.63.129.16'],
  ...['100.100.100.200', '192.0.0.192', 'fd00:ec2::254', 'fd20:ce::254'],
  // This machine, this network, private ones.
  ...[
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.255.255.254',
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '100.127.255.255',
  ],
  ...['172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255', '::1', '::', 'fc00::1', 'fdff::1', 'fe80::1'],
  ...['fe80::1%eth0', 'fec0::1'],
  // For documents, measurements, many, nobody.
  ...[
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '198.18.0.1',
    '198.19.255.255',
    '192.88.99.1',
    '224.0.0.1',
    '239.255.255.255',
  ],
  ...['240.0.0.1', '255.255.255.255', '2001:db8::1', '3fff::1', 'ff02::1', '100::1'],
  // An IPv4 address within.
  ...['::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::a9fe:a9fe', '64:ff9b::a9fe:a9fe', '64:ff9b:1::a9fe:a9fe'],
  ...['2002:a9fe:a9fe::', '2001:0:a9fe:a9fe::1', '2001:10::1', '::ffff:8.8.8.8', '64:ff9b::8.8.8.8'],
  // No addresses.
  ...['', 'localhost', '127.1', '0x7f.1', '2130706433', '127.0.0.1:80', '[::1]', ' 8.8.8.8', '8.8.8.8 ', '08.8.8.8'],
];
const PUBLIC = ['8.8.8.8', '1.1.1.1', '100.63.255.255', '100.128.0.1', '172.15.0.1', '172.32.0.1', '168.63.129.17'];
const PUBLIC_6 = ['2606:4700:4700::1111', '2001:4860:4860::8888', '2a00::1', '2003::1'];

test.for(NOT_PUBLIC)('%j is not of the public internet', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});
test.for([...PUBLIC, ...PUBLIC_6])('%s is of the public internet', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

/** An egress that connects to nothing, and notes where it would have. */
const watched = (resolve: EgressOptions['resolve'] = async () => ['8.8.8.8']) => {
  const connections: unknown[] = [];
  const asked: string[] = [];
  const noted = ((how: { host: string; port: number }) => {
    connections.push([how.host, how.port]);
    throw new Error('no network here');
  }) as unknown as typeof request;
  const egress = makeEgress({
    clock: fakeClock(),
    resolve: async (name) => {
      asked.push(name);
      return resolve(name);
    },
    request: noted,
  });
  const faultOf = (url: string) =>
    egress.send({ url }).catch((error: { fault?: string }) => error.fault ?? 'connected');
  return { connections, asked, faultOf };
};

/** Every spelling of an address that URL takes apart (https://url.spec.whatwg.org/#concept-ipv4-parser). */
const SPELLINGS = [
  ...[
    '169.254.169.254',
    '169.254.43518',
    '169.16689662',
    '2852039166',
    '0xa9fea9fe',
    '0xA9.0xFE.0xA9.0xFE',
    '0251.0376.0251.0376',
  ],
  ...[
    '025177524776',
    '169.254.169.254.',
    '１６９.254.169.254',
    '①⑥⑨.254.169.254',
    '%31%36%39.254.169.254',
    '169。254。169。254',
  ],
  ...['[::ffff:169.254.169.254]', '[::ffff:a9fe:a9fe]', '[::a9fe:a9fe]', '[64:ff9b::a9fe:a9fe]', '[2002:a9fe:a9fe::]'],
  ...[
    '169.0xfe.43518',
    '0xA9FEA9FE.',
    '0x0000a9fea9fe',
    '0251.254.0xa9.254',
    '169.254.169.0376',
    '[::169.254.169.254]',
  ],
  ...['[0:0:0:0:0:ffff:a9fe:a9fe]', '[64:ff9b:1::a9fe:a9fe]', '[2001:0:a9fe:a9fe::1]', '[::ffff:0:a9fe:a9fe]'],
  ...['[fd20:ce::254]', '168.63.129.16', '169.254.170.2', '0x7f.0.0.1', '[0000::0001]', '255.255.255.255', '[ff02::1]'],
  ...['[fd00:ec2::254]', '[::1]', '[::]', '127.1', '0', '127.0.0.1', '10.1', '[fe80::1]', '192.168.257'],
];

describe('no connection is made', () => {
  test.for(SPELLINGS)('to %s, which is not public', async (host) => {
    const { connections, faultOf } = watched();
    expect(await faultOf(`https://${host}/`)).toBe('address');
    expect(connections).toEqual([]);
  });

  test.for<[string, readonly string[]]>([
    ['localhost.', ['127.0.0.1']],
    ['x.localhost', ['::1']],
    ['metadata.google.internal', ['169.254.169.254']],
    ['169.254.169.254.nip.io', ['169.254.169.254']],
    ['public-first.example', ['8.8.8.8', '10.0.0.1']],
    ['private-first.example', ['10.0.0.1', '8.8.8.8']],
    ['mixed-families.example', ['8.8.8.8', '::1']],
    ['alias-of-private.example', ['192.168.0.10']],
    // Our own, by the addresses that they have within a network of ours.
    ['dynamodb.eu-central-1.amazonaws.com', ['10.0.3.7']],
    ['vpce-0a1b-2c3d.sqs.eu-central-1.vpce.amazonaws.com', ['172.31.4.9']],
    ['api.errand.example', ['203.0.113.10', '100.64.0.9']],
    ['embedding.example', ['64:ff9b::a9fe:a9fe']],
    ['of-a-link.example', ['fe80::1%eth0']],
    ['nonsense.example', ['not an address']],
    [`${'a.'.repeat(120)}example`, ['10.0.0.1']],
    ['bücher.example', ['10.0.0.1']],
  ])('to %s, of which an address is not public', async ([host, addresses]) => {
    const { connections, faultOf } = watched(async () => addresses);
    expect(await faultOf(`https://${host}/`)).toBe('address');
    expect(connections).toEqual([]);
  });

  test.for<[string, string]>([
    ['http://example.com/', 'scheme'],
    ['ftp://example.com/', 'scheme'],
    ['file:///etc/passwd', 'scheme'],
    ['gopher://example.com/', 'scheme'],
    ['data:text/plain,x', 'scheme'],
    ['unix:/var/run/docker.sock', 'scheme'],
    ['javascript:alert(1)', 'scheme'],
    ['ht\ttp://example.com/', 'scheme'],
    ['ht\ntp://example.com/', 'scheme'],
    ['dict://example.com:443/', 'scheme'],
    ['ldap://example.com:443/', 'scheme'],
    ['ws://example.com:443/', 'scheme'],
    ['blob:https://example.com/x', 'scheme'],
    ['https://example.com:0/', 'port'],
    ['https://example.com:65536/', 'invalid-url'],
    ['https://exa mple.com/', 'invalid-url'],
    ['https://%00.example.com/', 'invalid-url'],
    ['https://:word@example.com/', 'credentials'],
    ['https://example.com:80/', 'port'],
    ['https://example.com:22/', 'port'],
    ['https://example.com:6379/', 'port'],
    ['https://user@example.com/', 'credentials'],
    ['https://user:word@example.com/', 'credentials'],
    ['https://example.com@169.254.169.254/', 'credentials'],
    ['https://169.254.169.254#@example.com', 'address'],
    ['https://example.com\\@169.254.169.254/', 'connected'],
    ['https://', 'invalid-url'],
    ['//example.com', 'invalid-url'],
    ['', 'invalid-url'],
    ['https://[::1', 'invalid-url'],
    ['https://999.999.999.999/', 'invalid-url'],
  ])('%s: %s', async ([url, fault]) => {
    const { connections, asked, faultOf } = watched();
    expect(await faultOf(url)).toBe(fault);
    // A backslash ends the host: what is asked there is example.com, and nobody else.
    expect(connections).toEqual(fault === 'connected' ? [['8.8.8.8', 443]] : []);
    expect(asked).toEqual(fault === 'connected' ? ['example.com'] : []);
  });

  test('to a name that has no address, or that cannot be resolved', async () => {
    expect(await watched(async () => []).faultOf('https://nowhere.example/')).toBe('unknown-host');
    const { connections, faultOf } = watched(() => Promise.reject(new Error('SERVFAIL')));
    expect(await faultOf('https://nowhere.example/')).toBe('unknown-host');
    expect(connections).toEqual([]);
  });
});

test('a name is resolved once, and what it resolves to later counts for nothing', async () => {
  const answers = [['8.8.8.8'], ['127.0.0.1']];
  const { connections, asked, faultOf } = watched(async () => answers.shift() ?? []);
  expect(await faultOf('https://rebinding.example/')).toBe('connected');
  expect([asked, connections]).toEqual([['rebinding.example'], [['8.8.8.8', 443]]]);
  expect(await faultOf('https://rebinding.example/')).toBe('address');
  expect(connections).toHaveLength(1);
});

test('a name that takes for ever to resolve is given up', async () => {
  const clock = fakeClock();
  const egress = makeEgress({ clock, resolve: () => new Promise(() => {}), timeoutSeconds: 5 });
  const failed = egress.send({ url: 'https://slow.example/' }).catch((error: { fault: string }) => error.fault);
  await clock.advance(5_000);
  expect(await failed).toBe('timeout');
});

describe('where it is bent for this machine', () => {
  const bent = { isAllowed: isLoopbackAddress, http: true };
  const withBent = (resolve: EgressOptions['resolve'] = async () => ['8.8.8.8']) => {
    const connections: unknown[] = [];
    const noted = ((how: { host: string; port: number }) => {
      connections.push([how.host, how.port]);
      throw new Error('no network here');
    }) as unknown as typeof request;
    const egress = makeEgress({ clock: fakeClock(), resolve, request: noted, bent });
    const faultOf = (url: string) =>
      egress.send({ url }).catch((error: { fault?: string }) => error.fault ?? 'connected');
    return { connections, faultOf, check: egress.check };
  };

  test.for<[string, readonly string[], string]>([
    ['https://127.0.0.1:9000/', [], 'connected'],
    ['https://localhost:9000/', ['127.0.0.1', '::1'], 'connected'],
    ['https://[::1]:9000/', [], 'connected'],
    ['https://[::ffff:127.0.0.1]:9000/', [], 'connected'],
    // All else is as it was.
    ['http://example.com/', ['8.8.8.8'], 'scheme'],
    ['https://example.com:9000/', ['8.8.8.8'], 'port'],
    ['https://example.com/', ['10.0.0.1'], 'address'],
    ['https://example.com/', ['127.0.0.1', '10.0.0.1'], 'address'],
    ['https://example.com:9000/', ['127.0.0.1', '8.8.8.8'], 'port'],
    ['http://169.254.169.254/', [], 'scheme'],
    ['http://metadata.google.internal/', ['169.254.169.254'], 'scheme'],
    ['https://169.254.169.254/', [], 'address'],
    ['https://user@127.0.0.1/', [], 'credentials'],
    ['ftp://127.0.0.1/', [], 'scheme'],
  ])('%s with %j: %s', async ([url, addresses, fault]) => {
    const { connections, faultOf } = withBent(async () => addresses);
    expect(await faultOf(url)).toBe(fault);
    expect(connections).toHaveLength(fault === 'connected' ? 1 : 0);
  });

  test.for<[string, string | undefined]>([
    ['http://127.0.0.1:9000/', undefined],
    ['http://localhost:9000/', undefined],
    ['https://hooks.example.com/', undefined],
    ['http://10.0.0.1/', 'scheme'],
    ['https://10.0.0.1/', 'address'],
  ])('%s is checked as %s before it is asked', ([url, fault]) => {
    expect(withBent().check(url)).toBe(fault);
  });
});

test.for<[string, string | undefined]>([
  ['https://hooks.example.com/', undefined],
  ['https://hooks.example.com:8443/', undefined],
  ['https://localhost/', undefined],
  ['http://hooks.example.com/', 'scheme'],
  ['https://hooks.example.com:22/', 'port'],
  ['https://0x7f.1/', 'address'],
  ['https://[::1]/', 'address'],
  ['https://a:b@hooks.example.com/', 'credentials'],
  ['', 'invalid-url'],
])('%j is checked as %s, and no name is resolved for it', ([url, fault]) => {
  const egress = makeEgress({ clock: fakeClock(), resolve: () => Promise.reject(new Error('asked')) });
  expect(egress.check(url)).toBe(fault);
});
