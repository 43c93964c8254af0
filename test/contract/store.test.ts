import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { canMakeDisks, smallDisk } from '../support/tmpfs.ts';
import { schedulesContract } from './schedules-contract.ts';
import { storeContract } from './store-contract.ts';
import { triggersContract } from './triggers-contract.ts';
import { webhooksContract } from './webhooks-contract.ts';
import { workflowsContract } from './workflows-contract.ts';

const isRoot = process.getuid?.() === 0;
const put = (sk: string, data: unknown = sk) => ({ put: { pk: 'p', sk, version: 1, data }, ifVersion: 0 });

storeContract('sqlite', async () => sqliteStore({ file: ':memory:' }));
schedulesContract('sqlite', async () => sqliteStore({ file: ':memory:' }));
triggersContract('sqlite', async () => sqliteStore({ file: ':memory:' }));
webhooksContract('sqlite', async () => sqliteStore({ file: ':memory:' }));
workflowsContract('sqlite', async () => sqliteStore({ file: ':memory:' }));
storeContract('sqlite, on disk', async () => {
  const store = sqliteStore({ file: join(tempDirectory(), 'a.db') });
  onTestFinished(() => store.close());
  return store;
});

describe('the SQLite store', () => {
  test('two on one file see each other’s writes at once, and conditions hold between them', async () => {
    const file = join(tempDirectory(), 'a.db');
    const [one, two] = [sqliteStore({ file }), sqliteStore({ file })];
    await one.write([put('a', 'one')]);
    expect((await two.get({ pk: 'p', sk: 'a' }))?.data).toBe('one');
    expect(await two.write([put('a', 'two')])).toMatchObject({ ok: false, actual: { data: 'one' } });
    await Promise.all([one.close(), two.close()]);
  });

  test('keeps every acknowledged write when its process is killed', async () => {
    const file = join(tempDirectory(), 'a.db');
    const program = fileURLToPath(new URL('../support/programs/store-writer.ts', import.meta.url));
    const writer: ChildProcess = spawn(process.execPath, [program, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let acknowledged = 0;
    for await (const line of createInterface({ input: writer.stdout as NonNullable<typeof writer.stdout> })) {
      acknowledged = Number(line);
      if (acknowledged === 300) writer.kill('SIGKILL');
    }
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
    const store = sqliteStore({ file });
    const kept = await store.query('p', { limit: 1_000_000 });
    expect(acknowledged).toBeGreaterThanOrEqual(300);
    expect(kept.length).toBeGreaterThanOrEqual(acknowledged);
    expect(kept.map(({ data }) => data)).toEqual(kept.map((_, i) => i + 1));
    await store.close();
  });

  test('closed is closed: writes under way are kept, later calls are told', async () => {
    const file = join(tempDirectory(), 'a.db');
    const store = sqliteStore({ file });
    const writing = store.write([put('a')]);
    await store.close();
    expect(await writing).toEqual({ ok: true });
    await expect(store.get({ pk: 'p', sk: 'a' })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(store.write([put('b')])).rejects.toMatchObject({ code: 'unavailable' });
    const again = sqliteStore({ file });
    expect(await again.get({ pk: 'p', sk: 'a' })).toBeDefined();
    await again.close();
  });

  test('a version that does not follow from the condition is our own mistake', async () => {
    const store = sqliteStore({ file: ':memory:' });
    const wrong = { put: { pk: 'p', sk: 's', version: 7, data: 0 }, ifVersion: 0 };
    await expect(store.write([wrong])).rejects.toThrow(/where 1 must follow/);
  });

  test.for<[string, (file: string) => void, RegExp]>([
    ['that is no database', (file) => writeFileSync(file, 'x'.repeat(5_000)), /no database/],
    ['that is a folder', (file) => mkdirSync(file), /cannot be opened/],
    [
      'of a newer release',
      (file) => {
        const database = new DatabaseSync(file);
        database.exec('PRAGMA user_version = 999');
        database.close();
      },
      /newer release/,
    ],
  ])('a file %s is refused with what to do next', ([, make, expected]) => {
    const file = join(tempDirectory(), 'a.db');
    make(file);
    expect(() => sqliteStore({ file })).toThrow(expected);
    expect(() => sqliteStore({ file })).toThrow(/--data/);
  });

  test.skipIf(isRoot)('a folder that is not writable is refused with what to do next', () => {
    const folder = tempDirectory();
    chmodSync(folder, 0o500);
    expect(() => sqliteStore({ file: join(folder, 'a.db') })).toThrow(/writable/);
  });

  test('a damaged file says so, and nothing is made up', async () => {
    const file = join(tempDirectory(), 'a.db');
    const store = sqliteStore({ file });
    for (let i = 0; i < 50; i++) await store.write([put(`${i}`, 'x'.repeat(3_000))]);
    await store.close();
    writeFileSync(file, Buffer.alloc(40_000, 0xaa), { flag: 'r+' });
    expect(() => sqliteStore({ file })).toThrow(/database|damaged|malformed/);
  });

  test.skipIf(!canMakeDisks)(
    'a full disk refuses writes with what to do next, keeps what was stored, and recovers',
    async () => {
      const folder = smallDisk('size=1m');
      const store = sqliteStore({ file: join(folder, 'a.db') });
      const ballast = join(folder, 'ballast');
      writeFileSync(ballast, Buffer.alloc(400 * 1024));
      let stored = 0;
      const fill = async () => {
        for (;;) {
          await store.write([put(`${stored}`, 'x'.repeat(20_000))]);
          stored++;
        }
      };
      await expect(fill()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(/full/) });
      expect((await store.query('p', { limit: 1_000 })).length).toBe(stored);
      writeFileSync(ballast, '');
      expect(await store.write([put('after')])).toEqual({ ok: true });
      await store.close();
    },
  );
});
