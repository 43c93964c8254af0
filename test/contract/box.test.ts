import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';

/*
 * The walls of launcher/box, tried by programs that want out. Each attempt is made without walls first: one that
 * is held there as well would prove nothing of the walls.
 */
const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const isRoot = process.getuid?.() === 0;
const canCompile = process.platform === 'linux' && spawnSync('gcc', ['--version']).status === 0;
const driver = join(folder, 'box');
const escapes = join(folder, 'shown', 'escapes');

const build = (): { able: boolean; why: string } => {
  if (!canCompile) return { able: false, why: 'no gcc' };
  chmodSync(folder, 0o755);
  execFileSync('make', ['-s', '-C', join(root, 'launcher/box'), `OUT=${driver}`]);
  execFileSync('mkdir', [join(folder, 'shown')]);
  execFileSync('gcc', ['-O1', '-static', '-o', escapes, join(root, 'test/support/programs/escapes.c')]);
  const report = JSON.parse(spawnSync(driver, ['check'], { encoding: 'utf8' }).stdout);
  return { able: report.name === 'ok', why: `${report.name}: ${report.text}` };
};

const machine = build();

/** The user that a plain starter is, and that a root starter never is. */
const asPlainUser = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
const starters = isRoot
  ? [
      { starter: 'root', prefix: [] as string[] },
      { starter: 'a plain user', prefix: asPlainUser },
    ]
  : [{ starter: 'a plain user', prefix: [] as string[] }];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
  report: { exitCode: number; signal: number; lost: number; outOfMemory: number; startError: number };
}

interface Start {
  prefix?: readonly string[];
  options?: readonly string[];
  env?: Record<string, string>;
  stdin?: string | Buffer;
}

const inBox = (
  command: readonly string[],
  { prefix = [], options = [], env, stdin = '' }: Start = {},
): Promise<Ended> =>
  run(
    [...prefix, driver, 'run', '--readable', `${join(folder, 'shown')}:/opt/shown`, ...options, '--', ...command],
    env,
    stdin,
  );

const run = (
  [file = '', ...rest]: readonly string[],
  env: Record<string, string> = {},
  stdin: string | Buffer = '',
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    /* Descriptor 3 is one that a careless starter has open. */
    const child = spawn(file, rest, {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...env },
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('latin1').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('latin1').on('data', (text: string) => (stderr += text));
    child.stdin?.on('error', () => {}).end(stdin);
    child.on('error', reject);
    child.on('close', (code) => {
      const line = stderr.split('\n').find((text) => text.startsWith('{"exitCode"'));
      resolve({ code, stdout, stderr, report: line ? JSON.parse(line) : undefined });
    });
  });

const until = async (fact: () => boolean): Promise<void> => {
  for (const end = Date.now() + 15_000; !fact(); ) {
    if (Date.now() > end) throw new Error('It did not come true in 15 s');
    await new Promise((wake) => setTimeout(wake, 20));
  }
};

