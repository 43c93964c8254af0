import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { ABILITIES, frame, type LaunchEnd, type LaunchSpec } from '../../shared/providers/local/frames.ts';
import { processesWith } from '../support/processes.ts';
import { type RawRun, rawHelper } from '../support/raw-helper.ts';
import {
  abandonedGroups,
  ownLauncher,
  processesNamed,
  processesOf,
  reportOf,
  STARTERS,
  until,
} from '../support/sandboxes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/* Isolation `sandbox` as the native launcher gives it. That its walls hold is for isolation-sandbox.test.ts and box.test.ts. */
const launcher = ownLauncher();
afterAll(() => launcher?.remove());
const file = launcher?.file ?? '';
const report = launcher
  ? reportOf(file)
  : { name: 'not-built', text: 'npm run build:launcher', cgroups: 0, advice: '' };

const sh = (script: string): [string, ...string[]] => ['/bin/sh', '-c', script];

describe.skipIf(report.name !== 'ok')(`isolation sandbox (${report.name}: ${report.text})`, () => {
  describe.each(STARTERS)('started by $starter', ({ user }) => {
    const open = (args: readonly string[] = []) => {
      const helper = rawHelper(file, tempDirectory(), { args, user });
      onTestFinished(async () => {
        helper.closeInput();
        await helper.closed;
      });
      const run = (argv: LaunchSpec['argv'], over: Partial<LaunchSpec> & { keeps?: boolean } = {}): RawRun =>
        helper.run(argv, { isolation: 'sandbox', ...over });
      const see = async (script: string, over: Partial<LaunchSpec> = {}): Promise<string> => {
        const one = run(sh(script), over);
        expect(await one.end).toMatchObject({ kind: 'ended', exitCode: 0 });
        return one.out().toString();
      };
      return { ...helper, run, see };
    };

    test('tells every exit status and every signal as it is', async () => {
      const helper = open();
      const codes = Array.from({ length: 256 }, (_, code) => code);
      const ends = await Promise.all(codes.map((code) => helper.run(sh(`exit ${code}`)).end));
      expect(ends).toMatchObject(codes.map((exitCode) => ({ kind: 'ended', exitCode, signal: null })));
      const deadly = ['SIGHUP', 'SIGINT', 'SIGKILL', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGUSR1', 'SIGSEGV'] as const;
      const killed = await Promise.all(deadly.map((name) => helper.run(sh(`kill -${constants.signals[name]} $$`)).end));
      expect(killed).toMatchObject(deadly.map((signal) => ({ kind: 'ended', exitCode: null, signal })));
    });

    test.for<[string, [string, ...string[]], Partial<LaunchSpec>, number, RegExp]>([
      ['a program that is not there', ['/no/such'], {}, 127, /\/no\/such was not found\. Check/],
      ['one that is not on the PATH', ['nope'], {}, 127, /nope was not found on the PATH \/usr/],
      ['one that may not be executed', ['/etc/passwd'], {}, 126, /may not be executed/],
      ['a folder that is not there', sh('true'), { cwd: '/no/such' }, 126, /folder \/no\/such .* does not exist/],
      ['a folder that is a file', sh('true'), { cwd: '/etc/passwd' }, 126, /folder \/etc\/passwd cannot/],
      [
        'a folder of this machine that it does not show',
        sh('true'),
        { cwd: import.meta.dirname },
        126,
        /does not exist/,
      ],
      [
        'too many arguments',
        ['/bin/true', ...Array.from({ length: 40 }, () => 'x'.repeat(120_000))],
        {},
        126,
        /too large/,
      ],
    ])('%s ends with its exit code and words for a person', async ([, argv, over, exitCode, words]) => {
      expect(await open().run(argv, over).end).toMatchObject({
        kind: 'ended',
        ...{ exitCode, signal: null, detail: expect.stringMatching(words) },
      });
    });

    test('a script whose first line names no program, and one without such a line, end as a shell has it', async () => {
      const helper = open();
      const [folder, at] = ['/work', '/work/script'];
      const make = `printf '#!/no/such\\n' >${at}; chmod +x ${at}; exec ${at}`;
      expect(await helper.run(sh(make)).end).toMatchObject({ exitCode: 127 });
      expect(await helper.see(`echo 'echo "$0" "$@"' >s; chmod +x s; env -i /bin/sh -c './s a b'`)).toBe('./s a b\n');
      expect(await helper.see('pwd; echo $HOME; ls -A | wc -l; stat -c %a .', { env: { HOME: folder } })).toBe(
        '/work\n/work\n0\n755\n',
      );
    });

    test('gives a command the usual signals and no descriptor but its three', async () => {
      const helper = open();
      expect(await helper.see("grep -E '^Sig(Blk|Ign)' /proc/self/status")).toBe(
        `SigBlk:\t${'0'.repeat(16)}\nSigIgn:\t${'0'.repeat(16)}\n`,
      );
      expect(await helper.see('echo /proc/self/fd/*')).toMatch(/^(\/proc\/self\/fd\/[0-3] ?)+\n$/);
      expect(await helper.see('echo seen >/dev/stdout')).toBe('seen\n');
    });

    test('input that came while all sandboxes were taken is not lost', async () => {
      const helper = open(['--idle-ms=60000']);
      const bytes = Buffer.alloc(300_000, 'some input\n');
      const runs = Array.from({ length: 40 }, () => {
        const run = helper.run(['sha256sum'], { stdin: true });
        helper.send(frame('stdin', run.id, bytes));
        helper.send(frame('stdinEnd', run.id));
        return run;
      });
      await Promise.all(runs.map(({ end }) => end));
      expect(new Set(runs.map((run) => run.out().toString())).size).toBe(1);
    });

    test('a stop is TERM to all of it, grace also for what outlives the command, then KILL', async () => {
      const helper = open();
      const polite = helper.run(
        sh("(trap 'sleep 0.05; echo late; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait"),
      );
      await until(() => polite.out().includes('ready'));
      helper.send(frame('stop', polite.id));
      expect(await polite.end).toMatchObject({ signal: 'SIGTERM' });
      expect(polite.out().toString()).toBe('ready\nlate\n');
      const stubborn = helper.run(
        sh("trap '' TERM; setsid sh -c \"trap '' TERM; sleep 1000\" & echo ready; sleep 1000; sleep 1000"),
      );
      await until(() => stubborn.out().includes('ready'));
      helper.send(frame('stop', stubborn.id));
      expect(await stubborn.end).toMatchObject({ signal: 'SIGKILL' });
      expect(processesWith(stubborn.key)).toEqual([]);
    });

    test('a stop of one that waits for a sandbox executes nothing', async () => {
      const helper = open();
      const waiting = helper.run(sh('echo ran'));
      helper.send(frame('stop', waiting.id));
      expect(['dropped', 'ended']).toContain((await waiting.end).kind);
      const many = Array.from({ length: 600 }, () => helper.run(sh('sleep 1000')));
      await many[0]?.started;
      for (const { id } of many) helper.send(frame('stop', id));
      const kinds = (await Promise.all(many.map(({ end }) => end))).map((end) => end.kind);
      expect(new Set(kinds)).toEqual(new Set(['dropped', 'ended']));
      expect(await helper.see('echo well')).toBe('well\n');
    });

    test('600 at once, more than there can be sandboxes, all have their turn', { timeout: 60_000 }, async () => {
      const helper = open();
      const runs = Array.from({ length: 600 }, (_, n) => helper.run(sh(`echo ${n}; exit $((${n} % 7))`)));
      const ends = await Promise.all(runs.map(({ end }) => end));
      expect(ends).toMatchObject(runs.map((_, n) => ({ kind: 'ended', exitCode: n % 7 })));
      expect(runs.map((run) => run.out().toString())).toEqual(runs.map((_, n) => `${n}\n`));
    });

    test('2,000 commands leave no descriptor, memory, process, mount or control group behind', {
      timeout: 120_000,
    }, async () => {
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
      const helper = open();
      const batch = async (count: number) => {
        let left = count;
        const worker = async () => {
          while (left-- > 0) expect(await helper.run(['/bin/true']).end).toMatchObject({ exitCode: 0 });
        };
        await Promise.all(Array.from({ length: 16 }, worker));
      };
      await batch(500);
      const before = {
        descriptors: helper.descriptors(),
        residentKiB: helper.residentKiB(),
        all: processesOf(file).length,
      };
      await batch(2_000);
      // A busier moment may have begun a few sandboxes more, which stay until nobody needs them.
      const more = Math.max(0, processesOf(file).length - before.all);
      expect(helper.descriptors()).toBeLessThanOrEqual(before.descriptors + more * 6);
      expect(helper.residentKiB()).toBeLessThan(before.residentKiB + 256);
      helper.closeInput();
      expect(await helper.closed).toEqual({ exitCode: 0, signal: null });
      expect([processesOf(file), abandonedGroups()]).toEqual([[], []]);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(mounts);
    });

    test('a launcher that is killed leaves nothing', async () => {
      const helper = open();
      const runs = Array.from({ length: 5 }, () =>
        helper.run(sh("trap '' TERM HUP; setsid sleep 1000 & sleep 1000 & wait")),
      );
      await Promise.all(runs.map(({ started }) => started));
      helper.kill();
      await helper.closed;
      await until(() => processesOf(file).length === 0 && runs.every(({ key }) => processesWith(key).length === 0));
      await until(() => abandonedGroups().length === 0);
    });

    test('when the maker of sandboxes is killed its commands are told as killed, and the next has a new one', async () => {
      const helper = open();
      const runs = Array.from({ length: 3 }, () => helper.run(sh('echo begun; sleep 1000')));
      await until(() => runs.every((run) => run.out().includes('begun')));
      for (const pid of processesNamed(file, 'errand-maker')) process.kill(pid, 'SIGKILL');
      for (const { end, key } of runs) {
        expect(await end).toMatchObject({
          kind: 'ended',
          signal: 'SIGKILL',
          detail: expect.stringMatching(/killed from outside/),
        });
        expect(processesWith(key)).toEqual([]);
      }
      expect(await helper.see('echo well')).toBe('well\n');
    });

    test('a keeper that is killed costs its own command only', async () => {
      const helper = open();
      const other = helper.run(sh('echo begun; read line; echo done'), { stdin: true });
      await until(() => other.out().includes('begun'));
      const before = processesNamed(file, 'errand-keeper');
      const victim = helper.run(sh('echo begun; sleep 1000'));
      await until(() => victim.out().includes('begun'));
      const [leader = 0] = processesWith(victim.key).filter((pid) => !processesWith(other.key).includes(pid));
      process.kill(keeperOf(leader), 'SIGKILL');
      expect(await victim.end).toMatchObject({ kind: 'ended', signal: 'SIGKILL' });
      helper.send(frame('stdinEnd', other.id));
      expect(await other.end).toMatchObject({ kind: 'ended', exitCode: 0 });
      expect(await helper.see('echo well')).toBe('well\n');
      expect(before.length).toBeGreaterThan(0);
    });

    test('sandboxes that nobody needs are let go, and made again for the next', async () => {
      const helper = open(['--idle-ms=50']);
      await helper.see('true');
      await until(() => processesOf(file).length === 1);
      expect(await helper.see('echo again')).toBe('again\n');
    });

    test.for<[string, string, Partial<LaunchEnd & { kind: 'ended' }>]>([
      ['processes', 'for n in $(seq 400); do sleep 100 & done 2>&1', { signal: null }],
      ['memory', 'head -c 1400000000 /dev/zero | tail -c 1400000000 >/dev/null', {}],
      ['open files', 'ulimit -n 5000', { signal: null }],
      ['its disk', 'head -c 300000000 /dev/zero >file', { exitCode: 1 }],
    ])('without any limit asked for, %s are bounded', async ([, script, ending]) => {
      const helper = open();
      const end = await helper.run(sh(script)).end;
      expect(end).toMatchObject({ kind: 'ended', ...ending });
      const { exitCode, signal, outOfMemory } = end as LaunchEnd & { kind: 'ended' };
      expect([exitCode === 0, signal === 'SIGKILL' && !outOfMemory]).toEqual([false, false]);
      expect(await helper.see('echo well')).toBe('well\n');
    });

    test.for<[string, string]>([
      ['one process', 'x = bytearray(300 << 20); time.sleep(5)'],
      ['four processes together', '[os.fork() for _ in range(2)]; x = bytearray(75 << 20); time.sleep(5)'],
      ['memory that is shared', "m = mmap.mmap(-1, 300 << 20); m.write(b'x' * (300 << 20)); time.sleep(5)"],
      ['files', "open('f', 'wb').write(bytes(150 << 20)); open('/tmp/f', 'wb').write(bytes(150 << 20)); time.sleep(5)"],
      [
        'a process that may not be looked into',
        'ctypes.CDLL(None).prctl(4, 0); x = bytearray(300 << 20); time.sleep(5)',
      ],
    ])('memory that was asked for is all there is: %s', async ([, script]) => {
      const program = `import ctypes, mmap, os, time\n${script}`;
      const { end } = open().run(['/usr/bin/python3', '-c', program], { memoryMiB: 200 });
      // One of several may have been enough; whoever waits for it goes on, and says so.
      expect(await end).toMatchObject({ kind: 'ended', outOfMemory: true });
    });

    test('what several processes share counts once', async () => {
      const program = 'import os, time\nx = bytearray(100 << 20)\n[os.fork() for _ in range(2)]\ntime.sleep(0.3)';
      const { end } = open().run(['/usr/bin/python3', '-c', program], { memoryMiB: 200 });
      expect(await end).toMatchObject({ kind: 'ended', exitCode: 0 });
    });

    test('half a processor is half a processor, for all of its processes together', async () => {
      const script = 'for n in 1 2 3; do timeout 1.2 sh -c "while :; do :; done" & done; wait; times';
      const end = await open().run(sh(script), { cpu: 0.5 }).end;
      const { usage } = end as LaunchEnd & { kind: 'ended' };
      // 1.2 s of three processes.
      expect(usage?.cpuMs).toBeLessThan(1_200 * 0.5 * 1.4);
      expect(usage?.cpuMs).toBeGreaterThan(1_200 * 0.5 * 0.4);
    });

    test('of the network there is a loopback of its own, and all only when an operator gives it', async () => {
      const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1');
      onTestFinished(() => void server.close());
      await until(() => server.listening);
      const port = (server.address() as { port: number }).port;
      const program = `import socket\ntry: print(socket.create_connection(('127.0.0.1', ${port}), 5).recv(9))\nexcept OSError as e: print(e.errno)`;
      const reach = async (args: readonly string[]) => {
        const run = open(args).run(['/usr/bin/python3', '-c', program]);
        await run.end;
        return run.out().toString();
      };
      expect(await reach([])).toBe('111\n');
      expect(await reach(['--network=host'])).toBe("b'hello'\n");
    });

    test('of this machine’s folders it shows those that an operator names, read-only', async () => {
      const shown = join(dirname(file), `shown-${user ?? 'us'}`);
      mkdirSync(shown);
      writeFileSync(join(shown, 'file'), 'words\n');
      const helper = open([`--readable=${shown}:/opt/shown`]);
      expect(await helper.see('cat /opt/shown/file; echo x >/opt/shown/file || echo no')).toBe('words\nno\n');
      expect(await open().see('ls /opt 2>&1 || true')).not.toContain('shown');
    });

    test('sizes are those that an operator gives', async () => {
      const helper = open(['--disk-mib=10', '--disk-files=100', '--processes=7', '--open-files=20']);
      expect(
        await helper.see(
          'df -Pk /work /tmp | awk "NR>1{print \\$2}"; df -Pi /work | awk "NR>1{print \\$2}"; ulimit -n',
        ),
      ).toBe('10240\n10240\n100\n20\n');
    });

    test('says at its start whether it can be given, when asked', async () => {
      const { abilities, noSandbox } = await open(['--try-sandbox']).ready;
      expect([abilities & ABILITIES.sandbox, noSandbox]).toEqual([ABILITIES.sandbox, '']);
      expect((await open().ready).abilities & ABILITIES.sandbox).toBe(0);
    });
  });

  test('holds the one command’s processes out of the other’s sight while both run', async () => {
    const helper = rawHelper(file, tempDirectory());
    onTestFinished(() => void helper.closeInput());
    const mark = `1234.${process.pid}`;
    const one = helper.run(['/bin/sleep', mark], { isolation: 'sandbox' });
    await until(() => processesWith(mark).length > 0);
    const two = helper.run(sh('cat /proc/[0-9]*/cmdline | tr "\\0" " "'), { isolation: 'sandbox' });
    await two.end;
    expect(two.out().toString()).toContain('cat /proc');
    expect(two.out().toString()).not.toContain(mark);
    helper.send(frame('stop', one.id));
    await one.end;
  });
});

const keeperOf = (pid: number): number => {
  let at = pid;
  for (
    let parent = parentOf(at);
    readFileSync(`/proc/${at}/comm`, 'utf8').trim() !== 'errand-keeper';
    parent = parentOf(at)
  )
    at = parent;
  return at;
};
const parentOf = (pid: number): number =>
  Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

describe.skipIf(launcher === undefined)('arguments of the launcher', () => {
  test.for([
    ['--unknown=1'],
    ['--network=some'],
    ['--readable=/opt'],
    ['--disk-mib=0'],
    ['--disk-mib=-1'],
    ['--processes=x'],
    ['nonsense'],
  ])('%s is refused', async ([argument]) => {
    const child = spawn(file, [argument as string], { stdio: ['pipe', 'ignore', 'ignore'] });
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(2);
  });
});
