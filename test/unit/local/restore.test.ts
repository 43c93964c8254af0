import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { packTar, unpackTar } from 'modern-tar';
import { describe, expect, test } from 'vitest';
import { backUp } from '../../../local/backup/backup.ts';
import { HEAD, MANIFEST } from '../../../local/backup/manifest.ts';
import { restore } from '../../../local/backup/restore.ts';
import { verifyBackup } from '../../../local/backup/verify.ts';
import { systemClock, systemRandom } from '../../../machine/system-clock.ts';
import { openErrand, sh } from '../../support/errand.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const parts = { clock: systemClock, random: systemRandom } as const;

interface Entry {
  header: {
    name: string;
    size: number;
    type?: 'symlink' | 'link' | 'character-device' | 'fifo' | 'directory';
    linkname?: string;
  };
  body?: Uint8Array<ArrayBuffer>;
}

/** A backup of a folder in which something is, and its members to be changed. */
const makeBackup = async (over: { withoutKeys?: boolean } = {}) => {
  const errand = await openErrand();
  await errand.submit(sh('head -c 2000000 /dev/zero'));
  // In the indexes as commands are, and none.
  const every = { everySeconds: 86_400, command: { argv: ['true'] } };
  expect((await errand.request('POST', '/v1/schedules', every)).status).toBe(201);
  await errand.request('PUT', '/v1/secrets/token', { valueBase64: Buffer.from('s3cr3t').toString('base64') });
  const file = join(tempDirectory(), 'backup.tar');
  await backUp({ dataDirectory: errand.dataDirectory, to: file, version: '0.1.0', ...parts, ...over });
  const bytes = readFileSync(file);
  const entries: Entry[] = (await unpackTar(new Uint8Array(bytes))).map(({ header, data }) => ({
    header: { name: header.name, size: header.size },
    body: data ?? new Uint8Array(),
  }));
  return { file, bytes, entries, dataDirectory: errand.dataDirectory };
};

const file = (name: string, text = ''): Entry => {
  const body = new Uint8Array(Buffer.from(text));
  return { header: { name, size: body.length }, body };
};

const packed = (entries: readonly Entry[]): Promise<Uint8Array> => packTar(entries);

const withText = (entries: readonly Entry[], name: string, change: (text: string) => string): Entry[] =>
  entries.map((entry) =>
    entry.header.name === name ? file(name, change(Buffer.from(entry.body ?? []).toString())) : entry,
  );

/** Beside the end, where a surprise could hide. */
const insert = (entries: readonly Entry[], entry: Entry): Entry[] => [
  ...entries.slice(0, -1),
  entry,
  ...entries.slice(-1),
];

const link = (type: NonNullable<Entry['header']['type']>): Entry => ({
  header: { name: 'targets.json', size: 0, type, ...(type.endsWith('link') ? { linkname: '/etc/passwd' } : {}) },
});

describe('a backup', () => {
  test('can be read by its user only, is read back before it is there, and leaves nothing else behind', async () => {
    const { file: path, dataDirectory } = await makeBackup();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(dirname(path))).toEqual(['backup.tar']);
    expect(readdirSync(dataDirectory).filter((name) => name.includes('backup'))).toEqual([]);
    expect(await verifyBackup(path)).toMatchObject({
      head: { format: 1, errand: '0.1.0' },
      manifest: { commands: 1, unfinished: 0 },
    });
  });

  test('replaces no file', async () => {
    const { file: to, dataDirectory } = await makeBackup();
    await expect(backUp({ dataDirectory, to, version: '0.1.0', ...parts })).rejects.toThrow(/is there already/);
  });

  test('is not made of a folder that is none of ours', async () => {
    const empty = tempDirectory();
    const making = backUp({ dataDirectory: empty, to: join(empty, 'b.tar'), version: '0.1.0', ...parts });
    await expect(making).rejects.toThrow(/no data folder.*--data/);
  });

  test('is not made of a folder in which an object is missing, and says which', async () => {
    const { dataDirectory } = await makeBackup();
    rmSync(join(dataDirectory, 'objects'), { recursive: true });
    const making = backUp({ dataDirectory, to: join(tempDirectory(), 'b.tar'), version: '0.1.0', ...parts });
    await expect(making).rejects.toThrow(/objects\/default\/cmd_\S+ is missing/);
    expect(existsSync(join(dataDirectory, '.backup'))).toBe(false);
  });

  test('without keys has none in it', async () => {
    const { entries } = await makeBackup({ withoutKeys: true });
    expect(entries.map(({ header }) => header.name).filter((name) => name.endsWith('.key'))).toEqual([]);
  });
});