/** Processes that run this test's driver: launchers, makers, keepers and inits. */
const driverProcesses = (): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/exe`) === driver;
    } catch {
      return false;
    }
  });

/** Processes whose program or first argument is this. */
const commandsWith = (text: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').slice(0, 2).includes(text);
    } catch {
      return false;
    }
  });

const controlGroups = (): string[] => {
  const found = spawnSync('find', ['/sys/fs/cgroup', '-maxdepth', '6', '-name', 'errand-box.*'], { encoding: 'utf8' });
  return found.stdout.split('\n').filter((path) => path && !existsSync(`/proc/${path.split('.').pop()}`));
};

/** What is tried; whether only root gets through without walls; and limits for the box, where it is a matter of those. */
type Attempt = [title: string, attempt: string[], by?: 'root' | 'anyone' | 'nobody', options?: string[]];

const attempts: Attempt[] = [
  ['write to /usr', ['create', '/usr/errand-escape'], 'root'],
  ['write to /etc', ['create', '/etc/errand-escape'], 'root'],
  ['write beside the root folders', ['create', '/errand-escape'], 'root'],
  ['read /etc/shadow', ['read', '/etc/shadow'], 'root'],
  ["read the starter's folders", ['read', join(folder, 'secret')]],
  ['see processes of the host', ['see-process', 'errand-visible-process']],
  ["read the starter's environment", ['read-environment', 'ERRAND_CANARY=1']],
  ['use an inherited descriptor', ['descriptors']],
  ['have a signal reach the host', ['signal', String(process.pid)], 'root'],
  ['mount', ['mount'], 'root'],
  ['mount by the new calls', ['call', 'fsopen'], 'root'],
  ['clone a mount', ['call', 'open_tree']],
  ['make a user namespace', ['call', 'unshare-user']],
  ['make a user namespace by clone', ['clone', '0x10000000']],
  ['make a user namespace by clone3', ['clone3']],
  ['enter a namespace', ['setns'], 'root'],
  ['be root outside', ['uid-map']],
  ['have capabilities', ['capabilities'], 'root'],
  ['gain privileges by exec', ['privileges']],
  ['make a device', ['mknod'], 'root'],
  ['change the root', ['call', 'chroot'], 'root'],
  ['rename the host', ['sethostname'], 'root'],
  ['write core_pattern', ['write', '/proc/sys/kernel/core_pattern'], 'root'],
  ['read kernel settings of control groups', ['read', '/sys/fs/cgroup'], 'anyone'],
  ['see devices of the host', ['read', '/sys/kernel']],
  ['trace', ['call', 'ptrace']],
  ['read the memory of a process', ['call', 'process_vm_readv']],
  ['compare processes', ['call', 'kcmp']],
  ['use io_uring', ['call', 'io_uring']],
  ['use userfaultfd', ['call', 'userfaultfd']],
  ['use keyrings', ['call', 'keyctl']],
  ['add a key', ['call', 'add_key']],
  ['use bpf', ['call', 'bpf']],
  ['count events', ['call', 'perf']],
  ['name a file by handle', ['call', 'name_to_handle']],
  ["read the kernel's log", ['call', 'syslog'], 'root'],
  ['type into the terminal', ['call', 'tiocsti']],
  ['use console calls', ['call', 'tioclinux']],
  ['reach the hypervisor by vsock', ['call', 'vsock']],
  ['open a packet socket', ['call', 'packet'], 'root'],
  ['open a netlink socket other than route', ['call', 'netlink-audit']],
  ['call as i386', ['i386']],
  ['fork without end', ['fork', '40'], 'anyone', ['--processes', '30']],
  ['fill the disk', ['fill', '20000000'], 'anyone', ['--disk', '10000000']],
  ['make files without end', ['files', '2000'], 'anyone', ['--disk-files', '1000']],
  ['take memory without end', ['memory', '200000000'], 'anyone', ['--memory', '64000000']],
];

describe.skipIf(!machine.able)(`a box (${machine.why})`, () => {
  writeFileSync(join(folder, 'secret'), 'secret', { mode: 0o644 });

  describe.each(starters)('started by $starter', ({ starter, prefix }) => {
    it.each(attempts)('does not let a command %s', async (_, attempt, by = 'anyone', options = []) => {
      const visible = spawn('sleep', ['100'], { argv0: 'errand-visible-process' });
      onTestFinished(() => void visible.kill('SIGKILL'));
      const env = { ERRAND_CANARY: '1' };
      const boxed = await inBox(['/opt/shown/escapes', ...attempt], { prefix, options, env });
      const held = boxed.code === 0 || boxed.code === 137;
      if (by === 'anyone' || starter === 'root') {
        const control =
          attempt[0] === 'uid-map' && starter !== 'root'
            ? 1
            : (await run(['sh', '-c', '"$@"; exit $?', 'sh', escapes, ...attempt], env)).code;
        expect({ attempt, gotThroughWithoutWalls: control === 1, held }).toEqual({
          attempt,
          gotThroughWithoutWalls: true,
          held: true,
        });
      }
      expect({ attempt, held, stderr: held ? '' : boxed.stderr }).toEqual({ attempt, held: true, stderr: '' });
    });

    it('does not let a command reach servers and abstract sockets of the host', async () => {
      const listener = createServer().listen(0, '127.0.0.1');
      const abstract = createServer().listen(`\0errand-${process.pid}`);
      onTestFinished(() => {
        listener.close();
        abstract.close();
      });
      await until(() => listener.listening && abstract.listening);
      const address = listener.address();
      const port = String(typeof address === 'object' ? address?.port : 0);
      const tries = [
        ['connect', port],
        ['connect-abstract', `errand-${process.pid}`],
      ];
      for (const attempt of tries) {
        expect([attempt[0], (await run([escapes, ...attempt])).code]).toEqual([attempt[0], 1]);
        expect([attempt[0], (await inBox(['/opt/shown/escapes', ...attempt], { prefix })).code]).toEqual([
          attempt[0],
          0,
        ]);
      }
    });

    it.skipIf(!isRoot)('runs a set-user-id program as nobody special', async () => {
      const program = join(folder, 'shown', 'set-user-id');
      copyFileSync(escapes, program);
      chownSync(program, 0, 0);
      chmodSync(program, 0o4755);
      expect((await run([...asPlainUser, escapes, 'set-user-id', program])).code).toBe(1);
      expect((await inBox(['/opt/shown/escapes', 'set-user-id', '/opt/shown/set-user-id'], { prefix })).code).toBe(0);
    });

    it('leaves nothing for the next box of its slot: files, shared memory, sockets, ports, daemons', () => {
      const boxes = [
        ...prefix,
        driver,
        'loop',
        '--slots',
        '1',
        '--commands',
        '25',
        '--readable',
        `${join(folder, 'shown')}:/opt/shown`,
      ];
      const [file = '', ...rest] = [...boxes, '--', '/opt/shown/escapes', 'leftovers', 'errand-left'];
      const loop = spawnSync(file, rest, { encoding: 'utf8', cwd: '/' });
      expect(JSON.parse(loop.stdout)).toMatchObject({ commands: 25, wrong: 0 });
      expect(commandsWith('leftovers')).toEqual([]);
    });

    it('tells exactly how a command ended', async () => {
      const cases: [string[], Partial<Ended['report']>][] = [
        [['true'], { exitCode: 0, signal: 0, startError: 0 }],
        [['sh', '-c', 'exit 7'], { exitCode: 7, signal: 0 }],
        [['sh', '-c', 'exit 255'], { exitCode: 255, signal: 0 }],
        ...[15, 9, 11, 13, 2].map((signal): [string[], Partial<Ended['report']>] => [
          ['sh', '-c', `kill -${signal} $$`],
          { exitCode: 0, signal },
        ]),
        [['no-such-program'], { exitCode: 127, startError: 2 }],
        [['/etc/passwd'], { exitCode: 126, startError: 13 }],
        [['sh', '-c', '(sleep 600; :) & exit 3'], { exitCode: 3, signal: 0 }],
      ];
      for (const [command, expected] of cases) {
        expect([command, (await inBox(command, { prefix })).report]).toEqual([
          command,
          expect.objectContaining(expected),
        ]);
      }
    });

    it('hands over arguments, environment, input and output byte for byte', async () => {
      const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      const echoed = await inBox(['cat'], { prefix, stdin: everyByte });
      expect(echoed.stdout).toBe(everyByte.toString('latin1'));
      const long = 'a'.repeat(100_000);
      const many = await inBox(['sh', '-c', 'printf "%s|" "$@"', 'sh', 'a b', '', '"$x"', long, long, '\u00e9'], {
        prefix,
      });
      expect(many.stdout).toBe(Buffer.from(`a b||"$x"|${long}|${long}|\u00e9|`).toString('latin1'));
      const environment = await inBox(['env'], {
        prefix,
        env: { FROM_STARTER: '1' },
        options: ['--env', `A=${'x'.repeat(50)}`],
      });
      expect(environment.stdout.split('\n').sort()).toEqual([
        '',
        `A=${'x'.repeat(50)}`,
        'HOME=/work',
        'PATH=/usr/local/bin:/usr/bin:/bin',
      ]);
    });

    it('ends with all its processes when it is killed', async () => {
      const seconds = `654.${process.pid}`;
      const ended = await inBox(['sh', '-c', `trap "" TERM INT; setsid sleep ${seconds} & sleep ${seconds}`], {
        prefix,
        options: ['--kill-after', '0.3'],
      });
      expect(ended.report).toMatchObject({ exitCode: 0, signal: 9 });
      await until(() => commandsWith(seconds).length === 0);
    });

    it('dies with its launcher, and so do all others', async () => {
      const seconds = `765.${process.pid}`;
      const [file = '', ...rest] = [
        ...prefix,
        driver,
        'loop',
        '--ready',
        '4',
        '--clients',
        '8',
        '--seconds',
        '100',
        '--',
        'sleep',
        seconds,
      ];
      const launcher = spawn(file, rest, { cwd: '/', stdio: 'ignore' });
      onTestFinished(() => void launcher.kill('SIGKILL'));
      await until(() => commandsWith(seconds).length === 8);
      launcher.kill('SIGKILL');
      await until(
        () => commandsWith(seconds).length === 0 && driverProcesses().length === 0 && controlGroups().length === 0,
      );
    });

    it('leaves no process, mount or control group behind after 1,000 of it', async () => {
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
      const [file = '', ...rest] = [
        ...prefix,
        driver,
        'loop',
        '--ready',
        '8',
        '--slots',
        '16',
        '--clients',
        '16',
        '--commands',
        '1000',
        '--',
        '/bin/true',
      ];
      const loop = spawnSync(file, rest, { encoding: 'utf8', cwd: '/' });
      expect(JSON.parse(loop.stdout)).toMatchObject({ commands: 1000, wrong: 0 });
      await until(() => driverProcesses().length === 0 && controlGroups().length === 0);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(mounts);
    });

    it('runs the usual interpreters and tools', async () => {
      const works: [string, string, string][] = [
        [
          'git',
          'git init -q . && git -c user.name=a -c user.email=b@c commit -qm x --allow-empty && git log --format=%s',
          'x\n',
        ],
        ['gcc', 'echo "int main(void){return 0;}" > a.c && gcc a.c -o a && ./a && echo built', 'built\n'],
        [
          'python3',
          `/usr/bin/python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, [-1, 2]))'`,
          '[1, 2]\n',
        ],
        [
          'node',
          `node -e 'require("net").createServer(s=>s.end("hi")).listen(0,"127.0.0.1",function(){require("net").connect(this.address().port,"localhost").on("data",d=>{console.log(""+d);process.exit()})})'`,
          'hi\n',
        ],
        [
          'java',
          `echo 'class A{public static void main(String[] a){System.out.println(1);}}' > A.java && java A.java`,
          '1\n',
        ],
      ];
      for (const [tool, script, output] of works) {
        if (!existsSync(`/usr/bin/${tool}`)) continue;
        expect([tool, await inBox(['sh', '-c', script], { prefix })]).toEqual([
          tool,
          expect.objectContaining({ code: 0, stdout: output }),
        ]);
      }
    });
  });

  it('has its memory limit told as such, and nobody else dies of it', async () => {
    const report = JSON.parse(spawnSync(driver, ['check'], { encoding: 'utf8' }).stdout);
    const { report: ended } = await inBox(['/opt/shown/escapes', 'memory', '200000000'], {
      options: ['--memory', '64000000'],
    });
    if (report.cgroups > 0) expect(ended).toMatchObject({ signal: 9, outOfMemory: 1 });
    else expect(ended).toMatchObject({ exitCode: 0, outOfMemory: 0 });
  });
});

