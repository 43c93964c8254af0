import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { serveOn } from './serve-on.ts';

/** Debian's libfaketime, by the machine's kind of processor. */
const FAKETIME = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .map((kind) => `/usr/lib/${kind}/faketime/libfaketimeMT.so.1`)
  .find(existsSync);
const needs = FAKETIME ? '' : ' (needs libfaketime)';

describe.skipIf(!FAKETIME)(`a clock that was wrong while a server ran${needs}`, () => {
  const inTime = (offset: string) => ({
    LD_PRELOAD: FAKETIME ?? '',
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  });

  test.for(['-3650d', '-1d', '-10m', '+10m', '+1d', '+3650d'])(
    'by %s: what it acknowledged is there, runs, and runs once',
    async (offset) => {
      const dataDirectory = join(tempDirectory(), 'data');
      const ran = join(dataDirectory, 'ran');
      const wrong = await serveOn(dataDirectory, { env: inTime(offset) });
      const key = { idempotencyKey: 'of-the-wrong-time' };
      const ended = await wrong.client.submit(
        { script: `echo ended >> ${ran}; echo said` },
        { ...key, waitSeconds: 60 },
      );
      expect(ended).toMatchObject({ status: 'succeeded', stdout: 'said\n' });
      const running = await wrong.client.submit({ script: `echo running >> ${ran}; echo ready; sleep 1000` });
      for await (const event of wrong.client.follow(running.id)) if (event.type === 'stdout') break;
      await wrong.stop();

      const right = await serveOn(dataDirectory);
      let seen = await right.client.get(running.id, { waitSeconds: 20 });
      while (seen.endedAt === null) seen = await right.client.get(running.id, { waitSeconds: 20 });
      expect(seen.status).toBe('lost');
      const { endedAt, result } = ended;
      expect(await right.client.get(ended.id)).toMatchObject({
        status: 'succeeded',
        stdout: 'said\n',
        endedAt,
        result,
      });
      const after = await right.client.run({ script: `echo after >> ${ran}` });
      expect(after.status).toBe('succeeded');
      const listed = [];
      for await (const { id } of right.client.list()) listed.push(id);
      expect(new Set(listed)).toEqual(new Set([ended.id, running.id, after.id]));
      const { stdout } = await right.client.run({ script: `cat ${ran}` });
      expect(stdout).toBe('ended\nrunning\nafter\n');
      expect(await right.client.verifyAudit()).toMatchObject({ intact: true });
    },
  );
});

describe.skipIf(process.platform !== 'linux')('a server that may open few files', () => {
  test('is not taken down by more connections than that, keeps what it acknowledged, and goes on when they are gone', async () => {
    const dataDirectory = join(tempDirectory(), 'data');
    const server = await serveOn(dataDirectory, { wrapper: ['sh', '-c', 'ulimit -n 80; exec "$@"', 'sh'] });
    // Waits between its tries, as clients do: it takes a moment until the connections are gone.
    const client = makeClient({ url: server.url });
    const before = await client.run({ argv: ['echo', 'before'] });
    const { port } = new URL(server.url);
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (let n = 0; n < 150; n++) {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
      socket.write('GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n');
      sockets.push(socket);
    }
    const attempts = Array.from({ length: 10 }, (_, n) =>
      client.submit({ argv: ['echo', `during ${n}`] }).then(
        ({ id }) => id,
        () => undefined,
      ),
    );
    const acknowledged = (await Promise.all(attempts)).filter((id) => id !== undefined);
    for (const socket of sockets) socket.destroy();
    expect(await client.run({ script: 'yes | head -c 300000' })).toMatchObject({ status: 'succeeded' });
    expect((await client.get(before.id)).stdout).toBe('before\n');
    for (const id of acknowledged) {
      expect(await client.get(id, { waitSeconds: 60 })).toMatchObject({ status: 'succeeded' });
    }
    expect(server.process.exitCode).toBeNull();
  });
});
