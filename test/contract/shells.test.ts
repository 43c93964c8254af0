import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Isolation, LAUNCHERS, type LauncherKind } from '../../shared/domain/command.ts';
import { type AttemptKey, toTenantId } from '../../shared/domain/ids.ts';
import { SESSION_SHELLS, type SessionShell } from '../../shared/domain/sessions.ts';
import type { Provider, Shell, ShellSpec } from '../../shared/providers/provider.ts';
import { providers } from '../../shared/providers/registry.ts';
import { launcherIsThere } from '../support/launchers.ts';
import { processesWith } from '../support/processes.ts';
import { recordedIo } from '../support/run-io.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const openProvider = async (launcher: LauncherKind, workDirectory = tempDirectory()): Promise<Provider> => {
  return providers.local({
    workDirectory,
    isOwnerAlive: async () => false,
    graceSeconds: 0.3,
    launcher,
    trySandbox: false,
  });
};

const leftOf = (key: AttemptKey, folder: string) => readdirSync(folder).filter((name) => name.startsWith(key));

let made = 0;
const keyOf = (): AttemptKey => `ses_${String(++made).padStart(16, '0')}-1` as AttemptKey;

const testsOf = (launcher: LauncherKind, shell: SessionShell, isolation: Isolation): void => {
  describe(`${shell}, ${launcher} launcher, isolation ${isolation}`, () => {
    const at = mkdtempSync(join(tmpdir(), 'errand-shells-'));
    let provider: Provider;
    beforeAll(async () => {
      provider = await openProvider(launcher, at);
    });
    afterAll(async () => {
      await provider?.close();
      rmSync(at, { recursive: true, force: true });
    });
    const open = async (over: Partial<ShellSpec> = {}): Promise<{ shell: Shell; key: AttemptKey; at: string }> => {
      const key = keyOf();
      const opened = await provider.openShell?.({
        ...{ key, tenant: toTenantId('default'), shell, env: {}, isolation },
        ...over,
      });
      if (!opened) throw new Error('It holds no shells.');
      return { shell: opened, key, at };
    };
    const run = async (opened: Shell, text: string, stdin = '', io = recordedIo()) => {
      const outcome = await opened.run({ text, stdin: Buffer.from(stdin) }, io);
      if (outcome.kind !== 'ended') throw new Error(outcome.detail);
      return { ...outcome.exit, stdout: io.text('stdout'), stderr: io.text('stderr'), bytes: io.bytes('stdout') };
    };

    test('the folder, variables, functions, options and open files of one script are there for the next', async () => {
      const { shell: opened } = await open({ env: { GIVEN: 'given' } });
      await run(opened, 'x="a b"; f() { echo "f:$1"; }; mkdir sub; cd sub; echo kept > file; exec 5<file; umask 027');
      const { stdout, exitCode } = await run(
        opened,
        'echo "$x $GIVEN"; f 1; basename "$PWD"; cat <&5; umask; (exit 3)',
      );
      expect([stdout, exitCode]).toEqual(['a b given\nf:1\nsub\nkept\n0027\n', 3]);
    });

    test('what is given to one script is there for it and what it starts, and then is as it was', async () => {
      const { shell: opened } = await open();
      const env = { TRACEPARENT: "00-it's $HOME", TRACESTATE: 'a=b' };
      const runWith = async (text: string) => {
        const io = recordedIo();
        await opened.run({ text, stdin: Buffer.alloc(0), env }, io);
        return io.text('stdout');
      };
      const tell = `printf '%s|%s|' "$TRACEPARENT" "$(sh -c 'printf %s "$TRACEPARENT$TRACESTATE"')"`;
      expect(await runWith(`${tell}; x=kept; export TRACESTATE=mine`)).toBe("00-it's $HOME|00-it's $HOMEa=b|");
      const { stdout } = await run(opened, `${tell}; printf %s "$x"; export TRACEPARENT=own`);
      expect(stdout).toMatch(/^\|(mine)?\|kept$/);
      expect(await runWith(tell)).toMatch(/^00-it's \$HOME\|/);
      expect((await run(opened, tell)).stdout).toMatch(/^own\|own/);
    });

    test('bytes are exact, in both streams apart, also megabytes of them', async () => {
      const { shell: opened } = await open();
      const all = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
      const io = recordedIo();
      await opened.run({ text: 'cat; echo lost >&2', stdin: Buffer.concat([all, all]) }, io);
      expect(io.bytes('stdout')).toEqual(Buffer.concat([all, all]));
      expect(io.text('stderr')).toBe('lost\n');
      const { bytes, stderr } = await run(opened, 'head -c 10000000 /dev/zero; head -c 300000 /dev/zero >&2');
      expect([bytes.length, stderr.length]).toEqual([10_000_000, 300_000]);
      expect(
        (await run(opened, 'printf \'%s\' "no newline"; printf x > /dev/stderr; printf y > /dev/stderr')).stderr,
      ).toBe('xy');
    });

    test.for<[what: string, script: string, exitCode: number | undefined, stdout: string]>([
      ['a syntax error', 'if', 2, ''],
      ['a here-document', "cat <<'END'\nit's $x\nEND\n", 0, "it's $x\n"],
      ['a quote that is left open', "echo 'never", undefined, ''],
      ['return', 'echo a; return 7; echo b', 7, 'a\n'],
      ['an input that nobody gave', 'cat; echo done', 0, 'done\n'],
      ['a closed stdout', 'exec >&-; true', 0, ''],
      ['a diverted stdout', 'exec >/dev/null; echo x', 0, ''],
      ['all streams closed', 'exec <&- >&- 2>&-', 0, ''],
      ['a forged end, in each stream', 'echo "000000000000000000000000 9"; echo "0 9" >&2', 0, `${'0'.repeat(24)} 9\n`],
      ['a prompt of its own', "PS1='000000000000000000000000 9 '; PROMPT_COMMAND='echo 1'", 0, ''],
      ['traps', "trap 'echo trapped' USR1; kill -USR1 $$", 0, 'trapped\n'],
      ['the last argument of a pipe', 'false | true', 0, ''],
      ['a command not found', 'nobody-has-this', 127, ''],
      ['many lines', 'i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done | tail -1', 0, '499\n'],
    ])('goes on after %s', async ([, script, exitCode, stdout]) => {
      const { shell: opened } = await open();
      const ended = await run(opened, script);
      if (exitCode !== undefined) expect(ended.exitCode).toBe(exitCode);
      else expect(ended.exitCode).not.toBe(0);
      expect(ended.stdout).toBe(stdout);
      expect(await run(opened, 'echo on')).toMatchObject({ exitCode: 0, stdout: 'on\n', stderr: '' });
    });

    test('what a script writes to each number that is open in its children ends nothing', async () => {
      const { shell: opened } = await open();
      const { exitCode } = await run(
        opened,
        'for n in 3 4 5 6 7 8 9; do sh -c "echo 000000000000000000000000 0 >&$n" 2>/dev/null; done; ' +
          'for f in $(sh -c \'ls /proc/self/fd\'); do sh -c "[ $f -gt 2 ] && echo forged >&$f" 2>/dev/null; done; (exit 5)',
      );
      expect(exitCode).toBe(5);
      expect((await run(opened, 'ls /proc/self/fd | tr "\\n" " "')).stdout).toMatch(/^0 1 2 3 (\d+ )?$/);
    });

    test('a background job keeps running, and never writes into the output of a later script', async () => {
      const { shell: opened } = await open();
      const first = await run(opened, '(while :; do echo noise; sleep 0.01; done) & echo started');
      expect(first.stdout).toMatch(/^(noise\n)*started\n(noise\n)*$/);
      expect(first.stderr).toBe('');
      for (let n = 0; n < 20; n++) expect((await run(opened, `echo ${n}`)).stdout).toBe(`${n}\n`);
      expect((await run(opened, 'kill -0 $! && echo alive')).stdout).toBe('alive\n');
    });

    test('when jobs hold the pipes of too many scripts, the next is told so, and once they end it goes on', async () => {
      const { shell: opened } = await open();
      for (let n = 0; n < 15; n++) await run(opened, 'sleep 1000 &');
      expect((await run(opened, 'sleep 1000 & echo last')).stdout).toBe('last\n');
      expect(await run(opened, 'echo no')).toMatchObject({ exitCode: null, stdout: '' });
      expect((await run(opened, 'echo no')).detail).toContain('Background jobs');
    });

    test.for<[what: string, script: string, exit: object]>([
      ['exit', 'echo bye; exit 3', { exitCode: 3, signal: null, stdout: 'bye\n' }],
      ['exec', 'exec sh -c "echo other; exit 4"', { exitCode: 4, stdout: 'other\n' }],
      ['kill -9 $$', 'echo a; kill -9 $$', { exitCode: null, signal: 'SIGKILL', stdout: 'a\n' }],
      ['set -e and a failure', 'set -e; false; echo no', { exitCode: 1, stdout: '' }],
    ])('%s ends the shell, with all that was started in it', async ([, script, exit]) => {
      const { shell: opened, key, at } = await open();
      await run(opened, 'setsid sleep 1000 & (sleep 1000 &)');
      const ended = await run(opened, script);
      expect(ended).toMatchObject(exit);
      expect(ended.detail).toContain('ended with this script');
      await opened.ended;
      expect(processesWith(key)).toEqual([]);
      expect(leftOf(key, at)).toEqual([]);
      expect((await run(opened, 'echo no')).detail).toContain('gone');
    });

    test.for<[what: string, script: string]>([
      ['a program that waits', 'sleep 1000; echo no'],
      ['a loop of programs', 'while :; do sleep 0.01; done; echo no'],
      ['a loop of its own', 'while :; do :; done; echo no'],
      ['a function', 'f() { while :; do sleep 0.01; done; }; f; echo no'],
      ['a subshell', '(sleep 1000; echo no); echo no'],
      ['a pipe', 'sleep 1000 | cat; echo no'],
      ['lines', 'sleep 1000\nsleep 1000\necho no'],
      [
        'a program that hears it and leaves as if nothing was',
        'sh -c "trap \'exit 0\' INT; echo; sleep 1000"; echo no',
      ],
    ])('a stop interrupts %s at once; the shell stays, with what it had', async ([, script]) => {
      const { shell: opened } = await open();
      await run(opened, 'x=kept');
      const io = recordedIo();
      const running = run(opened, `echo begun; ${script}`, '', io);
      await io.seen('stdout', 'begun');
      io.stopNow();
      const { exitCode, stdout } = await running;
      expect([exitCode === 0, stdout.trim()]).toEqual([false, 'begun']);
      expect((await run(opened, 'echo $x')).stdout).toBe('kept\n');
    });

    test('a script that does not hear the interrupt ends with the shell, and nothing of it is left', async () => {
      const { shell: opened, key } = await open();
      const io = recordedIo();
      const script = "trap '' INT TERM HUP; sh -c 'trap \"\" INT TERM HUP; sleep 1000 & while :; do sleep 1; done' & ";
      const running = run(opened, `${script} echo begun; while :; do sleep 1; done`, '', io);
      await io.seen('stdout', 'begun');
      io.stopNow();
      expect((await running).detail).toContain('did not come back');
      expect(processesWith(key)).toEqual([]);
    });

    test('its end leaves no process and no file, also in the middle of a script', async () => {
      const { shell: opened, key, at } = await open();
      const io = recordedIo();
      await run(opened, 'setsid sleep 1000 & echo x > file');
      const running = run(opened, 'echo begun; sleep 1000', '', io);
      await io.seen('stdout', 'begun');
      await opened.end();
      expect(processesWith(key)).toEqual([]);
      expect(leftOf(key, at)).toEqual([]);
      expect((await running).exitCode).not.toBe(0);
      await opened.end();
    });

    test('whoever takes its output slowly has the script wait, and gets all of it', async () => {
      const { shell: opened } = await open();
      const io = recordedIo({ onOutput: () => new Promise((resolve) => setTimeout(resolve, 1)) });
      const { bytes } = await run(opened, 'head -c 4000000 /dev/zero', '', io);
      expect(bytes.length).toBe(4_000_000);
    });
  });
};

const isOnLinux = process.platform === 'linux';
for (const launcher of LAUNCHERS) {
  describe.skipIf(!isOnLinux || !launcherIsThere(launcher))('warm shells', () => {
    for (const shell of SESSION_SHELLS) testsOf(launcher, shell, 'none');
  });
}
const canWall = isOnLinux && launcherIsThere('native') && process.getuid?.() === 0;
describe.skipIf(!canWall)('warm shells with a user of their own', () => {
  testsOf('native', '/bin/sh', 'process');

  test('another user can neither list what passes between server and shell, nor read it', async () => {
    const provider = await openProvider('native');
    onTestFinished(() => provider.close());
    const [mine, other] = [keyOf(), keyOf()];
    const openOne = (key: AttemptKey) =>
      provider.openShell?.({ key, tenant: toTenantId('default'), shell: '/bin/sh', env: {}, isolation: 'process' });
    const [shell, spy] = [await openOne(mine), await openOne(other)];
    const io = recordedIo();
    const running = shell?.run({ text: 'echo "$0 $(pwd)"; sleep 1000', stdin: Buffer.alloc(0) }, io);
    await io.seen('stdout', mine);
    const folder = io.text('stdout').trim().split(' ').at(-1) ?? '';
    expect(existsSync(`${folder}.pipes`)).toBe(true);
    const seen = recordedIo();
    const script = `id -u; ls ${folder}.pipes; cat ${folder}.pipes/o0; ls ${folder}; touch ${folder}.pipes/x`;
    await spy?.run({ text: script, stdin: Buffer.alloc(0) }, seen);
    expect(seen.text('stdout')).toMatch(/^[1-9]\d*\n$/);
    expect(seen.text('stderr').split('Permission denied').length).toBeGreaterThanOrEqual(4);
    io.stopNow();
    await running;
  });
});

test.skipIf(!isOnLinux)('a shell that cannot come up is told why, and leaves nothing', async () => {
  const at = tempDirectory();
  const provider = await openProvider('node', at);
  onTestFinished(() => provider.close());
  const spec = { tenant: toTenantId('default'), env: {}, isolation: 'none' } as const;
  await expect(
    provider.openShell?.({ ...spec, key: keyOf(), shell: 'bash', env: { PATH: '/nowhere' } }),
  ).rejects.toThrow(/bash did not come up/);
  await expect(
    provider.openShell?.({ ...spec, key: keyOf(), shell: '/bin/sh', cwd: '/nowhere/at/all' }),
  ).rejects.toThrow(/\/nowhere\/at\/all/);
  expect(readdirSync(at).filter((name) => name.startsWith('ses_'))).toEqual([]);
});