describe.skipIf(!machine.able)('a machine that gives no boxes', () => {
  const refusedAfter = async (preparation: string): Promise<Ended> =>
    run([
      ...(isRoot ? asPlainUser : []),
      'unshare',
      '--user',
      '--map-root-user',
      '--mount',
      'sh',
      '-c',
      `${preparation}; exec "$0" check`,
      driver,
    ]);

  it.each([
    [
      'without user namespaces',
      'echo 0 > /proc/sys/user/max_user_namespaces',
      'no-user-namespaces',
      'user.max_user_namespaces',
    ],
    [
      'without network namespaces',
      'echo 0 > /proc/sys/user/max_net_namespaces',
      'no-network-namespaces',
      'user.max_net_namespaces',
    ],
    ['without mount namespaces', 'echo 0 > /proc/sys/user/max_mnt_namespaces', 'no-namespaces', 'user.max_'],
    ['with a masked /proc', 'mount -t tmpfs none /proc/tty', 'no-proc', 'systempaths=unconfined'],
  ])('%s is refused by name, with what to do', async (_, preparation, name, advice) => {
    const refused = await refusedAfter(preparation);
    expect([refused.code, refused.stdout]).toEqual([3, expect.stringContaining(`"name":"${name}"`)]);
    expect(JSON.parse(refused.stdout).advice).toContain(advice);
  });
});

