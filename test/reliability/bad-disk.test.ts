import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../clients/sdk/client.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { failingDisk, missingForDisk } from './disk/recording-disk.ts';
import { serveOn } from './serve-on.ts';

const needs = missingForDisk.length > 0 ? ` (needs ${missingForDisk.join(', ')})` : '';
const large = { script: 'yes 0123456789abcde | head -c 400000' };

const refusalOf = (client: Client) =>
  client.submit({ argv: ['true'] }).then(
    ({ id }) => id,
    ({ status, message }: { status: number; message: string }) => ({ status, message }),
  );

describe.skipIf(missingForDisk.length > 0)(`a disk that fails under a running server${needs}`, () => {
  const onBadDisk = async () => {
    const folder = tempDirectory();
    const disk = failingDisk(folder, join(tempDirectory(), 'faults'));
    const dataDirectory = join(folder, 'data');
    const server = await serveOn(dataDirectory, { env: disk.env });
    const before = await server.client.submit({ argv: ['echo', 'before'] }, { waitSeconds: 60 });
    expect(before.status).toBe('succeeded');
    return { disk, server, before, dataDirectory };
  };

  test.for<[string, Parameters<ReturnType<typeof failingDisk>['fail']>, RegExp]>([
    ['cannot write the store', ['write', 'EIO', 'errand.db'], /failed a read or a write/],
    ['has no room for the store', ['write', 'ENOSPC', 'errand.db'], /full/],
    ['is read-only for the store', ['write', 'EROFS', 'errand.db'], /disk|read-only|readonly/],
  ])(
    'that %s refuses submissions in words, shows what there is, and all goes on once it is well',
    async ([, fault, words]) => {
      const { disk, server, before } = await onBadDisk();
      disk.fail(...fault);
      expect(await refusalOf(server.client)).toMatchObject({ status: 503, message: expect.stringMatching(words) });
      expect((await server.client.get(before.id)).stdout).toBe('before\n');
      expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
      disk.heal();
      const after = await server.client.submit({ argv: ['echo', 'after'] }, { waitSeconds: 60 });
      expect(after).toMatchObject({ status: 'succeeded', stdout: 'after\n' });
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    },
  );

  test('that did not keep what was written is not trusted again before a restart, which finds all that was acknowledged', async () => {
    const { disk, server, before, dataDirectory } = await onBadDisk();
    disk.fail('sync', 'EIO', 'errand.db-wal');
    const refusal = { status: 503, message: expect.stringMatching(/failed to keep.*start again/) };
    expect(await refusalOf(server.client)).toMatchObject(refusal);
    // Linux says it once of a page, and forgets that the page was never written.
    disk.heal();
    expect(await refusalOf(server.client)).toMatchObject(refusal);
    expect((await server.client.get(before.id)).stdout).toBe('before\n');
    await server.stop();
    const again = await serveOn(dataDirectory);
    expect((await again.client.get(before.id)).stdout).toBe('before\n');
    expect((await again.client.run({ argv: ['true'] })).status).toBe('succeeded');
  });

  test.for<[string, Parameters<ReturnType<typeof failingDisk>['fail']>]>([
    ['cannot write objects', ['write', 'EIO', 'objects']],
    ['does not keep objects', ['sync', 'EIO', 'objects']],
    ['takes no names', ['name', 'EROFS', 'objects']],
    ['gives no descriptors', ['open', 'EMFILE', 'objects']],
    ['may not be used', ['open', 'EACCES', 'objects']],
  ])('that %s holds back a command with much output, and loses none of it', async ([, fault]) => {
    const { disk, server } = await onBadDisk();
    disk.fail(...fault);
    const { id } = await server.client.submit(large);
    expect(await server.client.get(id, { waitSeconds: 1 })).toMatchObject({ status: 'running', result: null });
    disk.heal();
    let view = await server.client.get(id, { waitSeconds: 30 });
    while (view.endedAt === null) view = await server.client.get(id, { waitSeconds: 30 });
    expect(view).toMatchObject({ status: 'succeeded', result: { stdoutBytes: 400_000, droppedBytes: 0 } });
    const { body } = await server.client.readOutput(id, { stream: 'stdout' });
    const stored = Buffer.from(await new Response(body).arrayBuffer());
    expect(stored.equals(Buffer.alloc(400_000, '0123456789abcde\n'))).toBe(true);
  });

  test('that fails to read an object says so, and gives it when it is well', async () => {
    const { disk, server } = await onBadDisk();
    const { id } = await server.client.run(large);
    disk.fail('read', 'EIO', 'objects');
    await expect(server.client.readOutput(id).then(({ body }) => new Response(body).arrayBuffer())).rejects.toThrow();
    disk.heal();
    const { body } = await server.client.readOutput(id);
    expect((await new Response(body).arrayBuffer()).byteLength).toBe(400_000);
  });
});

describe('a data folder that is taken away under a running server', () => {
  test.for<[string, (folder: string) => void]>([
    ['removed', (folder) => rmSync(folder, { recursive: true, force: true })],
    ['moved', (folder) => renameSync(folder, `${folder}-moved`)],
    [
      'replaced',
      (folder) => {
        renameSync(folder, `${folder}-moved`);
        mkdirSync(folder);
      },
    ],
  ])('%s: nothing more is acknowledged, in words, and what was is there when it is put back', async ([, takeAway]) => {
    const dataDirectory = join(tempDirectory(), 'data');
    const server = await serveOn(dataDirectory);
    const before = await server.client.run({ argv: ['echo', 'before'] });
    takeAway(dataDirectory);
    const refusal = await refusalOf(server.client);
    expect(refusal).toMatchObject({ status: 503, message: expect.stringMatching(/removed or moved.*start again/) });
    await server.stop();
    if (!existsSync(`${dataDirectory}-moved`)) return;
    rmSync(dataDirectory, { recursive: true, force: true });
    renameSync(`${dataDirectory}-moved`, dataDirectory);
    const again = await serveOn(dataDirectory);
    expect((await again.client.get(before.id)).stdout).toBe('before\n');
  });
});
