import { describe, expect, test } from 'vitest';
import { type Check, checkMachine, type MachineFacts } from '../../../shared/isolation/checks.ts';

const GOOD: MachineFacts = {
  platform: 'linux',
  kernel: '6.12.0',
  node: '24.1.0',
  isRoot: true,
  compiler: '/usr/bin/cc',
  hasNativeLauncher: true,
  hasProbes: true,
  canMakeUserNamespace: true,
  mostUserNamespaces: 15_000,
  unprivilegedUserNamespaces: undefined,
  appArmorRestrictsUserNamespaces: false,
  controllers: { v1: [], v2: ['memory', 'pids', 'cpu'] },
  canWriteControlGroups: true,
  hasSeccomp: true,
  landlockAbi: 5,
  hasAppArmor: false,
  seLinux: undefined,
  sandbox: { name: 'ok', text: '', advice: '', cgroups: 2 },
};
const plain = { isRoot: false } as const;

describe('the check of a machine', () => {
  test('that has everything finds nothing to do', () => {
    const checks = checkMachine(GOOD);
    expect(checks.length).toBeGreaterThan(9);
    expect(checks.filter(({ status, fix }) => status !== 'ok' || fix !== undefined)).toEqual([]);
  });

  test.for<[string, Partial<MachineFacts>, string, Check['status'], RegExp]>([
    ['no launcher to make sandboxes', { sandbox: undefined }, 'sandbox', 'missing', /npm run build:launcher/],
    [
      'no sandboxes',
      { sandbox: { name: 'no-proc', text: 'masked', advice: 'Start it with systempaths=unconfined.', cgroups: 0 } },
      'sandbox',
      'missing',
      /systempaths=unconfined/,
    ],
    ['an old Node', { node: '20.1.0' }, 'node', 'missing', /npm ci/],
    ['no compiler', { compiler: undefined, hasNativeLauncher: false }, 'compiler', 'weak', /apt-get install gcc/],
    ['no native launcher', { hasNativeLauncher: false }, 'launcher', 'missing', /npm run build:launcher/],
    ['no probes', { hasProbes: false }, 'probes', 'weak', /build\.mjs/],
    ['a plain user', plain, 'user', 'weak', /sandbox/],
    [
      'no namespaces by setting',
      { canMakeUserNamespace: false, mostUserNamespaces: 0 },
      'user namespaces',
      'missing',
      /max_user_namespaces=15000/,
    ],
    [
      'Debian’s switch',
      { ...plain, canMakeUserNamespace: false, unprivilegedUserNamespaces: 0 },
      'user namespaces',
      'missing',
      /unprivileged_userns_clone=1/,
    ],
    [
      'Ubuntu’s AppArmor',
      { ...plain, canMakeUserNamespace: false, appArmorRestrictsUserNamespaces: true },
      'user namespaces',
      'missing',
      /apparmor_parser/,
    ],
    ['a container that forbids them', { canMakeUserNamespace: false }, 'user namespaces', 'missing', /seccomp profile/],
    ['no control groups', { controllers: { v1: [], v2: [] } }, 'control groups', 'weak', /memory, pids, cpu/],
    [
      'no memory controller',
      { controllers: { v1: [], v2: ['cpu', 'pids'] } },
      'control groups',
      'weak',
      /Without memory,/,
    ],
    ['groups that root cannot write', { canWriteControlGroups: false }, 'control groups', 'weak', /read-only/],
    [
      'groups that a user cannot write',
      { ...plain, canWriteControlGroups: false },
      'control groups',
      'weak',
      /Delegate=yes/,
    ],
    ['no seccomp', { hasSeccomp: false }, 'seccomp', 'missing', /CONFIG_SECCOMP_FILTER/],
    ['no Landlock', { landlockAbi: 0 }, 'Landlock', 'weak', /5\.13/],
  ])('with %s says so, and what to do', ([, facts, name, status, fix]) => {
    const check = checkMachine({ ...GOOD, ...facts }).find((one) => one.name === name);
    expect(check).toMatchObject({ status, fix: expect.stringMatching(fix) });
  });

  test('takes both versions of the control groups together', () => {
    const controllers = { v1: ['memory', 'pids'], v2: ['cpu'] };
    expect(checkMachine({ ...GOOD, controllers }).find(({ name }) => name === 'control groups')).toMatchObject({
      status: 'ok',
      found: 'v2: cpu; v1: memory pids',
    });
  });

  test.for([
    ['darwin', 'weak', /Linux/],
    ['win32', 'missing', /WSL/],
  ] as const)('on %s speaks of the platform and of Node alone', ([platform, status, fix]) => {
    const checks = checkMachine({ ...GOOD, platform });
    expect(checks.map(({ name }) => name)).toEqual(['platform', 'node']);
    expect(checks[0]).toMatchObject({ status, fix: expect.stringMatching(fix) });
  });
});
