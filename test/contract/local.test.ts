import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ISOLATION_LEVELS, type Isolation, LAUNCHERS, type LauncherKind } from '../../shared/domain/command.ts';
import type { LocalOptions } from '../../shared/providers/local/local.ts';
import type { Provider, ProviderFeatures, Run } from '../../shared/providers/provider.ts';
import { providers } from '../../shared/providers/registry.ts';
import { launcherIsThere } from '../support/launchers.ts';
import { descendantsOf, helpersOf, processesWith, programOf } from '../support/processes.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { providerContract } from './provider-contract.ts';

const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);

const optionsOf = (launcher: LauncherKind, workDirectory: string): LocalOptions => ({
  workDirectory,
  isOwnerAlive: async (worker: string) => worker === 'this-worker',
  graceSeconds: 0.3,
  launcher,
});

/** A library of glibc that nothing of ours loads; another C library has none of that name. */
const LIBRARY = 'libanl.so.1';
const canPreload =
  process.platform === 'linux' &&
  spawnSync('grep', ['-q', 'libanl', '/proc/self/maps'], { env: { LD_PRELOAD: LIBRARY } }).status === 0;

/** Every command of it has this level. */
const withLevel = (provider: Provider, level: Isolation): Provider => ({
  ...provider,
  start: (run, io) => provider.start({ ...run, isolation: run.isolation === 'none' ? level : run.isolation }, io),
});

