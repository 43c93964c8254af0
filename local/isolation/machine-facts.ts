import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import type { MachineFacts } from '../../shared/isolation/checks.ts';
import { readIfThere } from './host.ts';
import { LAUNCHER_PROGRAM, PROBES_PROGRAM } from './programs.ts';

/** What this machine has of what isolation is made of. */
export const readMachineFacts = (env: NodeJS.ProcessEnv): MachineFacts => {
  const hasProbes = existsSync(PROBES_PROGRAM);
  const controllers = { v1: controllersOf1(), v2: controllersOf2() };
  const restricts = numberIn('/proc/sys/kernel/apparmor_restrict_unprivileged_userns');
  const enforces = readIfThere('/sys/fs/selinux/enforce').trim();
  return {
    platform: process.platform,
    kernel: release(),
    node: process.versions.node,
    isRoot: process.getuid?.() === 0,
    compiler: findCompiler(env),
    hasNativeLauncher: existsSync(LAUNCHER_PROGRAM),
    hasProbes,
    canMakeUserNamespace: hasProbes ? spawnSync(PROBES_PROGRAM, ['run', 'user-namespace']).status === 0 : undefined,
    mostUserNamespaces: numberIn('/proc/sys/user/max_user_namespaces'),
    unprivilegedUserNamespaces: numberIn('/proc/sys/kernel/unprivileged_userns_clone'),
    appArmorRestrictsUserNamespaces: restricts === 1,
    controllers,
    canWriteControlGroups: groupFolders(controllers.v1).some(isWritable),
    hasSeccomp:
      readIfThere('/proc/sys/kernel/seccomp/actions_avail') !== '' ||
      /^Seccomp:/m.test(readIfThere('/proc/self/status')),
    landlockAbi: hasProbes ? landlockAbi() : undefined,
    hasAppArmor: readIfThere('/sys/module/apparmor/parameters/enabled').startsWith('Y'),
    seLinux: enforces === '' ? undefined : enforces === '1' ? 'enforcing' : 'permissive',
    sandbox: trySandbox(),
  };
};

const findCompiler = (env: NodeJS.ProcessEnv): string | undefined =>
  ['cc', 'gcc', 'clang']
    .flatMap((name) => (env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name)))
    .find((path) => isAccessible(path, constants.X_OK));

const isAccessible = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};

const isWritable = (path: string): boolean => isAccessible(path, constants.W_OK);

const numberIn = (path: string): number | undefined => {
  const text = readIfThere(path).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
};

const USEFUL = ['memory', 'pids', 'cpu'] as const;
const GROUPS = '/sys/fs/cgroup';

/** Of version 1, each has a folder of its own. */
const controllersOf1 = (): string[] => {
  try {
    const folders = readdirSync(GROUPS).flatMap((name) => name.split(','));
    return USEFUL.filter((name) => folders.includes(name));
  } catch {
    return [];
  }
};

const controllersOf2 = (): string[] => {
  const there = [`${GROUPS}/cgroup.controllers`, `${GROUPS}/unified/cgroup.controllers`].flatMap((path) =>
    readIfThere(path).trim().split(' '),
  );
  return USEFUL.filter((name) => there.includes(name));
};

/** Where groups for commands would be made: our own, or those of version 1. */
const groupFolders = (v1: readonly string[]): string[] => {
  const [, own = ''] = /^0::(\/.*)$/m.exec(readIfThere('/proc/self/cgroup')) ?? [];
  return [join(GROUPS, own, 'cgroup.subtree_control'), ...v1.map((name) => join(GROUPS, name))];
};

/** The native launcher tries one in earnest, and says what came of it; undefined where that was not built. */
const trySandbox = (): MachineFacts['sandbox'] => {
  if (!existsSync(LAUNCHER_PROGRAM)) return undefined;
  const { stdout } = spawnSync(LAUNCHER_PROGRAM, ['report'], { encoding: 'utf8', env: {} });
  try {
    return JSON.parse(stdout) as NonNullable<MachineFacts['sandbox']>;
  } catch {
    return {
      name: 'broken',
      text: 'the launcher does not work here',
      advice: 'Run npm run build:launcher.',
      cgroups: 0,
    };
  }
};

const landlockAbi = (): number => {
  const { landlockAbi: abi } = JSON.parse(execFileSync(PROBES_PROGRAM, ['facts'], { encoding: 'utf8' })) as {
    landlockAbi: number;
  };
  return abi;
};
