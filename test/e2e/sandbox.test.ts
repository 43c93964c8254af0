import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROBES_PROGRAM } from '../../local/isolation/programs.ts';
import type { BatteryReport } from '../../shared/isolation/judge.ts';
import { PROBES } from '../../shared/isolation/probes.ts';
import { cli, startServer } from '../support/cli.ts';
import { canBePlain, canBuildProbes, canUnshare, isRoot } from '../support/probes.ts';
import { ownLauncher, reportOf } from '../support/sandboxes.ts';
import { publicDirectory, tempDirectory } from '../support/temp-directory.ts';

const BUILD_PROBES = join(import.meta.dirname, '../../launcher/probes/build.mjs');

/* Isolation `sandbox` from end to end: the real CLI and server, as root and as a plain user. */
const launcher = ownLauncher();
afterAll(() => launcher?.remove());
const report = launcher ? reportOf(launcher.file) : undefined;
const isGiven = report?.name === 'ok';

const PLAIN_USER = 65_534;
const asPlain = ['setpriv', `--reuid=${PLAIN_USER}`, `--regid=${PLAIN_USER}`, '--clear-groups'];
const users = [
  ...(isRoot ? [{ who: 'root', wrapper: [] as string[] }] : []),
  ...(canBePlain ? [{ who: 'a plain user', wrapper: isRoot ? asPlain : [] }] : []),
];
/** A data folder of whoever is to have it. */
const dataDirectoryOf = (wrapper: readonly string[]): string => {
  const folder = join(publicDirectory(), 'data');
  mkdirSync(folder);
  if (wrapper.length > 0) chownSync(folder, PLAIN_USER, PLAIN_USER);
  return folder;
};

/** Those that hit whoever tries them without walls, and so are always proved. */
const HELD_FROM_ALL = [
  ...['write-outside', 'write-home', 'write-through-link', 'read-data', 'read-home', 'read-through-link'],
  ...['leaked-folder', 'left-in-tmp', 'neighbour-files', 'own-environment', 'environments', 'descriptors'],
  ...['others-descriptors', 'command-lines', 'signal-host', 'change-limits', 'new-privileges', 'outlive'],
  ...['neighbour-processes', 'terminal-output', 'no-filter', 'loopback', 'abstract-socket', 'host-socket'],
  ...['neighbour-socket', 'neighbour-port', 'shared-segment', 'host-segment', 'fork-bomb', 'threads', 'memory-bomb'],
  ...['memory-in-parts', 'memory-in-files', 'fill-folder', 'fill-tmp', 'file-bomb', 'descriptor-bomb'],
] as const;

