import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { cli } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { serveOn } from './serve-on.ts';

const PAGE_BYTES = 4096;
const overwrite = (file: string, bytes: Uint8Array, from = 0): void => {
  const whole = readFileSync(file);
  whole.set(bytes, from);
  writeFileSync(file, whole);
};

describe('a data folder that was damaged while no server ran', () => {
  /** Copies of folders that were used: one whose server was stopped, and one whose server was killed. */
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  const used = { stopped: join(folder, 'stopped'), killed: join(folder, 'killed') };
  const ids: { stopped: string; killed: string } = { stopped: '', killed: '' };
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  test('is one that was used before', async () => {
    for (const how of ['stopped', 'killed'] as const) {
      const server = await serveOn(used[how]);
      await server.client.putSecret('token', Buffer.from('a secret value'));
      ids[how] = (await server.client.run({ script: 'yes 0123456789abcde | head -c 400000' })).id;
      server.process.kill(how === 'stopped' ? 'SIGTERM' : 'SIGKILL');
      await server.exit;
    }
    expect(statSync(join(used.killed, 'errand.db-wal')).size).toBeGreaterThan(0);
  });
  const copyOf = (how: keyof typeof used): string => {
    const copy = join(tempDirectory(), 'data');
    cpSync(used[how], copy, { recursive: true });
    return copy;
  };

  test.for<[string, keyof typeof used, (data: string) => void, RegExp]>([
    [
      'its store is gone',
      'stopped',
      (data) => rmSync(join(data, 'errand.db')),
      /errand\.db.*missing or empty.*Put it back/,
    ],
    ['its store is empty', 'stopped', (data) => truncateSync(join(data, 'errand.db')), /missing or empty.*Put it back/],
    [
      'its store is gone, and the log is there',
      'killed',
      (data) => rmSync(join(data, 'errand.db')),
      /missing or empty/,
    ],
    [
      'its store begins with garbage',
      'stopped',
      (data) => overwrite(join(data, 'errand.db'), Buffer.alloc(64, 0xaa)),
      /errand\.db.*(no database|damaged)/,
    ],
    [
      'its store was cut in the first page',
      'stopped',
      (data) => truncateSync(join(data, 'errand.db'), 1_000),
      /errand\.db.*(no database|damaged)/,
    ],
    ['its owner’s key is empty', 'stopped', (data) => truncateSync(join(data, 'owner.key')), /owner\.key holds no key/],
  ])('does not start when %s, says why in one line, and changes nothing', async ([, how, damage, words]) => {
    const dataDirectory = copyOf(how);
    damage(dataDirectory);
    const before = statSync(join(dataDirectory, 'errand.db'), { throwIfNoEntry: false })?.size;
    for (const args of [
      ['serve', '--port', '0'],
      ['run', '--', 'true'],
    ]) {
      const ran = await cli(args, { dataDirectory });
      expect([ran.exit, ran.stdout]).toEqual([125, '']);
      expect(ran.stderr).toMatch(words);
      expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1);
    }
    expect(statSync(join(dataDirectory, 'errand.db'), { throwIfNoEntry: false })?.size).toBe(before);
  });

  test.for<[string, (log: string) => void]>([
    ['is gone', (log) => rmSync(log)],
    ['begins with garbage', (log) => overwrite(log, Buffer.alloc(32, 0xaa))],
  ])('starts, and says what is lost, when the log of its store %s', async ([, damage]) => {
    const dataDirectory = copyOf('killed');
    damage(join(dataDirectory, 'errand.db-wal'));
    const server = await serveOn(dataDirectory);
    expect(server.stderr()).toMatch(/log of the store is missing or damaged.*errand\.db-wal.*put both/);
    expect((await server.client.run({ argv: ['true'] })).status).toBe('succeeded');
  });

  test('says which object is missing, and shows what else there is', async () => {
    const dataDirectory = copyOf('killed');
    rmSync(join(dataDirectory, 'objects'), { recursive: true });
    const { client } = await serveOn(dataDirectory);
    const refusal = { status: 503, message: expect.stringMatching(`object default/${ids.killed}/.*cannot be read`) };
    await expect(client.get(ids.killed)).rejects.toMatchObject(refusal);
    // Its headers may be out before its first byte is missed.
    await expect(client.readOutput(ids.killed).then(({ body }) => new Response(body).arrayBuffer())).rejects.toThrow();
    expect((await client.list().next()).value).toMatchObject({ id: ids.killed, status: 'succeeded' });
  });

  test('makes no new key over secrets that it would not open, says so, and goes on once the key is back', async () => {
    const dataDirectory = copyOf('stopped');
    const [key, away] = [join(dataDirectory, 'vault.key'), join(dataDirectory, 'away')];
    renameSync(key, away);
    const { client } = await serveOn(dataDirectory);
    await expect(client.putSecret('other', Buffer.from('a value'))).rejects.toMatchObject({
      status: 503,
      message: expect.stringMatching(/vault\.key is missing.*Put it back/),
    });
    const waiting = await client.submit({ script: 'printf %s "$TOKEN" | wc -c', secrets: { TOKEN: 'secret:token' } });
    expect((await client.get(waiting.id, { waitSeconds: 1 })).status).toBe('queued');
    renameSync(away, key);
    expect(await client.get(waiting.id, { waitSeconds: 30 })).toMatchObject({ status: 'succeeded', stdout: '14\n' });
  });
});

test('a store shows each item as it was or says that it is damaged, whatever page is lost', async () => {
  const folder = tempDirectory();
  const file = join(folder, 'a.db');
  const store = sqliteStore({ file });
  const keys = Array.from({ length: 60 }, (_, i) => ({ pk: `p${i % 3}`, sk: `s${String(i).padStart(3, '0')}` }));
  for (const key of keys) {
    const data = { text: key.sk.repeat(300) };
    await store.write([{ put: { ...key, version: 1, data }, ifVersion: 0 }]);
  }
  await store.close();
  const whole = readFileSync(file);
  let damaged = 0;
  for (let page = 0; page < whole.length / PAGE_BYTES; page++) {
    const copy = join(folder, `${page}.db`);
    writeFileSync(copy, whole);
    overwrite(copy, Buffer.alloc(PAGE_BYTES), page * PAGE_BYTES);
    const words = expect.stringMatching(/no database|damaged/);
    try {
      const again = sqliteStore({ file: copy });
      for (const key of keys) {
        const found = await again.get(key).catch((error: Error) => error.message);
        if (typeof found === 'string') damaged++;
        expect([page, key.sk, typeof found === 'string' ? found : found?.data]).toEqual([
          page,
          key.sk,
          typeof found === 'string' ? words : { text: key.sk.repeat(300) },
        ]);
      }
      await again.close();
    } catch (error) {
      if (error instanceof Error && error.name === 'AssertionError') throw error;
      damaged++;
      expect([page, (error as Error).message]).toEqual([page, words]);
    }
    rmSync(copy);
  }
  expect(damaged).toBeGreaterThan(10);
});