describe('profiles of the launcher', () => {
  const profiles = join(root, 'launcher/profiles');
  const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
  const parserVersion = has('apparmor_parser')
    ? Number(/version (\d+)/.exec(spawnSync('apparmor_parser', ['--version'], { encoding: 'utf8' }).stdout)?.[1])
    : 0;

  it.skipIf(parserVersion === 0)(
    `for AppArmor is accepted by its parser (version ${parserVersion}; without userns before 4)`,
    () => {
      const text = readFileSync(join(profiles, 'errand-launcher.apparmor'), 'utf8');
      const known = parserVersion >= 4 ? text : text.replace(/^abi .*$/m, '').replace(/^ *userns,$/m, '');
      writeFileSync(join(folder, 'profile'), known);
      const parse = (file: string) => spawnSync('apparmor_parser', ['-Q', '-K', file], { encoding: 'utf8' });
      expect(parse(join(folder, 'profile'))).toMatchObject({ status: 0 });
      writeFileSync(join(folder, 'broken'), known.replace('profile errand-launcher', 'profil errand-launcher'));
      expect(parse(join(folder, 'broken')).status).not.toBe(0);
    },
  );

  it.skipIf(!(has('checkmodule') && has('semodule_package')))('for SELinux is accepted by its compiler', () => {
    const [module, packed] = [join(folder, 'errand_launcher.mod'), join(folder, 'errand_launcher.pp')];
    execFileSync('checkmodule', ['-M', '-m', '-o', module, join(profiles, 'errand_launcher.te')]);
    execFileSync('semodule_package', ['-o', packed, '-m', module, '-f', join(profiles, 'errand_launcher.fc')]);
    expect(existsSync(packed)).toBe(true);
  });
});
