import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { SignalName } from '../../shared/domain/command.ts';
import type { Provider, ProviderFeatures, Run } from '../../shared/providers/provider.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface ContractOptions {
  /** How many commands are run at once. A runner elsewhere is two processes more for each. */
  readonly atOnce?: number;
  /** Variables that the place itself gives every command. @default none */
  readonly ownEnvironment?: readonly string[];
}

/** What every provider promises; each adapter runs it. What a provider cannot do is skipped, by name. */
export const providerContract = (
  name: string,
  features: ProviderFeatures,
  open: () => Promise<Provider>,
  { atOnce = features.runner === 'in-process' ? 100 : 8, ownEnvironment = [] }: ContractOptions = {},
): void => {
  const isHere = features.runner === 'in-process';
  const isInline = features.mode === 'inline';
  describe(`provider contract: ${name}`, () => {
    test.for([0, 1, 7, 126, 127, 255])('exit code %i comes back as it is', async (exitCode) => {
      const outcome = await (await open()).start(sh(`exit ${exitCode}`), recordedIo());
      expect(outcome).toMatchObject({ kind: 'ended', exit: { exitCode, signal: null } });
    });

    test.for(['SIGKILL', 'SIGTERM', 'SIGSEGV'])('a command that ends by %s says so', async (signal) => {
      const outcome = await (await open()).start(sh(`kill -${signal.slice(3)} $$`), recordedIo());
      expect(outcome).toMatchObject({ kind: 'ended', exit: { exitCode: null, signal } });
    });

    test('a program that is not there ends with 127 and words for a person', async () => {
      const outcome = await (await open()).start(aRun(['no-such-program-anywhere']), recordedIo());
      expect(outcome).toMatchObject({
        kind: 'ended',
        exit: { exitCode: 127, detail: expect.stringContaining('no-such-program') },
      });
    });

    test('a program that cannot be executed ends with 126', async () => {
      const outcome = await (await open()).start(aRun(['/etc/passwd']), recordedIo());
      expect(outcome).toMatchObject({ kind: 'ended', exit: { exitCode: 126, detail: expect.any(String) } });
    });

    test('arguments arrive as they are: no shell looks at them', async () => {
      const nasty = ['$HOME', '`id`', '; exit 9', 'a b', "'", '"', '*', '', '-n', 'é€😀', '\n', '\\'];
      const io = recordedIo();
      await (await open()).start(aRun(['/usr/bin/printf', '%s\\0', ...nasty]), io);
      expect(io.text('stdout').split('\0').slice(0, -1)).toEqual(nasty);
    });

    test.skipIf(!features.separateStreams)('stdout and stderr are kept apart', async () => {
      const io = recordedIo();
      await (await open()).start(sh('echo out; echo err >&2; echo out2'), io);
      expect([io.text('stdout'), io.text('stderr')]).toEqual(['out\nout2\n', 'err\n']);
    });

    test('bytes are exact: all 256 values, and text that is not UTF-8', async () => {
      const io = recordedIo();
      const script =
        'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done; printf \'\\377\\303\'';
      await (await open()).start(sh(script), io);
      expect(io.bytes('stdout')).toEqual(Buffer.from([...Array(256).keys(), 0xff, 0xc3]));
    });

    test('32 MiB arrive whole and in order', async () => {
      const hash = createHash('sha256');
      let length = 0;
      const io = recordedIo({
        onOutput: async (_, bytes) => {
          hash.update(bytes);
          length += bytes.length;
        },
      });
      const script = 'yes 0123456789abcde | head -c 33554432';
      expect(await (await open()).start(sh(script), io)).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
      const line = Buffer.from('0123456789abcde\n');
      expect(length).toBe(32 * 1024 * 1024);
      expect(hash.digest('hex')).toBe(sha256(Buffer.alloc(length, line)));
    });

    test.skipIf(!features.liveOutput || !features.stdin)(
      'output comes while the command runs, not at its end',
      async () => {
        const input = openInput();
        const io = recordedIo({ stdin: input });
        const running = (await open()).start(sh('echo ready; read answer; echo "got $answer"'), io);
        await io.seen('stdout', 'ready');
        input.write('yes\n');
        await io.seen('stdout', 'got yes');
        input.end();
        expect(await running).toMatchObject({ exit: { exitCode: 0 } });
      },
    );

    test.skipIf(!features.stdin)('input arrives in order and ends', async () => {
      const bytes = Buffer.alloc(5 * 1024 * 1024, 'some input, again and again\n');
      const input = openInput();
      for (let at = 0; at < bytes.length; at += 700_001) input.write(bytes.subarray(at, at + 700_001));
      input.end();
      const io = recordedIo({ stdin: input });
      await (await open()).start(sh('sha256sum'), io);
      expect(io.text('stdout').slice(0, 64)).toBe(sha256(bytes));
    });

    test('without input a command reads the end at once', async () => {
      const io = recordedIo();
      await (await open()).start(sh('cat; echo done'), io);
      expect(io.text('stdout')).toBe('done\n');
    });

    test.skipIf(!features.stdin)('a command may end without reading its input', async () => {
      const input = openInput();
      input.write(Buffer.alloc(4 * 1024 * 1024));
      const outcome = await (await open()).start(sh('exit 3'), recordedIo({ stdin: input }));
      expect(outcome).toMatchObject({ exit: { exitCode: 3 } });
    });

    test('the environment is what was asked for, a few names of ours, and nothing of this process', async () => {
      process.env['ERRAND_TEST_CANARY'] = 'must not be seen';
      const io = recordedIo();
      const run = aRun(['/usr/bin/env', '-0'], { env: { GREETING: 'hello = there\nand there', EMPTY: '' } });
      await (await open()).start(run, io);
      const lines = io.text('stdout').split('\0').filter(Boolean);
      expect(lines.map((line) => line.split('=')[0]).toSorted()).toEqual(
        [
          'EMPTY',
          'ERRAND_ATTEMPT',
          'ERRAND_COMMAND_ID',
          'GREETING',
          'HOME',
          'LANG',
          'PATH',
          ...ownEnvironment,
        ].toSorted(),
      );
      expect(lines).toContain('GREETING=hello = there\nand there');
      expect(lines).toContain(`ERRAND_ATTEMPT=${run.key}`);
    });

    test('a command works in an empty folder of its own, or where it was told', async () => {
      const provider = await open();
      const own = recordedIo();
      await provider.start(sh('ls -A | wc -l; pwd; echo x > file && cat file'), own);
      expect(own.text('stdout')).toMatch(/^0\n\/.+\nx\n$/);
      const told = recordedIo();
      await provider.start(sh('pwd', { cwd: '/usr' }), told);
      expect(told.text('stdout')).toBe('/usr\n');
      const nowhere = await provider.start(sh('pwd', { cwd: '/no/such/folder' }), recordedIo());
      expect(nowhere).toMatchObject({ exit: { exitCode: 126, detail: expect.stringContaining('/no/such/folder') } });
    });

    test('a stop ends a running command', async () => {
      const io = recordedIo();
      const running = (await open()).start(sh('echo ready; sleep 1000'), io);
      await io.seen('stdout', 'ready');
      io.stopNow();
      expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: null, signal: 'SIGTERM' } });
    });

    test('a stop before the start executes nothing', async () => {
      const io = recordedIo();
      io.stopNow();
      expect(await (await open()).start(sh('echo ran'), io)).toEqual({ kind: 'refused' });
      expect(io.text('stdout')).toBe('');
    });

    test('a stop while it starts leaves nothing running', async () => {
      const io = recordedIo({
        redeem: async () => {
          io.stopNow();
          return true;
        },
      });
      const outcome = await (await open()).start(sh('sleep 1000'), io);
      expect(['ended', 'refused']).toContain(outcome.kind);
    });

    test.skipIf(!features.startTicket)('a ticket that is refused executes nothing', async () => {
      const io = recordedIo({ redeem: async () => false });
      expect(await (await open()).start(sh('echo ran'), io)).toEqual({ kind: 'refused' });
      expect(io.text('stdout')).toBe('');
    });

    // A runner elsewhere goes on asking; that nobody answers is not for its provider to see.
    test.skipIf(!features.startTicket || !isHere)(
      'a ticket that cannot be asked for executes nothing, and says so',
      async () => {
        const io = recordedIo({ redeem: () => Promise.reject(new Error('the store is away')) });
        const outcome = await (await open()).start(sh('echo ran'), io);
        expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
        expect(io.text('stdout')).toBe('');
      },
    );

    test.skipIf(!features.startTicket)('two starts with one ticket run once', async () => {
      const provider = await open();
      let tickets = 1;
      const redeem = async () => tickets-- > 0;
      const run = sh('echo ran');
      const ios = [recordedIo({ redeem }), recordedIo({ redeem })];
      const outcomes = await Promise.all(ios.map((io) => provider.start(run, io)));
      expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['ended', 'refused']);
      expect(ios.map((io) => io.text('stdout')).join('')).toBe('ran\n');
    });

    test.skipIf(!features.signals).for<[SignalName, string]>([
      ['SIGHUP', 'HUP'],
      ['SIGUSR1', 'USR1'],
    ])('%s reaches the command', async ([signal, trap]) => {
      const io = recordedIo();
      const script = `trap 'echo got it; exit 0' ${trap}; echo ready; while :; do sleep 0.05; done`;
      const running = (await open()).start(sh(script), io);
      await io.seen('stdout', 'ready');
      io.signal(signal);
      expect(await running).toMatchObject({ exit: { exitCode: 0 } });
      expect(io.text('stdout')).toBe('ready\ngot it\n');
    });

    test('a run that nobody knows is gone, and canceling it is fine, twice', async () => {
      const provider = await open();
      const unknown = { ...sh('true'), worker: 'dead-worker' };
      await provider.cancel(unknown);
      await provider.cancel(unknown);
      expect(await provider.observe(unknown)).toMatchObject({ kind: 'gone' });
    });

    test('a run that is under way here is alive; a cancel from beside ends it', async () => {
      const provider = await open();
      const io = recordedIo();
      const run = sh('echo ready; sleep 1000');
      const running = provider.start(run, io);
      await io.seen('stdout', 'ready');
      expect(await provider.observe(run)).toEqual({ kind: 'alive' });
      await provider.cancel(run);
      expect(await running).toMatchObject({ kind: 'ended', exit: { signal: 'SIGTERM' } });
    });

    test(`${atOnce} at once each get their own output and exit code`, async () => {
      const provider = await open();
      await Promise.all(
        Array.from({ length: atOnce }, async (_, n) => {
          const io = recordedIo();
          const outcome = await provider.start(sh(`echo ${n}; exit $((${n} % 7))`), io);
          expect(outcome).toMatchObject({ kind: 'ended', exit: { exitCode: n % 7, signal: null } });
          expect(io.text('stdout')).toBe(`${n}\n`);
        }),
      );
    });

    test('is healthy, until it is closed', async () => {
      const provider = await open();
      expect(await provider.health()).toMatchObject({ healthy: true });
      await provider.close();
      expect(await provider.health()).toMatchObject({ healthy: false });
      expect(await provider.start(sh('echo ran'), recordedIo())).toMatchObject({ kind: 'rejected' });
    });

    test.skipIf(!isInline)('closing lets go of what runs, and says that nobody here knows how it ends', async () => {
      const provider = await open();
      const io = recordedIo();
      const running = provider.start(sh('echo ready; sleep 1000'), io);
      await io.seen('stdout', 'ready');
      await provider.close();
      expect(await running).toMatchObject({ kind: features.runner === 'remote' ? 'unheard' : 'lost' });
    });
  });
};