const testsOf = (launcher: LauncherKind, features: ProviderFeatures, level: Isolation): void => {
  const where = `${launcher} launcher, isolation ${level}`;
  const open = async (workDirectory = tempDirectory()): Promise<Provider> => {
    const provider = await providers.local(optionsOf(launcher, workDirectory));
    onTestFinished(() => provider.close());
    return withLevel(provider, level);
  };

  providerContract(`local (${where})`, features, open);

  describe.skipIf(process.platform !== 'linux')(`the local provider, on Linux (${where})`, () => {
    // Ignores TERM, forks, forks twice, and makes sessions of its own; each of them would stay for ever.
    const stubborn =
      "trap '' TERM; sleep 1000 & (sleep 1000 &) ; setsid sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1000 & wait' & " +
      'python3 -c "import os,time\nif os.fork()==0:\n os.setsid()\n if os.fork()==0: time.sleep(1000)\n os._exit(0)\nos.wait()" 2>/dev/null; ' +
      'echo ready; while :; do sleep 1000; done';

    test('all of a tree that ignores TERM, forks and leaves its session is gone after a stop', async () => {
      const io = recordedIo();
      const run = sh(stubborn);
      const running = (await open()).start(run, io);
      await io.seen('stdout', 'ready');
      expect(processesWith(run.key).length).toBeGreaterThanOrEqual(5);
      io.stopNow();
      expect(await running).toMatchObject({ kind: 'ended', exit: { signal: 'SIGKILL' } });
      expect(processesWith(run.key)).toEqual([]);
    });

    test('a tree that ends at TERM is not killed, and may clean up', async () => {
      const io = recordedIo();
      const running = (await open()).start(sh("trap 'echo cleaned; exit 0' TERM; echo ready; sleep 1000 & wait"), io);
      await io.seen('stdout', 'ready');
      io.stopNow();
      expect(await running).toMatchObject({ exit: { exitCode: 0, signal: null } });
      expect(io.text('stdout')).toBe('ready\ncleaned\n');
    });

    test.for<[string, string]>([
      ['in its group', 'sleep 1000 & echo started'],
      ['in a session of its own', 'setsid sleep 1000 & echo started'],
      ['in a session of its own, without our pipes', 'setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo started'],
      ['by a double fork', '(setsid sh -c "sleep 1000 & sleep 1000" >/dev/null 2>&1 &) ; echo started'],
    ])('what a command leaves behind %s is gone before its result is told', async ([, script]) => {
      const io = recordedIo();
      const run = sh(script);
      expect(await (await open()).start(run, io)).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
      expect(processesWith(run.key)).toEqual([]);
      expect(io.text('stdout')).toBe('started\n');
    });

    test('the same holds while many others run', async () => {
      const provider = await open();
      const runs = Array.from({ length: 40 }, (_, n) =>
        sh(n % 2 ? 'setsid sleep 1000 >/dev/null 2>&1 & true' : 'true'),
      );
      await Promise.all(runs.map((run) => provider.start(run, recordedIo())));
      expect(runs.flatMap(({ key }) => processesWith(key))).toEqual([]);
    });

    test('when its helper is killed a command is lost, and nothing of it is left', async () => {
      const io = recordedIo();
      const run = sh(`${stubborn}`);
      const provider = await open();
      const running = provider.start(run, io);
      await io.seen('stdout', 'ready');
      for (const pid of helpersOf(process.pid)) process.kill(pid, 'SIGKILL');
      expect(await running).toMatchObject({ kind: 'lost' });
      expect(processesWith(run.key)).toEqual([]);
      // And the provider goes on with a new one.
      expect(await provider.start(sh('exit 4'), recordedIo())).toMatchObject({ exit: { exitCode: 4 } });
    });

    test('what a dead worker left behind is ended when someone looks for it', async () => {
      const folder = tempDirectory();
      const io = recordedIo();
      const run = { ...sh(stubborn), worker: 'dead-worker' };
      const first = await open(folder);
      const running = first.start(run, io);
      await io.seen('stdout', 'ready');
      const second = await open(folder);
      expect(await second.observe({ ...run, worker: 'this-worker' })).toEqual({ kind: 'alive' });
      expect(await second.observe(run)).toEqual({ kind: 'gone' });
      expect(processesWith(run.key)).toEqual([]);
      await running;
    });

    test('a command finds no descriptor but its three', async () => {
      const io = recordedIo();
      await (await open()).start(sh('ls /proc/self/fd | sort -n | tr "\\n" " "'), io);
      // ls itself has the folder open as its fourth.
      expect(io.text('stdout')).toBe('0 1 2 3 ');
    });

    test('a command has a session of its own and no terminal', async () => {
      const io = recordedIo();
      await (await open()).start(
        sh('cut -d" " -f5,6,7 /proc/self/stat; echo $$; (: </dev/tty) 2>/dev/null || echo none'),
        io,
      );
      const [ids = '', pid, tty] = io.text('stdout').trim().split('\n');
      expect([ids, tty]).toEqual([`${pid} ${pid} 0`, 'none']);
    });
  });

  describe(`the local provider (${where})`, () => {
    test('refuses what it cannot give, for good, and executes nothing', async () => {
      const provider = await open();
      const missing = ISOLATION_LEVELS.filter((one) => one !== 'none' && !features.isolation.includes(one));
      expect(missing).toContain('microvm');
      const asked: Partial<Run>[] = missing.map((isolation) => ({ isolation }));
      if (!features.resourceLimits && level !== 'sandbox') asked.push({ memoryMiB: 64 }, { cpu: 1 });
      for (const over of asked) {
        const io = recordedIo();
        expect(await provider.start(sh('echo ran', over), io)).toMatchObject({
          kind: 'rejected',
          fault: { retryable: false },
        });
        expect([io.text('stdout'), io.redeemed()]).toEqual(['', 0]);
      }
    });

    test('removes a command’s folder, also what it made read-only', async () => {
      const folder = tempDirectory();
      const script = 'mkdir -p a/b && echo x > a/b/c && ln -s / a/root && chmod 500 a/b a && chmod 000 a/b';
      await (await open(folder)).start(sh(script), recordedIo());
      expect(readdirSync(folder)).toEqual([]);
      expect(existsSync('/etc/passwd')).toBe(true);
    });

    test('one reader that does not read holds up its own command only', async () => {
      const provider = await open();
      const { promise: reading, resolve: readOn } = Promise.withResolvers<void>();
      let length = 0;
      const slow = recordedIo({
        onOutput: async (_, bytes) => {
          length += bytes.length;
          await reading;
        },
      });
      const running = provider.start(sh('head -c 20000000 /dev/zero'), slow);
      await slow.output.length;
      for (let n = 0; n < 20; n++) {
        expect(await provider.start(sh('head -c 3000000 /dev/zero'), recordedIo())).toMatchObject({
          exit: { exitCode: 0 },
        });
      }
      expect(length).toBeLessThan(2 * 1024 * 1024);
      readOn();
      expect(await running).toMatchObject({ exit: { exitCode: 0 } });
      expect(length).toBe(20_000_000);
    });

    test('a taker that fails ends the command instead of leaving it to wait for ever', async () => {
      const io = recordedIo({ onOutput: () => Promise.reject(new Error('nobody takes it')) });
      expect(await (await open()).start(sh('yes'), io)).toMatchObject({ kind: 'ended' });
    });

    test('leaves nothing in its folder when it is closed in the middle', async () => {
      const folder = tempDirectory();
      const provider = await open(folder);
      const ios = Array.from({ length: 5 }, () => recordedIo());
      const running = ios.map((io) => provider.start(sh('echo ready; sleep 1000'), io));
      await Promise.all(ios.map((io) => io.seen('stdout', 'ready')));
      await provider.close();
      await Promise.all(running);
      expect(readdirSync(folder)).toEqual([]);
    });

    // Callers own their commands, so they may set what they like for them. Who starts commands must never load it.
    test.skipIf(!canPreload)(`loads what LD_PRELOAD names into the command alone (needs ${LIBRARY})`, async () => {
      const io = recordedIo();
      const env = {
        ...{ LD_PRELOAD: LIBRARY, LD_AUDIT: '', LD_LIBRARY_PATH: '/nowhere', NODE_OPTIONS: '--title=libanl' },
        ...{ BASH_ENV: '/nowhere', ENV: '/nowhere', GCONV_PATH: '/nowhere', IFS: 'x', MALLOC_CHECK_: '3' },
      };
      const run = sh('grep -c libanl /proc/self/maps; echo ready; read line; exec sleep 60', { env });
      const running = (await open()).start(run, io);
      await io.seen('stdout', 'ready');
      expect(io.text('stdout')).toMatch(/^[1-9]/);
      const own = processesWith(run.key);
      const others = descendantsOf(process.pid).filter((pid) => !own.includes(pid));
      expect(own.length).toBeGreaterThan(0);
      expect(others.length).toBeGreaterThan(0);
      expect(others.filter((pid) => programOf(pid).includes('libanl'))).toEqual([]);
      io.stopNow();
      await running;
    });

    // Of the machine’s folders a sandbox shows the system’s only.
    test.skipIf(level === 'sandbox')('takes the programs’ own PATH to find them', async () => {
      const folder = tempDirectory();
      const io = recordedIo();
      await (await open()).start(
        sh(`printf '#!/bin/sh\\necho mine\\n' > ${join(folder, 'tool')}; chmod +x ${join(folder, 'tool')}`),
        io,
      );
      const own = recordedIo();
      await (await open()).start(aRun(['tool'], { env: { PATH: folder } }), own);
      expect(own.text('stdout')).toBe('mine\n');
    });
  });
};

for (const launcher of LAUNCHERS) {
  if (launcherIsThere(launcher)) {
    const probe = await providers.local(optionsOf(launcher, '/nowhere'));
    await probe.close();
    for (const level of ['none', 'sandbox'] as const) {
      if (probe.features.isolation.includes(level)) testsOf(launcher, probe.features, level);
      else
        test.skip(`the local provider (${launcher} launcher) at isolation ${level}, which is not given here`, () => {});
    }
  } else {
    test.skip(`the local provider (${launcher} launcher), which is not built: npm run build:launcher`, () => {});
  }
}
