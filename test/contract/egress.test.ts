import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../machine/system-clock.ts';
import { type EgressOptions, makeEgress } from '../../shared/egress/egress.ts';
import { type Certificates, makeCertificates } from '../support/containers/certificates.ts';
import { isThere } from '../support/containers/daemons.ts';

const hasOpenssl = isThere('openssl');

/** The real client against a real server, which stands on loopback: that alone is bent for it. */
describe.skipIf(!hasOpenssl)(`the guarded client${hasOpenssl ? '' : ' (needs openssl)'}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  let certificates: Certificates;
  let server: Server;
  beforeAll(() => {
    certificates = makeCertificates(folder).server;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const start = async (answer: RequestListener, options: Partial<EgressOptions> = {}) => {
    server = createServer(
      { cert: readFileSync(certificates.certFile), key: readFileSync(certificates.keyFile) },
      answer,
    );
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    const { port } = server.address() as AddressInfo;
    const ca = readFileSync(certificates.caFile, 'utf8');
    const bent = { ca, isAllowed: (address: string, asked: number) => address === '127.0.0.1' && asked === port };
    const resolve = async () => ['127.0.0.1'];
    return { port, egress: makeEgress({ clock: systemClock, resolve, bent, ...options }) };
  };
  const faultOf = (sending: Promise<unknown>): Promise<string> =>
    sending.then(
      () => 'answered',
      (error: { fault: string }) => error.fault,
    );

  test('sends a body and brings back status, headers and body', async () => {
    const { port, egress } = await start(async (request, response) => {
      const pieces = await request.toArray();
      response.writeHead(201, { 'x-seen': `${request.method} ${request.url} ${request.headers.host}` });
      response.end(Buffer.concat(pieces));
    });
    const url = `https://127.0.0.1:${port}/hook?a=1`;
    const { status, headers, body } = await egress.send({ url, method: 'POST', body: Buffer.from('hello') });
    expect([status, headers['x-seen'], body.toString()]).toEqual([201, `POST /hook?a=1 127.0.0.1:${port}`, 'hello']);
  });

  test.for([301, 302, 303, 307, 308])('follows no redirect (%i)', async (status) => {
    let requests = 0;
    const { port, egress } = await start((_, response) => {
      requests++;
      response.writeHead(status, { location: 'https://169.254.169.254/' }).end();
    });
    expect(await faultOf(egress.send({ url: `https://127.0.0.1:${port}/` }))).toBe('redirect');
    expect(requests).toBe(1);
  });

  test('takes a certificate for the name that was asked only', async () => {
    const { port, egress } = await start((_, response) => response.end());
    expect(await faultOf(egress.send({ url: `https://another.example:${port}/` }))).toBe('unreachable');
  });

  test('takes no certificate of an authority that it does not know', async () => {
    const { port, egress } = await start((_, response) => response.end(), {
      bent: { ca: '', isAllowed: () => true },
    });
    expect(await faultOf(egress.send({ url: `https://127.0.0.1:${port}/` }))).toBe('unreachable');
  });

  test('an answer as large as the limit is taken; one byte more is not, said or unsaid', async () => {
    const { port, egress } = await start(
      (request, response) => {
        const bytes = Buffer.alloc(Number(request.url?.slice(1)));
        response.write(bytes.subarray(0, 10));
        response.end(bytes.subarray(10));
      },
      { mostBytes: 1_000 },
    );
    expect((await egress.send({ url: `https://127.0.0.1:${port}/1000` })).body).toHaveLength(1_000);
    expect(await faultOf(egress.send({ url: `https://127.0.0.1:${port}/1001` }))).toBe('too-large');
  });

  test('a body without end costs no more than the limit', async () => {
    let written = 0;
    const { port, egress } = await start((_, response) => {
      const go = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) written += 65_536;
      };
      response.on('drain', go);
      go();
    });
    expect(await faultOf(egress.send({ url: `https://127.0.0.1:${port}/` }))).toBe('too-large');
    expect(written).toBeLessThan(50_000_000);
  });

  test.for<[string, RequestListener]>([
    ['says nothing', () => {}],
    ['begins and does not end', (_, response) => void response.write('x')],
  ])('a server that %s is given up after the time in all', async ([, answer]) => {
    const { port, egress } = await start(answer, { timeoutSeconds: 0.3 });
    expect(await faultOf(egress.send({ url: `https://127.0.0.1:${port}/` }))).toBe('timeout');
  });

  test.for<[string, RequestListener]>([
    ['hangs up', (request) => void request.socket.destroy()],
    [
      'sends headers without end',
      (_, response) => void response.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end(),
    ],
  ])('a server that %s cannot be reached', async ([, answer]) => {
    const { port, egress } = await start(answer);
    expect(await faultOf(egress.send({ url: `https://127.0.0.1:${port}/` }))).toBe('unreachable');
  });
});