describe.skipIf(!isGiven || !canBuildProbes)(`isolation sandbox (${report?.name ?? 'not built'})`, () => {
  beforeAll(() => {
    if (!existsSync(PROBES_PROGRAM)) execFileSync(process.execPath, [BUILD_PROBES]);
  });

  describe.each(users)('of a server of $who', ({ wrapper }) => {
    test('holds the whole escape battery: no probe hits, and none breaks', { timeout: 240_000 }, async () => {
      const dataDirectory = dataDirectoryOf(wrapper);
      const asked = ['doctor', '--level', 'sandbox', '--json'];
      const { stdout, stderr } = await cli(asked, { dataDirectory, wrapper, cwd: '/' });
      const { levels, asRoot } = JSON.parse(stdout || `{"error":${JSON.stringify(stderr)}}`) as BatteryReport;
      const [level] = levels;
      const named = (outcome: string) =>
        level?.findings.filter((one) => one.outcome === outcome).map(({ name, detail }) => ({ name, detail }));
      expect([named('hit'), named('broken'), named('open')]).toEqual([[], [], []]);
      const held = named('held')?.map(({ name }) => name) ?? [];
      expect(HELD_FROM_ALL.filter((name) => !held.includes(name))).toEqual([]);
      expect([asRoot, level?.level, level?.findings.length]).toEqual([
        isRoot && wrapper.length === 0,
        'sandbox',
        Object.keys(PROBES).length,
      ]);
    });

    test('errand run gives it, and says so', async () => {
      const options = { dataDirectory: dataDirectoryOf(wrapper), wrapper, cwd: '/' };
      const ran = await cli(['run', '--isolation', 'sandbox', '--json', '--', 'id', '-un'], options);
      expect([ran.exit, ran.stderr]).toEqual([0, '']);
      expect(ran.stdout).toMatch(/"isolation":"sandbox"/);
      const plain = await cli(['run', '--isolation', 'sandbox', '--', 'sh', '-c', 'id -un; pwd; exit 7'], options);
      expect([plain.exit, plain.stdout]).toEqual([7, 'errand\n/work\n']);
    });

    test('memory and processor can be asked for, and the end by want of memory is told as such', async () => {
      const options = { dataDirectory: dataDirectoryOf(wrapper), wrapper, cwd: '/' };
      const asked = ['run', '--isolation', 'sandbox', '--memory', '64', '--cpu', '0.5', '--json', '--'];
      const { stdout } = await cli([...asked, 'python3', '-c', 'bytearray(300 << 20)'], options);
      expect(stdout).toMatch(/"reason":"out-of-memory"/);
    });
  });

  test('what an operator configures for the target on this machine is what commands get', async () => {
    const [dataDirectory, shown] = [tempDirectory(), publicDirectory()];
    writeFileSync(join(shown, 'words'), '');
    const local = { sandbox: { diskMiB: 10, processes: 9, readable: [{ path: shown, at: '/opt/data' }] } };
    writeFileSync(join(dataDirectory, 'targets.json'), JSON.stringify({ local }));
    const { url } = await startServer(dataDirectory);
    const script =
      'df -Pk /work | awk "NR>1{print \\$2}"; ls /opt/data; (for n in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done) 2>&1';
    const ran = await cli(['run', '--isolation', 'sandbox', '--', 'sh', '-c', script], {
      dataDirectory,
      env: { ERRAND_URL: url },
    });
    expect(ran.stdout).toMatch(/^10240\n[\s\S]*words\n[\s\S]*fork/);
    const { stdout } = await cli(['providers', '--json'], { dataDirectory, env: { ERRAND_URL: url } });
    expect(JSON.parse(stdout)).toMatchObject({
      features: {
        isolation: expect.arrayContaining(['sandbox']),
        sandbox: { diskMiB: 10, processes: 9, network: 'none' },
      },
    });
  });

  test.for<[string, unknown, RegExp]>([
    ['a network that there is not', { network: 'some' }, /\/local\/sandbox\/network/],
    ['a folder over one of its own', { readable: [{ path: '/etc/ssl' }] }, /\/local\/sandbox\/readable\/0/],
    ['a field that there is not', { disk: 1 }, /disk/],
  ])('%s is refused when the server starts', async ([, sandbox, words]) => {
    const dataDirectory = tempDirectory();
    writeFileSync(join(dataDirectory, 'targets.json'), JSON.stringify({ local: { sandbox } }));
    const { exit, stderr } = await cli(['providers'], { dataDirectory });
    expect([exit, stderr]).toEqual([125, expect.stringMatching(words)]);
  });
});

describe.skipIf(!launcher || !canUnshare || !canBePlain)('a machine that gives no sandbox', () => {
  const without = (preparation: string): string[] => [
    ...(isRoot ? asPlain : []),
    ...['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', `${preparation}; exec "$@"`, 'sh'],
  ];

  test.for<[string, string, string, RegExp]>([
    [
      'user namespaces',
      'echo 0 > /proc/sys/user/max_user_namespaces',
      'no-user-namespaces',
      /sysctl user\.max_user_namespaces/,
    ],
    [
      'network namespaces',
      'echo 0 > /proc/sys/user/max_net_namespaces',
      'no-network-namespaces',
      /sysctl user\.max_net/,
    ],
    ['a whole /proc', 'mount -t tmpfs none /proc/tty', 'no-proc', /systempaths=unconfined/],
  ])('without %s: refused by name with what to do, and nothing else suffers', async ([, preparation, name, advice]) => {
    const options = { dataDirectory: dataDirectoryOf(isRoot ? asPlain : []), wrapper: without(preparation), cwd: '/' };
    const refused = await cli(['run', '--isolation', 'sandbox', '--', 'echo', 'ran'], options);
    expect([refused.exit, refused.stdout]).toEqual([125, '']);
    expect(refused.stderr).toContain(name);
    expect(refused.stderr).toMatch(advice);
    const { stdout } = await cli(['providers', '--json'], options);
    const { features } = JSON.parse(stdout) as {
      features: { isolation: string[]; isolationLacking: { sandbox: string } };
    };
    expect(features.isolation).not.toContain('sandbox');
    expect(features.isolationLacking.sandbox).toContain(name);
    expect(await cli(['run', '--', 'echo', 'ran'], options)).toMatchObject({ exit: 0, stdout: 'ran\n' });
  });

  test('errand doctor says the same', async () => {
    const wrapper = without('echo 0 > /proc/sys/user/max_net_namespaces');
    const options = { dataDirectory: dataDirectoryOf(isRoot ? asPlain : []), wrapper, cwd: '/' };
    const { exit, stdout } = await cli(['doctor'], options);
    expect([exit, stdout]).toEqual([1, expect.stringMatching(/✗ +sandbox +no-network-namespaces/)]);
  });
});
