import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Isolation } from '../../shared/domain/command.ts';
import type { Provider, ProviderFeatures, Run } from '../../shared/providers/provider.ts';
import { processesWith } from '../support/processes.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

/** What a provider promises of terminals, at each level at which it gives them. */
export const terminalsContract = (name: string, features: ProviderFeatures, open: () => Promise<Provider>): void => {
  const levels = features.terminals ?? [];
  test.skipIf(levels.length > 0)(`${name} gives no terminals, and executes nothing that wants one`, async () => {
    const io = recordedIo();
    const run = aRun(['/bin/echo', 'ran'], { terminal: { rows: 24, columns: 80 } });
    if (features.runner === 'in-process') {
      expect(await (await open()).start(run, io)).toMatchObject({ kind: 'rejected', fault: { retryable: false } });
      expect(io.text('stdout')).toBe('');
    }
  });
  for (const level of levels) atLevel(name, level, open);
};

const atLevel = (name: string, isolation: Isolation, open: () => Promise<Provider>): void => {
  const start = async (script: string, over: Partial<Run> = {}) => {
    const input = openInput();
    const io = recordedIo({ stdin: input });
    const run = aRun(['/bin/bash', '-c', script], { isolation, terminal: { rows: 24, columns: 80 }, ...over });
    const running = (await open()).start(run, io);
    return { input, io, run, running, text: () => io.text('stdout').replaceAll('\r\n', '\n') };
  };
  const ended = (exitCode: number) => ({ kind: 'ended', exit: { exitCode, signal: null } });

  describe(`terminals: ${name}, isolation ${isolation}`, () => {
    test('all three streams are one terminal, which controls the session', async () => {
      const { running, text, io } = await start(
        'test -t 0 -a -t 1 -a -t 2 && echo all; echo err >&2; : </dev/tty && echo opened; echo $TERM; ' +
          'read -r _ _ _ _ group session tty foreground _ </proc/self/stat; echo $(( session == $$ )) $(( tty != 0 )) $(( foreground == group ))',
      );
      expect(await running).toMatchObject(ended(0));
      expect(text()).toBe('all\nerr\nopened\nxterm-256color\n1 1 1\n');
      expect(io.text('stderr')).toBe('');
    });

    test.skipIf(isolation === 'sandbox')('it has a name, which the command may open and nobody else', async () => {
      const { running, text } = await start('tty; stat -c %a $(tty); : <>$(tty) && echo opened');
      await running;
      expect(text()).toMatch(/^\/dev\/pts\/\d+\n600\nopened\n$/);
    });

    test('the environment has the last word on TERM', async () => {
      const { running, text } = await start('echo $TERM', { env: { TERM: 'dumb' } });
      await running;
      expect(text()).toBe('dumb\n');
    });

    test('it has the size that was asked for, and each one that it is given', async () => {
      const { io, running, text } = await start(
        "trap 'stty size; exit 5' WINCH; stty size; while :; do sleep 0.02; done",
        { terminal: { rows: 33, columns: 121 } },
      );
      await io.seen('stdout', '33 121');
      io.resize({ rows: 7, columns: 1000 });
      expect(await running).toMatchObject(ended(5));
      expect(text()).toBe('33 121\n7 1000\n');
    });

    test('what is typed is echoed, and read as lines', async () => {
      const { input, io, running, text } = await start('echo ready; read -r line; echo "<$line>"');
      await io.seen('stdout', 'ready');
      input.write('helo\x7flo\n');
      expect(await running).toMatchObject(ended(0));
      expect(text()).toBe('ready\nhelo\b \blo\n<hello>\n');
    });

    test('Ctrl-C interrupts what is in the foreground', async () => {
      const { input, io, running } = await start("trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done");
      await io.seen('stdout', 'ready');
      input.write('\x03');
      expect(await running).toMatchObject(ended(9));
    });

    test('Ctrl-C ends a command that does not look after it', async () => {
      const { input, io, running } = await start('echo ready; exec sleep 1000');
      await io.seen('stdout', 'ready');
      input.write('\x03');
      expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: null, signal: 'SIGINT' } });
    });

    test('the end of the input is the key for it', async () => {
      const { input, io, running, text } = await start('echo ready; cat; echo over');
      await io.seen('stdout', 'ready');
      input.write('last\n');
      await io.seen('stdout', 'last\r\nlast');
      input.end();
      expect(await running).toMatchObject(ended(0));
      expect(text()).toBe('ready\nlast\nlast\nover\n');
    });

    test('bytes go through exactly where the command wants them raw, however many', async () => {
      const bytes = randomBytes(1_500_000);
      const { input, io, running } = await start(
        `stty raw -echo; echo ready; head -c ${bytes.length} | sha256sum; head -c ${bytes.length}`,
      );
      await io.seen('stdout', 'ready');
      for (let at = 0; at < bytes.length; at += 70_001) input.write(bytes.subarray(at, at + 70_001));
      await io.seen('stdout', '-\n');
      for (let at = 0; at < bytes.length; at += 70_001) input.write(bytes.subarray(at, at + 70_001));
      expect(await running).toMatchObject(ended(0));
      const out = io.bytes('stdout');
      expect(out.subarray(out.indexOf('-\n') + 2).equals(bytes)).toBe(true);
    });

    test('all of its last words come, also of much output right before the end', async () => {
      for (let n = 0; n < 20; n++) {
        const { running, text } = await start(`head -c 100000 /dev/zero | tr '\\0' x; printf last`);
        expect(await running).toMatchObject(ended(0));
        expect(text().length).toBe(100_004);
        expect(text().endsWith('last')).toBe(true);
      }
    });

    test.skipIf(isolation === 'sandbox')('what is left in the background hears that it hung up', async () => {
      const { io, running, run } = await start(
        `set -m; (trap 'echo hung up; exit' HUP; echo ready; while :; do sleep 0.02; done) & ` +
          'while ! jobs -r | grep -q .; do :; done; sleep 0.3; exit 3',
      );
      await io.seen('stdout', 'ready');
      expect(await running).toMatchObject(ended(3));
      expect(io.text('stdout')).toContain('hung up');
      expect(processesWith(run.key)).toEqual([]);
    });

    test('what does not care that it hung up is ended all the same', async () => {
      const { running, run } = await start(
        'trap "" HUP; sleep 1000 & setsid sleep 1000 & nohup sleep 1000 & sleep 0.1; exit 4',
      );
      expect(await running).toMatchObject(ended(4));
      expect(processesWith(run.key)).toEqual([]);
    });

    test('a stop ends all of it', async () => {
      const { io, running, run } = await start(
        'set -m; trap "" HUP TERM INT; sleep 1000 & setsid sleep 1000 & echo ready; sleep 1000',
      );
      await io.seen('stdout', 'ready');
      io.stopNow();
      expect(await running).toMatchObject({ kind: 'ended', exit: { signal: 'SIGKILL' } });
      expect(processesWith(run.key)).toEqual([]);
    });

    test('a command that does not read holds up nothing but its own input', async () => {
      const { input, io, running } = await start('stty raw -echo; echo ready; sleep 0.5; exit 6');
      await io.seen('stdout', 'ready');
      input.write(Buffer.alloc(3_000_000, 'x'));
      expect(await running).toMatchObject(ended(6));
    });
  });
};
