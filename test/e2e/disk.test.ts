import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { ApiError } from '../../clients/sdk/errors.ts';
import { cli, startServer } from '../support/cli.ts';
import { canMakeDisks, smallDisk } from '../support/tmpfs.ts';

/** Takes the room that is left on a disk, but for so many bytes; the return value gives it back. */
const fill = (folder: string, leaveBytes = 0): (() => void) => {
  const ballast = join(folder, 'ballast');
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(ballast, Buffer.alloc(bavail * bsize - leaveBytes));
  return () => rmSync(ballast);
};

describe.skipIf(!canMakeDisks)('a disk', () => {
  test('that is full refuses submissions in words, keeps what was acknowledged, and all goes on once there is room', async () => {
    const folder = smallDisk('size=8m');
    const server = await startServer(join(folder, 'data'));
    const client = makeClient({ url: server.url, sleep: async () => {} });
    const before = await client.submit({ argv: ['echo', 'before'] }, { waitSeconds: 60 });
    const makeRoom = fill(folder);
    let refused: unknown;
    let stored = 0;
    // What SQLite has room for in its log is still stored.
    while (refused === undefined && stored < 1_000) {
      refused = await client.submit({ argv: ['true'], env: { FILL: 'x'.repeat(30_000) } }).then(
        () => void stored++,
        (error: unknown) => error,
      );
    }
    expect(refused).toBeInstanceOf(ApiError);
    expect(refused).toMatchObject({ status: 503, code: 'unavailable', message: expect.stringMatching(/full|disk/) });
    expect((await client.get(before.id)).stdout).toBe('before\n');
    makeRoom();
    expect(await client.submit({ argv: ['echo', 'after'] }, { waitSeconds: 60 })).toMatchObject({
      status: 'succeeded',
      stdout: 'after\n',
    });
    for await (const { id } of client.list())
      expect((await client.get(id, { waitSeconds: 60 })).status).toBe('succeeded');
  });

  test('that fills up under a command’s output holds the command back, and loses none of it', async () => {
    const folder = smallDisk('size=8m');
    const server = await startServer(join(folder, 'data'));
    const client = makeClient({ url: server.url });
    const makeRoom = fill(folder, 1_000_000);
    const { id } = await client.submit({ argv: ['/bin/sh', '-c', 'yes 0123456789abcde | head -c 6000000'] });
    expect(await client.get(id, { waitSeconds: 1 })).toMatchObject({ status: 'running', result: null });
    makeRoom();
    let received = 0;
    for await (const event of client.follow(id)) {
      if (event.type === 'stdout') received += event.bytes.length;
      if (event.type === 'end')
        expect(event.command).toMatchObject({ status: 'succeeded', result: { stdoutBytes: 6_000_000 } });
    }
    expect(received).toBe(6_000_000);
  });

  test.for<[string, string, (folder: string) => void, RegExp]>([
    ['full', 'size=1m', (folder) => void fill(folder), /full|disk|space/],
    ['read-only', 'ro', () => {}, /read-only|cannot be made/i],
  ])('that is %s when the server starts is told in one line', async ([, options, make, words]) => {
    const folder = smallDisk(options);
    make(folder);
    for (const args of [
      ['serve', '--port', '0'],
      ['run', '--', 'true'],
    ]) {
      const ran = await cli([...args], { dataDirectory: join(folder, 'data') });
      expect(ran.exit).toBe(125);
      expect(ran.stderr).toMatch(words);
      expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1);
    }
  });
});
