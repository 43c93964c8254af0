import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { aboutProbes } from '../../local/isolation/battery.ts';
import { SEVERITIES } from '../../shared/isolation/judge.ts';
import { PROBES } from '../../shared/isolation/probes.ts';
import {
  buildProbes,
  canBePlain,
  canBubblewrap,
  canBuildProbes,
  canUnshare,
  findingOf,
  isRoot,
  namesOf,
  publicFile,
  runBatteryAs,
  type TestUser,
} from '../support/probes.ts';
import { seccompFilter } from '../support/seccomp-filter.ts';

const PATIENCE_MS = 180_000;
const users: readonly TestUser[] = [
  ...(isRoot ? (['root'] as const) : []),
  ...(canBePlain ? (['a plain user'] as const) : []),
];

/** What hits on any Linux machine when there is no wall, whoever one is. */
const OPEN_TO_ALL = [
  ...['write-outside', 'write-home', 'write-through-link', 'read-data', 'read-home', 'read-through-link'],
  ...['leaked-folder', 'left-in-tmp', 'neighbour-files', 'own-environment', 'environments', 'descriptors'],
  ...['others-descriptors', 'command-lines', 'signal-host', 'change-limits', 'new-privileges', 'outlive'],
  ...['neighbour-processes', 'terminal-output', 'no-filter', 'loopback', 'abstract-socket', 'host-socket'],
  ...['neighbour-socket', 'neighbour-port', 'shared-segment', 'host-segment', 'fork-bomb', 'threads', 'memory-bomb'],
  ...['memory-in-parts', 'fill-folder', 'fill-tmp', 'file-bomb', 'descriptor-bomb'],
] as const;
/** And what hits for root. */
const OPEN_TO_ROOT = [
  ...['write-settings', 'write-programs', 'loader-cache', 'running-programs', 'read-shadow', 'chroot'],
  ...['become-user', 'drop-groups', 'capabilities', 'host-root', 'realtime', 'mount', 'namespaces'],
] as const;
/** Those that ask for more than is theirs; a wall without limits cannot hold them. */
const BOMBS = Object.keys(PROBES).filter((name) => PROBES[name]?.isBomb);
const BUT_BOMBS = Object.keys(PROBES).filter((name) => !PROBES[name]?.isBomb);

const PRIVATE_ROOT = [
  ...['--ro-bind', '/usr', '/usr', '--symlink', 'usr/lib', '/lib', '--symlink', 'usr/bin', '/bin'],
  ...(existsSync('/lib64') ? ['--symlink', 'usr/lib64', '/lib64'] : []),
  ...['--proc', '/proc', '--dev', '/dev', '--size', '67108864', '--tmpfs', '/tmp', '--chdir', '/tmp'],
];
const NAIVE = ['bwrap', '--unshare-all', '--uid', '65534', '--gid', '65534', '--cap-drop', 'ALL', ...PRIVATE_ROOT];

/** Another user first, then no environment and no open files, then the walls, and a filter of system calls. */
const hardened = (filter: string): string[] => {
  const asPlain = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--no-new-privs'];
  const walls = [
    ...[
      'bwrap',
      '--unshare-user',
      '--unshare-all',
      '--disable-userns',
      '--new-session',
      '--die-with-parent',
      '--clearenv',
    ],
    ...['--cap-drop', 'ALL', ...PRIVATE_ROOT, '--remount-ro', '/', '--seccomp', '3'],
  ];
  return [
    ...(isRoot ? asPlain : ['env']),
    'env',
    '-i',
    `PATH=${process.env['PATH']}`,
    'sh',
    '-c',
    `exec "$@" 3<${filter}`,
    'sh',
    ...walls,
  ];
};

/** What probes may make outside of their own folders. */
const tracesOnHost = (): string[] =>
  ['/tmp', '/var/tmp', '/dev/shm', '/etc', '/usr/bin']
    .flatMap((path) => readdirSync(path))
    .filter((name) => /^errand-(left|probe|doctor)/.test(name));

