import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { frame, type LaunchSpec, numberFrame } from '../../shared/providers/local/frames.ts';
import { nativeProgram } from '../../shared/providers/local/helper-programs.ts';
import { openLauncher } from '../../shared/providers/local/launcher.ts';
import { providers } from '../../shared/providers/registry.ts';
import { type Log, silentLog } from '../../shared/telemetry/log.ts';
import { processesWith } from '../support/processes.ts';
import { rawHelper } from '../support/raw-helper.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { reportOf } from '../support/sandboxes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const built = nativeProgram()?.file;
const hasCompiler = spawnSync('gcc', ['--version']).status === 0;
const isRoot = process.getuid?.() === 0;
const BUILD = join(import.meta.dirname, '../../launcher/build.mjs');

/** The same program with the compiler's own checks in it; undefined where they cannot be built. */
const sanitized = (): string | undefined => {
  if (!hasCompiler) return undefined;
  const output = tempDirectory();
  const made = spawnSync(process.execPath, [BUILD, '--sanitize', '--strict', `--output=${output}`], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(made.stdout);
  return join(output, 'errand-launcher');
};

const open = (file = built as string) => {
  const directory = tempDirectory();
  const helper = rawHelper(file, directory);
  onTestFinished(async () => {
    helper.closeInput();
    await helper.closed;
  });
  return { ...helper, directory };
};

const sh = (script: string): [string, ...string[]] => ['/bin/sh', '-c', script];

const inTurn = async (count: number, atOnce: number, task: (n: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

describe.skipIf(!built)('the native launcher (npm run build:launcher)', () => {
  test('tells every exit status as it is', async () => {
    const helper = open();
    const codes = Array.from({ length: 256 }, (_, code) => code);
    const ends = await Promise.all(codes.map((code) => helper.run(sh(`exit ${code}`)).end));
    expect(ends).toMatchObject(codes.map((exitCode) => ({ kind: 'ended', exitCode, signal: null })));
  });

  test('tells every signal that ends a command by its name', async () => {
    const helper = open();
    const harmless = ['SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGWINCH'];
    const same: Record<string, string> = { SIGIOT: 'SIGABRT', SIGPOLL: 'SIGIO', SIGUNUSED: 'SIGSYS' };
    const deadly = Object.entries(constants.signals).filter(([name]) => !harmless.includes(name));
    const ends = await Promise.all(deadly.map(([, number]) => helper.run(sh(`kill -${number} $$`)).end));
    expect(ends).toMatchObject(deadly.map(([name]) => ({ kind: 'ended', exitCode: null, signal: same[name] ?? name })));
    expect(deadly.length).toBeGreaterThan(20);
  });

  test('gives a command the usual signals, none blocked and none ignored, whatever the server has', async () => {
    const io = open().run(['/bin/grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']);
    await io.end;
    expect(io.out().toString()).toBe(`SigBlk:\t${'0'.repeat(16)}\nSigIgn:\t${'0'.repeat(16)}\n`);
  });

  test('counts processor time and memory, also of what a command waited for', async () => {
    const end = await open().run(sh('head -c 30000000 /dev/zero | tail -c 30000000 >/dev/null')).end;
    expect(end).toMatchObject({ kind: 'ended', exitCode: 0, usage: { cpuMs: expect.any(Number) } });
    const { cpuMs, peakMemoryMiB } = (end as { usage: { cpuMs: number; peakMemoryMiB: number } }).usage;
    expect(cpuMs).toBeGreaterThan(1);
    expect(peakMemoryMiB).toBeGreaterThan(25);
    expect(peakMemoryMiB).toBeLessThan(60);
  });

  test('10,000 commands leave no descriptor, no memory, no folder and no zombie behind', {
    timeout: 120_000,
  }, async () => {
    const helper = open();
    const batch = (count: number) => inTurn(count, 32, async () => void (await helper.run(['/bin/true']).end));
    await batch(1_000);
    const before = { descriptors: helper.descriptors(), residentKiB: helper.residentKiB() };
    await batch(10_000);
    expect(helper.descriptors()).toBe(before.descriptors);
    expect(helper.residentKiB()).toBeLessThan(before.residentKiB + 256);
    expect(readFileSync(`/proc/${helper.pid}/task/${helper.pid}/children`, 'latin1')).toBe('');
    expect(readdirSync(helper.directory).filter((name) => !name.startsWith('.spare-'))).toEqual([]);
    helper.closeInput();
    expect(await helper.closed).toEqual({ exitCode: 0, signal: null });
    expect(readdirSync(helper.directory)).toEqual([]);
  });

  test('a folder that is used again is as good as new', async () => {
    const helper = open();
    const see = async (script: string) => {
      const run = helper.run(sh(script));
      await run.end;
      return run.out().toString();
    };
    for (const trace of ['chmod 755 .', 'touch .hidden', 'mkdir -p a/b/c', 'ln -s / link', 'mkfifo pipe', 'true']) {
      expect(await see(`stat -c %a:%h .; ls -A; ${trace}`)).toBe('700:2\n');
    }
  });

  test('removes the spare folders of another that is killed, also when it has looked for them before', async () => {
    const directory = tempDirectory();
    const [killed, other] = [rawHelper(built as string, directory), rawHelper(built as string, directory)];
    onTestFinished(async () => {
      other.closeInput();
      await other.closed;
    });
    await killed.run(sh(':')).end;
    await other.run(sh(':')).end;
    const ofKilled = () => readdirSync(directory).filter((name) => name.startsWith(`.spare-${killed.pid}-`));
    expect(ofKilled()).toHaveLength(1);
    killed.kill();
    await killed.closed;
    await expect.poll(() => other.run(sh(':')).end.then(ofKilled), { timeout: 10_000, interval: 100 }).toEqual([]);
  });

  test('removes folders a thousand levels deep, and a link to elsewhere only as a link', async () => {
    const helper = open();
    const kept = tempDirectory();
    execFileSync('/bin/sh', ['-c', 'echo x > "$1/file"', 'sh', kept]);
    const script = `ln -s ${kept} link; python3 -c "import os\nfor n in range(3000):\n os.mkdir('d'); os.chdir('d')"; :`;
    const { key, end } = helper.run(sh(script));
    await end;
    expect(existsSync(join(helper.directory, key))).toBe(false);
    expect(readdirSync(kept)).toEqual(['file']);
  });

  test('100 MB of input reach a slow reader, and those who never read hold up nobody', {
    timeout: 60_000,
  }, async () => {
    const io = recordedIo({
      stdin: (async function* () {
        const piece = Buffer.alloc(1_000_000, 'x');
        for (let n = 0; n < 100; n++) yield piece;
      })(),
    });
    const endless = recordedIo({
      stdin: (async function* () {
        for (;;) yield Buffer.alloc(100_000);
      })(),
    });
    const provider = await providers.local({
      workDirectory: tempDirectory(),
      isOwnerAlive: async () => true,
      graceSeconds: 0.2,
      launcher: 'native',
      helpers: 1,
    });
    onTestFinished(() => provider.close());
    const never = provider.start(aRun(sh('sleep 1000')), endless);
    const slow = aRun(sh('i=0; while [ $i -lt 20 ]; do head -c 1000000 | wc -c; sleep 0.01; i=$((i+1)); done; wc -c'));
    expect(await provider.start(slow, io)).toMatchObject({ exit: { exitCode: 0 } });
    const counts = io.text('stdout').trim().split('\n').map(Number);
    expect(counts.reduce((a, b) => a + b)).toBe(100_000_000);
    endless.stopNow();
    expect(await never).toMatchObject({ exit: { signal: 'SIGTERM' } });
  });

  test('1 GB of output comes through in flat memory', { timeout: 120_000 }, async () => {
    const helper = open();
    const run = helper.run(sh('head -c 1000000000 /dev/zero'), { keeps: false });
    let most = 0;
    const look = setInterval(() => {
      most = Math.max(most, helper.residentKiB());
    }, 20);
    expect(await run.end).toMatchObject({ exitCode: 0 });
    clearInterval(look);
    expect(run.length()).toBe(1_000_000_000);
    expect(most).toBeLessThan(8 * 1024);
  });

  test('more than the window is not sent before it was taken', async () => {
    const helper = open();
    const run = helper.run(sh('head -c 5000000 /dev/zero'), { takes: false });
    await run.started;
    // Another goes by meanwhile, so that this one had its time.
    for (let n = 0; n < 30; n++) await helper.run(sh('head -c 500000 /dev/zero')).end;
    expect(run.length()).toBeGreaterThanOrEqual(1024 * 1024);
    expect(run.length()).toBeLessThan(1024 * 1024 + 64 * 1024);
    for (let credit = 0; credit < 5_000_000; credit += 500_000) helper.send(numberFrame('credit', run.id, 500_000));
    expect(await run.end).toMatchObject({ exitCode: 0 });
    expect(run.length()).toBe(5_000_000);
  });

  // Three traces tie a process to its run: what it carries, its session, its parent. This one sheds them all.
  const daemon = `python3 -c "
import os
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.execve('/bin/sleep', ['sleep', '1357.$SHED'], {})"`;

  test('kills what left its session, its parent and its environment', async () => {
    const helper = open();
    const shed = `${process.pid}1`;
    const run = helper.run(sh(`SHED=${shed}; ${daemon}; sleep 0.1`));
    expect(await run.end).toMatchObject({ kind: 'ended', exitCode: 0 });
    expect(processesWith(`1357.${shed}`)).toEqual([]);
  });

  test('kills such a one at the latest when the last that ran beside it is over', async () => {
    const helper = open();
    const shed = `${process.pid}2`;
    const other = helper.run(sh('read line'), { stdin: true });
    await other.started;
    await helper.run(sh(`SHED=${shed}; ${daemon}; sleep 0.1`)).end;
    helper.send(frame('stdinEnd', other.id));
    await other.end;
    expect(processesWith(`1357.${shed}`)).toEqual([]);
  });

  test('when its input ends, all that it started is gone, and the folders too', async () => {
    const helper = open();
    const runs = Array.from({ length: 5 }, () =>
      helper.run(sh("trap '' TERM HUP; setsid sleep 1000 & sleep 1000 & echo > file; wait")),
    );
    await Promise.all(runs.map(({ started }) => started));
    helper.closeInput();
    expect(await helper.closed).toEqual({ exitCode: 0, signal: null });
    expect(runs.flatMap(({ key }) => processesWith(key))).toEqual([]);
    expect(readdirSync(helper.directory)).toEqual([]);
  });

  test.for(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE', 'SIGUSR1'] as const)('goes on at %s', async (signal) => {
    const helper = open();
    await helper.run(['/bin/true']).end;
    process.kill(helper.pid, signal);
    expect(await helper.run(sh('exit 7')).end).toMatchObject({ exitCode: 7 });
  });

  test.for<[string, Uint8Array]>([
    ['that is shorter than its header', Buffer.of(0, 0, 0, 4, 1, 0, 0, 0, 1)],
    ['that is larger than any', Buffer.of(0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1)],
    ['of a kind that there is not', Buffer.of(0, 0, 0, 5, 99, 0, 0, 0, 1)],
    ['that only a helper sends', Buffer.of(0, 0, 0, 5, 21, 0, 0, 0, 1)],
    ['with a credit that is no number', Buffer.of(0, 0, 0, 7, 5, 0, 0, 0, 1, 0, 1)],
    ['with a spec that is none', Buffer.of(0, 0, 0, 9, 1, 0, 0, 0, 1, 1, 2, 3, 4)],
  ])('at a frame %s it leaves, and what ran is gone', async ([, bytes]) => {
    const helper = open();
    const run = helper.run(sh('sleep 1000'));
    await run.started;
    helper.write(bytes);
    expect(await helper.closed).toEqual({ exitCode: 2, signal: null });
    expect(processesWith(run.key)).toEqual([]);
    expect(readdirSync(helper.directory)).toEqual([]);
  });

  test.skipIf(!isRoot)(
    'isolation `process` gives each command a user of its own, without rights (as root only)',
    async () => {
      const provider = await providers.local({
        workDirectory: tempDirectory(),
        isOwnerAlive: async () => true,
        launcher: 'native',
      });
      onTestFinished(() => provider.close());
      const see = async () => {
        const io = recordedIo();
        const script =
          'id -u; cd "$HOME" && echo x > file && stat -c %a:%u .; grep -E "^(CapEff|NoNewPrivs)" /proc/self/status; cat /etc/shadow; echo seen >/dev/stderr';
        const outcome = await provider.start(aRun(sh(script), { isolation: 'process' }), io);
        expect(outcome).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
        expect(io.text('stderr')).toMatch(/Permission denied\nseen/);
        return io.text('stdout').split('\n');
      };
      const [one, two] = [await see(), await see()];
      expect(Number(one[0])).toBeGreaterThan(65_535);
      expect(two[0]).not.toBe(one[0]);
      expect(one.slice(1)).toEqual([`700:${one[0]}`, 'CapEff:\t0000000000000000', 'NoNewPrivs:\t1', '']);
    },
  );

  test.skipIf(!isRoot)('a command that wants more memory than it may have ends for that reason', async (context) => {
    const provider = await providers.local({
      workDirectory: tempDirectory(),
      isOwnerAlive: async () => true,
      launcher: 'native',
    });
    onTestFinished(() => provider.close());
    context.skip(!provider.features.resourceLimits, 'no control groups can be made here');
    const run = aRun(['python3', '-c', 'x = bytearray(300 * 1024 * 1024)'], { memoryMiB: 64, isolation: 'process' });
    expect(await provider.start(run, recordedIo())).toMatchObject({ exit: { signal: 'SIGKILL', outOfMemory: true } });
    const small = aRun(['python3', '-c', 'x = bytearray(8 * 1024 * 1024)'], { memoryMiB: 64, isolation: 'process' });
    expect(await provider.start(small, recordedIo())).toMatchObject({ exit: { exitCode: 0 } });
  });
});

describe.skipIf(!built || !hasCompiler)('the native launcher, built with the sanitizers of gcc', () => {
  test('finds no fault of its own in anything that it is told', { timeout: 120_000 }, async () => {
    const file = sanitized() as string;
    const isolation = reportOf(file).name === 'ok' ? 'sandbox' : 'process';
    const helper = open(file);
    await inTurn(600, 30, async (n) => {
      const run = helper.run(
        n % 5 === 0
          ? ['/no/such/program']
          : sh(`head -c ${n * 999} /dev/zero; setsid sleep 1000 & mkdir x; exit ${n % 7}`),
        { stdin: n % 3 === 0, isolation: n % 2 === 0 ? 'none' : isolation },
      );
      if (n % 3 === 0) helper.send(frame('stdin', run.id, Buffer.alloc(n * 100)));
      if (n % 4 === 1) helper.send(frame('stop', run.id));
      if (n % 6 === 0) helper.send(frame('signal', run.id, Buffer.from('SIGUSR1')));
      helper.send(frame('stdinEnd', run.id));
      // One that is stopped while it waits for a sandbox is not executed.
      expect((await run.end).kind).toMatch(n % 4 === 1 ? /^(ended|dropped)$/ : /^ended$/);
    });
    helper.closeInput();
    expect([await helper.closed, helper.errors()]).toEqual([{ exitCode: 0, signal: null }, '']);
  });

  test('nor in bytes that mean nothing', { timeout: 120_000 }, async () => {
    const file = sanitized() as string;
    await inTurn(60, 4, async (n) => {
      const helper = rawHelper(file, tempDirectory());
      const run = helper.run(['/bin/true']);
      await run.end;
      // Whole frames of every kind with random payloads, and then bytes without any order.
      for (let kind = 1; kind <= 7; kind++) {
        const payload = randomBytes(n);
        const header = Buffer.alloc(9);
        header.writeUInt32BE(5 + payload.length, 0);
        header.writeUInt8(((kind + n) % 7) + 1, 4);
        header.writeUInt32BE(n % 2 ? run.id : 1_000_000 + n, 5);
        helper.write(Buffer.concat([header, payload]));
      }
      helper.write(randomBytes(n * 50));
      helper.closeInput();
      const { exitCode, signal } = await helper.closed;
      expect([helper.errors(), signal, exitCode === 0 || exitCode === 2]).toEqual(['', null, true]);
    });
  });
});

describe('the build of the launcher', () => {
  const build = (options: readonly string[], env: Record<string, string>) =>
    spawnSync(process.execPath, [BUILD, `--output=${tempDirectory()}`, ...options], { encoding: 'utf8', env });

  test('without a compiler says one line and lets the installation go on', () => {
    const { status, stdout, stderr } = build(['--if-possible'], { PATH: '/nowhere' });
    expect([status, stdout.trimEnd().split('\n').length, stderr]).toEqual([0, 1, '']);
    expect(stdout).toMatch(/not built/);
  });

  test('by hand fails without a compiler', () => {
    expect(build([], { PATH: '/nowhere' })).toMatchObject({ status: 1, stdout: expect.stringMatching(/compiler/) });
  });
});

describe('where the native launcher does not work', () => {
  const openWith = async (script: string) => {
    const file = join(tempDirectory(), 'errand-launcher');
    writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const warnings: string[] = [];
    const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
    const native = { kind: 'native', file, args: [], env: {} } as const;
    const launcher = await openLauncher({ most: 1, log, native });
    onTestFinished(() => launcher.close());
    return { launcher, warnings };
  };

  test.for([
    ['ends at once', 'exit 3'],
    [
      'speaks another protocol',
      "printf '\\000\\000\\000\\015\\020\\000\\000\\000\\000\\000\\000\\000\\001\\000\\000\\000\\000'; cat >/dev/null",
    ],
    ['says what is no frame', 'echo hello, this is no frame at all; cat >/dev/null'],
  ] as const)('as it %s, Node takes its place, and it is told', async ([, script]) => {
    const { launcher, warnings } = await openWith(script);
    expect([launcher.kind, launcher.can('process'), launcher.can('limits')]).toEqual(['node', false, false]);
    expect(warnings).toEqual([expect.stringMatching(/native launcher does not work/)]);
    const spec: LaunchSpec = {
      key: 'fallback',
      argv: ['/bin/true'],
      env: {},
      workDirectory: join(tempDirectory(), 'run'),
      stdin: false,
      graceSeconds: 1,
      isolation: 'none',
    };
    const run = launcher.launch(spec, recordedIo());
    run.execute();
    expect(await run.end).toMatchObject({ kind: 'ended', exitCode: 0 });
  });
});