describe('a restore refuses, and leaves nothing behind,', () => {
  const refusing = async (bytes: Uint8Array, over: { keys?: string } = {}): Promise<string> => {
    const folder = tempDirectory();
    const from = Readable.from([Buffer.from(bytes)]);
    const refusal = await restore({ from, dataDirectory: join(folder, 'data'), ...parts, ...over }).then(
      () => 'restored',
      (error: Error) => error.message,
    );
    expect(readdirSync(folder)).toEqual([]);
    return refusal;
  };

  test.for<[string, (entries: Entry[]) => Entry[], RegExp]>([
    ['a name that leads out', (all) => insert(all, file('../evil')), /"\.\.\/evil", which no data folder has/],
    [
      'a name that leads out further down',
      (all) => insert(all, file('objects/../../evil')),
      /which no data folder has/,
    ],
    ['an absolute name', (all) => insert(all, file('/etc/cron.d/evil')), /which no data folder has/],
    ['a name with a NUL', (all) => insert(all, file('objects/a\\0b')), /which no data folder has/],
    ['a name that is not ours', (all) => insert(all, file('server.lock')), /"server.lock", which no data folder has/],
    ['a very long name', (all) => insert(all, file(`objects/${'a/'.repeat(900)}a`)), /which no data folder has/],
    ['a symbolic link', (all) => insert(all, link('symlink')), /a symlink, which no backup does/],
    ['a hard link', (all) => insert(all, link('link')), /a link, which no backup does/],
    ['a device', (all) => insert(all, link('character-device')), /a character-device, which no backup does/],
    ['a pipe', (all) => insert(all, link('fifo')), /a fifo, which no backup does/],
    ['a folder', (all) => insert(all, { header: { name: 'objects/a/', size: 0, type: 'directory' } }), /a directory/],
    ['a file that its manifest does not name', (all) => insert(all, file('targets.json', '{}')), /does not name/],
    ['a file twice', (all) => insert(all, all.find(({ header }) => header.name === 'owner.key') as Entry), /twice/],
    ['a file after its end', (all) => [...all, file('targets.json', '{}')], /after its end/],
    ['a file less', (all) => all.filter(({ header }) => !header.name.startsWith('objects/')), /which is not in it/],
    [
      'a changed file',
      (all) => withText(all, 'owner.key', (text) => text.replace(/^./, (c) => (c === 'a' ? 'b' : 'a'))),
      /"owner.key" is not what was written/,
    ],
    [
      'a newer format',
      (all) => withText(all, HEAD, (text) => text.replace('"format":1', '"format":2')),
      /made by a newer Errand \(0\.1\.0, format 2; this one knows 1\)/,
    ],
    ['a head that says nothing', (all) => withText(all, HEAD, () => '{}'), /no backup of Errand/],
    [
      'a manifest that names a file elsewhere',
      (all) => withText(all, MANIFEST, (text) => text.replace('"owner.key","bytes"', '"../owner.key","bytes"')),
      /manifest.json is damaged/,
    ],
    ['no manifest', (all) => all.slice(0, -1), /ends too early/],
    ['another archive', () => [file('readme.txt', 'hello')], /begins with "readme.txt"/],
    ['an empty archive', () => [], /It is empty/],
  ])('%s', async ([, change, reason]) => {
    const { entries } = await makeBackup();
    expect(await refusing(await packed(change(entries)))).toMatch(reason);
  });

  test('an archive that was cut, wherever', async () => {
    const { bytes } = await makeBackup();
    for (const share of [0, 0.001, 0.1, 0.5, 0.9, 0.99]) {
      expect(await refusing(bytes.subarray(0, Math.floor(bytes.length * share)))).toMatch(
        /cut|truncated|ends too early|empty/,
      );
    }
  });

  test('what is no archive', async () => {
    expect(await refusing(Buffer.from('hello '.repeat(1_000)))).toMatch(/cannot be used/);
  });

  test('a store with damage in it that its digest does not tell', async () => {
    const { entries } = await makeBackup();
    const digest = (body: Uint8Array) => createHash('sha256').update(body).digest('hex');
    const database = entries.find(({ header }) => header.name === 'errand.db') as Required<Entry>;
    const before = digest(database.body);
    // Not one page alone: that may be one that is not in use.
    database.body.fill(0x55, 4_200);
    const changed = withText(entries, MANIFEST, (text) => text.replace(before, digest(database.body)));
    expect(await refusing(await packed(changed))).toMatch(/damaged|malformed/);
  });

  test('a backup without keys when none are given, or others', async () => {
    const { bytes, dataDirectory } = await makeBackup({ withoutKeys: true });
    expect(await refusing(bytes)).toMatch(/without keys.*owner.key, vault.key.*--keys.*--new-keys/);
    const others = tempDirectory();
    for (const name of ['owner.key', 'vault.key'])
      writeFileSync(join(others, name), `${randomBytes(32).toString('hex')}\n`);
    expect(await refusing(bytes, { keys: others })).toMatch(/not the key of the installation/);
    expect(await refusing(bytes, { keys: tempDirectory() })).toMatch(/cannot be read/);
    const place = join(tempDirectory(), 'data');
    await restore({ from: Readable.from([bytes]), dataDirectory: place, keys: dataDirectory, ...parts });
    expect(readFileSync(join(place, 'vault.key'))).toEqual(readFileSync(join(dataDirectory, 'vault.key')));
  });

  test('a folder in which something is, and a file', async () => {
    const { bytes } = await makeBackup();
    const folder = tempDirectory();
    writeFileSync(join(folder, 'mine'), '');
    const restoring = (dataDirectory: string) => restore({ from: Readable.from([bytes]), dataDirectory, ...parts });
    await expect(restoring(folder)).rejects.toThrow(/not empty.*--data/);
    await expect(restoring(join(folder, 'mine'))).rejects.toThrow(/cannot be restored to.*--data/);
    expect(readdirSync(folder)).toEqual(['mine']);
  });
});

test('a restore fills a folder that is there and empty', async () => {
  const { bytes } = await makeBackup();
  const place = join(tempDirectory(), 'data');
  mkdirSync(place);
  const { settled } = await restore({ from: Readable.from([bytes]), dataDirectory: place, ...parts });
  expect(settled).toEqual({ lost: 0, retried: 0, waiting: 0 });
  const errand = await openErrand(place);
  const command = await errand.submit(sh('echo "$T" | tr a-z A-Z', { secrets: { T: 'secret:token' } }));
  expect(command).toMatchObject({ status: 'succeeded', stdout: 'S3CR3T\n' });
});
