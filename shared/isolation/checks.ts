/** What was found out of a machine; undefined where it could not be. */
export interface MachineFacts {
  readonly platform: string;
  readonly kernel: string;
  readonly node: string;
  readonly isRoot: boolean;
  readonly compiler: string | undefined;
  readonly hasNativeLauncher: boolean;
  readonly hasProbes: boolean;
  /** Whether a user namespace could be made, just now. */
  readonly canMakeUserNamespace: boolean | undefined;
  /** user.max_user_namespaces */
  readonly mostUserNamespaces: number | undefined;
  /** kernel.unprivileged_userns_clone, which Debian's kernels have */
  readonly unprivilegedUserNamespaces: number | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns, which Ubuntu's kernels have */
  readonly appArmorRestrictsUserNamespaces: boolean;
  /** The controllers that can limit a command, by version of the control groups. */
  readonly controllers: { readonly v1: readonly string[]; readonly v2: readonly string[] };
  readonly canWriteControlGroups: boolean;
  readonly hasSeccomp: boolean;
  /** 0: the kernel has none. */
  readonly landlockAbi: number | undefined;
  readonly hasAppArmor: boolean;
  readonly seLinux: 'enforcing' | 'permissive' | undefined;
  /** What came of trying to make a sandbox, just now. `name`: `ok`, or the stable name of what is missing. */
  readonly sandbox:
    | { readonly name: string; readonly text: string; readonly advice: string; readonly cgroups: number }
    | undefined;
}

/**
 * - `ok`: as it should be
 * - `weak`: Errand works, and does better with it
 * - `missing`: some isolation level or all of Errand does not work without it
 */
export type CheckStatus = 'ok' | 'weak' | 'missing';

export interface Check {
  readonly name: string;
  readonly status: CheckStatus;
  readonly found: string;
  /** What to install or set. */
  readonly fix?: string;
}

type Rule = (facts: MachineFacts) => Omit<Check, 'name'>;

const ok = (found: string) => ({ status: 'ok', found }) as const;
const COMPILER_FIX =
  'Install a C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc musl-dev), then run npm ci.';