describe.skipIf(!canBuildProbes)('the isolation battery', () => {
  let program = '';
  let removeProgram = () => {};
  beforeAll(() => {
    ({ program, remove: removeProgram } = buildProbes());
  });
  afterAll(() => removeProgram());

  test('every probe is planned, and every plan has its probe', () => {
    const names = aboutProbes(program).map(({ name }) => name);
    expect(names.filter((name) => name !== 'nothing').toSorted()).toEqual(Object.keys(PROBES).toSorted());
    expect(new Set(names).size).toBe(names.length);
  });

  test('every probe says what it tries and how bad a hit is', () => {
    for (const { tries, severity, group } of aboutProbes(program)) {
      expect(tries).toMatch(/^[a-z].{8,80}$/);
      expect(SEVERITIES).toContain(severity);
      expect(['files', 'processes', 'kernel', 'network', 'resources']).toContain(group);
    }
  });

  describe.each(users)('as %s', (user) => {
    test('hits without walls, does no harm, and leaves nothing', { timeout: PATIENCE_MS }, () => {
      const before = tracesOnHost();
      const { report, folder } = runBatteryAs(user, { program, wall: [] });
      const hits = namesOf(report, 'hit');
      expect(OPEN_TO_ALL.filter((name) => !hits.includes(name))).toEqual([]);
      if (user === 'root') expect(OPEN_TO_ROOT.filter((name) => !hits.includes(name))).toEqual([]);
      expect(namesOf(report, 'broken')).toEqual([]);
      expect(namesOf(report, 'held')).toEqual([]);
      for (const name of namesOf(report, 'unproven'))
        expect(findingOf(report, name)?.detail).toMatch(/^without walls: ./);
      expect(report).toMatchObject({ passed: false, asRoot: user === 'root' });
      expect(readdirSync(`${folder}/home`)).toEqual([]);
      expect(readdirSync(`${folder}/commands`)).toEqual([]);
      expect(tracesOnHost()).toEqual(before);
    });

    test.skipIf(!canUnshare)('a mount namespace alone lets nearly all of it through', { timeout: PATIENCE_MS }, () => {
      const wall = ['unshare', ...(user === 'root' ? [] : ['-r']), '-m'];
      const { report } = runBatteryAs(user, { program, wall, only: BUT_BOMBS });
      const hits = namesOf(report, 'hit');
      // Its user namespace, which a plain user needs for it, keeps it from looking into processes outside.
      const kept = user === 'root' ? [] : ['environments', 'others-descriptors'];
      const wanted = OPEN_TO_ALL.filter((name) => BUT_BOMBS.includes(name) && !kept.includes(name));
      expect(wanted.filter((name) => !hits.includes(name))).toEqual([]);
      expect(report.passed).toBe(false);
    });

    test('a limit for each process alone lets four of them pass', { timeout: PATIENCE_MS }, () => {
      const wall = ['prlimit', '--as=268435456', '--nofile=256'];
      const limits = { memoryMiB: 256, descriptors: 256 };
      const only = ['memory-bomb', 'memory-in-parts', 'descriptor-bomb'];
      const { report } = runBatteryAs(user, { program, wall, limits, only });
      expect(namesOf(report, 'hit')).toEqual(['memory-in-parts']);
      expect(namesOf(report, 'held')).toEqual(['memory-bomb', 'descriptor-bomb']);
    });

    test('a wall that cannot be built is broken, not held', { timeout: PATIENCE_MS }, () => {
      for (const wall of [['false'], ['sh', '-c', 'exit 1'], ['no-such-wall'], ['sh', '-c', 'kill -9 $$']]) {
        const { report } = runBatteryAs(user, { program, wall, only: ['read-data', 'fork-bomb'] });
        expect(namesOf(report, 'broken')).toEqual(['read-data', 'fork-bomb']);
        expect(report.passed).toBe(false);
      }
    });

    test.skipIf(!canBubblewrap)(
      'bubblewrap with the first flags that come to mind leaks',
      { timeout: PATIENCE_MS },
      () => {
        const { report } = runBatteryAs(user, { program, wall: NAIVE, only: BUT_BOMBS });
        const hits = namesOf(report, 'hit');
        // Its own first process keeps the environment of whoever started it, and what was open stays open.
        expect(hits).toEqual(expect.arrayContaining(['environments', 'descriptors', 'io-uring', 'no-filter']));
        // Started by root, its user is root under another name, and may write the host's settings.
        expect(hits.includes('host-root')).toBe(user === 'root');
        expect(hits.includes('core-pattern')).toBe(user === 'root');
        expect(namesOf(report, 'held')).toEqual(expect.arrayContaining(['read-data', 'loopback', 'signal-host']));
      },
    );
  });

  test.skipIf(!canBubblewrap)(
    'bubblewrap as another user, with nothing inherited and a filter, holds',
    { timeout: PATIENCE_MS },
    () => {
      const wall = hardened(publicFile(seccompFilter(process.arch === 'arm64' ? 'arm64' : 'x64')));
      const { report } = runBatteryAs(isRoot ? 'root' : 'a plain user', {
        program,
        wall,
        isClean: true,
        only: BUT_BOMBS,
      });
      expect(namesOf(report, 'hit')).toEqual([]);
      expect(namesOf(report, 'broken')).toEqual([]);
      const wanted = [...OPEN_TO_ALL, ...(isRoot ? OPEN_TO_ROOT : [])].filter((name) => BUT_BOMBS.includes(name));
      expect(wanted.filter((name) => findingOf(report, name)?.outcome !== 'held')).toEqual([]);
      expect(report.passed).toBe(true);
    },
  );

  test.skipIf(!canBubblewrap)('its walls hold no bomb but those of the disk', { timeout: PATIENCE_MS }, () => {
    const wall = hardened(publicFile(seccompFilter(process.arch === 'arm64' ? 'arm64' : 'x64')));
    const limits = { diskMiB: 64, memoryMiB: 256 };
    const { report } = runBatteryAs(isRoot ? 'root' : 'a plain user', {
      program,
      wall,
      isClean: true,
      limits,
      only: BOMBS,
    });
    expect(namesOf(report, 'held')).toEqual(expect.arrayContaining(['fill-folder', 'fill-tmp']));
    expect(namesOf(report, 'hit')).toEqual(expect.arrayContaining(['fork-bomb', 'memory-bomb', 'memory-in-parts']));
  });
});
