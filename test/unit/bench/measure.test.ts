import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Meter, makeMeter, measureRow, type Row, WORKS } from '../../../bench/side-by-side/measure.ts';
import { findProgram } from '../../../bench/side-by-side/processes.ts';

const request = { path: '/', headers: { 'content-type': 'text/plain' }, body: 'two\nlines', expected: 'right' };
const row: Row = {
  system: 'one',
  running: { version: '1', port: 1, requestFor: () => request, readAnswer: () => ({ exitCode: 0, stdout: '' }) },
  work: WORKS[0] as Row['work'],
  clients: 16,
};

/** Of a machine with these values of R one after the other, on which each row answers one command a second more. */
const aMeter = (baselines: readonly number[], wrong = 0) => {
  const left = [...baselines];
  let answers = 100;
  const meter: Meter = {
    baseline: async () => left.shift() as number,
    load: async () => ({ answers: answers++, seconds: 1, wrong, failed: 0, p50Ms: 1, p99Ms: 2 }),
  };
  return { meter, left };
};

describe('a row', () => {
  const round = { round: 1, seconds: 1 };

  test.for<[string, number[], number, [number, number], boolean]>([
    ['counts at once on a steady machine', [100, 90], 100, [100, 90], true],
    ['is repeated when R moved across it', [100, 70, 70], 101, [70, 70], true],
    ['counts by its steadiest try when R never stands still', [100, 70, 50, 25], 101, [70, 50], false],
  ])('%s', async ([, baselines, rate, across, steady]) => {
    const { meter, left } = aMeter(baselines);
    const sample = await measureRow(meter, row, round);
    expect(sample).toMatchObject({ rate, baselines: across, steady, system: 'one', clients: 16, errors: 0 });
    expect(sample.ratio).toBeCloseTo(rate / ((across[0] + across[1]) / 2));
    expect(left).toEqual([]);
  });

  test('keeps its errors, whatever the machine was doing', async () => {
    const { meter } = aMeter([100, 10, 10], 7);
    expect(await measureRow(meter, row, round)).toMatchObject({ errors: 7, steady: false });
  });
});

describe.skipIf(!findProgram('cc'))('the load', () => {
  const directory = mkdtempSync(join(tmpdir(), 'errand-bench-test-'));
  const over = new AbortController();
  let meter: Meter;
  beforeAll(() => {
    meter = makeMeter(directory, over.signal);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const against = async (listener: RequestListener, requests = 200) => {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await meter.load(request, { port: (server.address() as AddressInfo).port, clients: 10, requests });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };

  test('sends the request whole, and counts each answer once', async () => {
    const seen: string[] = [];
    const load = await against(async (incoming, response) => {
      let body = '';
      for await (const bytes of incoming) body += bytes;
      seen.push(`${incoming.method} ${incoming.url} ${incoming.headers['content-type']} ${body}`);
      response.end('right');
    });
    expect(load).toMatchObject({ answers: 200, wrong: 0, failed: 0 });
    expect(seen).toEqual(Array.from({ length: 200 }, () => 'POST / text/plain two\nlines'));
  });

  test.for<[string, RequestListener]>([
    [
      'in chunks',
      (_, response) => {
        response.write('ri');
        response.end('ght');
      },
    ],
    ['with a 201', (_, response) => response.writeHead(201).end('it is right')],
  ])('takes an answer %s for right', async ([, listener]) => {
    expect(await against(listener)).toMatchObject({ answers: 200, wrong: 0, failed: 0 });
  });

  test.for<[string, RequestListener]>([
    ['another body', (_, response) => response.end('wrong')],
    ['an empty body', (_, response) => response.end()],
    ['another status', (_, response) => response.writeHead(500).end('right')],
  ])('counts %s as wrong', async ([, listener]) => {
    expect(await against(listener)).toMatchObject({ answers: 200, wrong: 200, failed: 0 });
  });

  test('counts a connection that breaks, and goes on with a new one', async () => {
    let seen = 0;
    const load = await against((incoming, response) => {
      if (++seen % 50 === 0) incoming.socket.destroy();
      else response.end('right');
    });
    expect(load).toMatchObject({ answers: 196, wrong: 0, failed: 4 });
  });

  test('gives up on a server that does nothing but break connections', async () => {
    await expect(against((incoming) => incoming.socket.destroy(), 1_000)).rejects.toThrow('connections failed');
  });

  test('ends at once when it is interrupted', async () => {
    const waiting = against(() => over.abort());
    await expect(waiting).rejects.toThrow('abort');
  });
});