/** What Errand wants of a machine, each with what to do where it is not there. */
const RULES: Readonly<Record<string, Rule>> = {
  platform: ({ platform, kernel }) => {
    if (platform === 'linux') return ok(`Linux ${kernel}`);
    if (platform === 'win32')
      return { status: 'missing', found: 'Windows', fix: 'Run Errand in WSL, or use a target elsewhere.' };
    return { status: 'weak', found: platform, fix: 'Isolation needs Linux; here commands run without walls.' };
  },
  node: ({ node }) =>
    Number(node.split('.')[0]) >= 24
      ? ok(node)
      : { status: 'missing', found: node, fix: 'Errand needs Node 24; npm ci brings one.' },
  compiler: ({ compiler, hasNativeLauncher }) => {
    if (compiler !== undefined) return ok(compiler);
    return hasNativeLauncher
      ? ok('none, and none is needed any more')
      : { status: 'weak', found: 'none', fix: COMPILER_FIX };
  },
  launcher: ({ hasNativeLauncher }) =>
    hasNativeLauncher
      ? ok('native')
      : {
          status: 'missing',
          found: 'the slower one in Node, which builds no walls',
          fix: 'With a C compiler installed, run npm run build:launcher.',
        },
  probes: ({ hasProbes }) =>
    hasProbes
      ? ok('built')
      : { status: 'weak', found: 'not built', fix: 'With a C compiler installed, run node launcher/probes/build.mjs.' },
  user: ({ isRoot }) =>
    isRoot
      ? ok('root: each command gets a user of its own')
      : {
          status: 'weak',
          found: 'a plain user: at level process, commands share it',
          fix: 'Ask for sandbox, or start the server as root, so that each command gets a user of its own.',
        },
  'user namespaces': (facts) => {
    if (facts.canMakeUserNamespace) return ok('can be made');
    if (facts.mostUserNamespaces === 0)
      return missingNamespaces('user.max_user_namespaces is 0', 'Set it: sysctl -w user.max_user_namespaces=15000.');
    if (facts.unprivilegedUserNamespaces === 0 && !facts.isRoot)
      return missingNamespaces('not for plain users', 'Set it: sysctl -w kernel.unprivileged_userns_clone=1.');
    if (facts.appArmorRestrictsUserNamespaces && !facts.isRoot)
      return missingNamespaces(
        'AppArmor keeps them from plain users',
        'Load the profile in launcher/profiles with apparmor_parser -r.',
      );
    if (facts.canMakeUserNamespace === undefined && facts.mostUserNamespaces !== undefined)
      return ok('not forbidden; not tried, as the probes are not built');
    return missingNamespaces(
      'cannot be made',
      'In a container, allow clone and unshare with CLONE_NEWUSER (its seccomp profile); otherwise use a kernel with CONFIG_USER_NS.',
    );
  },
  'control groups': ({ controllers, canWriteControlGroups, isRoot }) => {
    const { v1, v2 } = controllers;
    const found = [
      ...(v2.length > 0 ? [`v2: ${v2.join(' ')}`] : []),
      ...(v1.length > 0 ? [`v1: ${v1.join(' ')}`] : []),
    ];
    const lacking = ['memory', 'pids', 'cpu'].filter((name) => !v1.includes(name) && !v2.includes(name));
    if (lacking.length > 0)
      return {
        status: 'weak',
        found: found.join('; ') || 'none',
        fix: `Without ${lacking.join(', ')}, limits are watched by sandboxes instead of kept by the kernel, and there are none without walls. Mount the control groups with them.`,
      };
    if (canWriteControlGroups) return ok(found.join('; '));
    return {
      status: 'weak',
      found: `${found.join('; ')}; not writable`,
      fix: isRoot
        ? 'The container’s control groups are read-only: start it with a writable /sys/fs/cgroup.'
        : 'Have them delegated (systemd-run --user --scope -p Delegate=yes), or limits are watched by sandboxes instead of kept by the kernel.',
    };
  },
  seccomp: ({ hasSeccomp }) =>
    hasSeccomp
      ? ok('filters can be loaded')
      : { status: 'missing', found: 'none', fix: 'Use a kernel with CONFIG_SECCOMP_FILTER.' },
  Landlock: ({ landlockAbi }) => {
    if (landlockAbi === undefined)
      return { status: 'weak', found: 'not known', fix: 'Build the probes, which ask the kernel.' };
    if (landlockAbi > 0) return ok(`ABI ${landlockAbi}`);
    return {
      status: 'weak',
      found: 'none',
      fix: 'Linux 5.13 or later with landlock in its lsm= list adds a second wall around files.',
    };
  },
  sandbox: ({ sandbox }) => {
    if (sandbox === undefined)
      return {
        status: 'missing',
        found: 'not without the native launcher',
        fix: 'With a C compiler installed, run npm run build:launcher.',
      };
    const { name, text, advice, cgroups } = sandbox;
    if (name === 'ok') return ok(`can be given, limits ${cgroups > 0 ? 'by control groups' : 'watched'}`);
    return { status: 'missing', found: `${name}: ${text}`, fix: advice || 'This is not foreseen: please report it.' };
  },
  'AppArmor, SELinux': ({ hasAppArmor, seLinux }) => {
    const found = [...(hasAppArmor ? ['AppArmor'] : []), ...(seLinux ? [`SELinux ${seLinux}`] : [])];
    return ok(found.join(', ') || 'neither; neither is needed');
  },
};

const missingNamespaces = (found: string, fix: string) => ({ status: 'missing', found, fix }) as const;

/** On a system other than Linux only the first few say anything. */
const EVERYWHERE: readonly string[] = ['platform', 'node'];

/** What a machine has and lacks for running commands behind walls. */
export const checkMachine = (facts: MachineFacts): Check[] =>
  Object.entries(RULES)
    .filter(([name]) => facts.platform === 'linux' || EVERYWHERE.includes(name))
    .map(([name, rule]) => ({ name, ...rule(facts) }));
