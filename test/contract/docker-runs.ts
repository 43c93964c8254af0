import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../machine/system-clock.ts';
import type { DockerConfig } from '../../shared/providers/docker/config.ts';
import type { HeldRun, Provider, Run } from '../../shared/providers/provider.ts';
import type { Kind, RunningDaemon } from '../support/containers/daemons.ts';
import { packImage, WILFUL_IMAGE } from '../support/containers/image.ts';
import { openDocker } from '../support/containers/open-docker.ts';
import { processesOf } from '../support/containers/processes.ts';
import { openRegistry } from '../support/containers/registry.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);

const heldBy = async (provider: Provider): Promise<readonly HeldRun[]> => {
  const held: HeldRun[] = [];
  for await (const run of provider.held?.() ?? []) held.push(run);
  return held;
};

/** What containers promise beyond the contract of all providers. */
export const dockerRuns = (kind: Kind, daemon: () => RunningDaemon): void => {
  describe('walls', () => {
    const tell = async (script: string, over: Partial<Run> = {}, config = {}) => {
      const io = recordedIo();
      await (await openDocker(daemon(), { config })).start(sh(script, over), io);
      return io.text('stdout').trim();
    };

    test.for<[string, string, string]>([
      ['it is nobody', 'id -u; id -g', '65534\n65534'],
      [
        'it has no capability',
        "grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f2 | sort -u",
        '0000000000000000',
      ],
      ['it can gain no privilege', 'grep NoNewPrivs /proc/self/status | cut -f2', '1'],
      ['its system calls are filtered', 'grep Seccomp: /proc/self/status | cut -f2', '2'],
      [
        'it has no network',
        "ls /sys/class/net 2>/dev/null || cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '",
        'lo',
      ],
      ['it sees no process but its own', 'ls -d /proc/[0-9]* | wc -l | { read n; [ $n -le 8 ] && echo few; }', 'few'],
      [
        'it finds no socket of a daemon',
        'find / -xdev -type s 2>/dev/null; ls /var/run/docker.sock 2>/dev/null; echo none',
        'none',
      ],
      ['it writes to its own folder and /tmp', 'touch "$HOME/a" /tmp/b && echo written', 'written'],
      ['it executes what it put there', 'cp /bin/busybox "$HOME/busybox" && "$HOME/busybox" echo ran', 'ran'],
      [
        'it writes nowhere else',
        'for d in / /bin /etc /usr /errand; do touch $d/x 2>/dev/null && echo $d; done; echo none',
        'none',
      ],
      ['what it writes is bounded', 'head -c 20000000 /dev/zero > /tmp/big 2>/dev/null; wc -c < /tmp/big', '16777216'],
      ['it opens so many files', 'ulimit -n', '4096'],
      ['it leaves no core', 'ulimit -c', '0'],
    ])('%s', async ([, script, said]) => {
      expect(await tell(script, {}, { tmpMiB: 16 })).toBe(said);
    });

    test('what it asks for is what it gets: memory, processors, processes', async () => {
      const io = recordedIo();
      const run = sh('echo ready; sleep 1000', { memoryMiB: 48, cpu: 0.5 });
      const running = (await openDocker(daemon(), { config: { pids: 20 } })).start(run, io);
      await io.seen('stdout', 'ready');
      const { HostConfig } = JSON.parse(await daemon().text('GET', `/containers/errand-${run.key}/json`));
      expect(HostConfig).toMatchObject({
        Memory: 48 * 2 ** 20,
        MemorySwap: 48 * 2 ** 20,
        NanoCpus: 5e8,
        PidsLimit: 20,
      });
      io.stopNow();
      await running;
    });

    test('a bomb of processes harms itself only', async () => {
      const provider = await openDocker(daemon(), { config: { pids: 20 } });
      const io = recordedIo();
      const bomb = 'n=0; while [ $n -lt 60 ]; do sleep 1000 & n=$((n+1)); done 2>/dev/null; jobs | wc -l';
      const outcome = await provider.start(sh(`(${bomb}); echo "$?"`), io);
      expect(outcome).toMatchObject({ kind: 'ended' });
      expect(Number.parseInt(io.text('stdout') || '0', 10)).toBeLessThan(20);
      expect(await provider.start(sh('exit 4'), recordedIo())).toMatchObject({ exit: { exitCode: 4 } });
    });

    test('who takes more memory than it has is ended, and is told why', async () => {
      const provider = await openDocker(daemon());
      const outcome = await provider.start(sh('exec tail /dev/zero', { memoryMiB: 32 }), recordedIo());
      expect(outcome).toMatchObject({
        kind: 'ended',
        exit: { exitCode: null, signal: 'SIGKILL', detail: expect.stringMatching(/want of memory.* 32 MiB/) },
      });
      // Podman did not see the kernel's killer, and nobody else's word is taken for it.
      if (kind === 'dockerd') expect(outcome).toMatchObject({ exit: { outOfMemory: true } });
    });

    test('a kill of one’s own is none for want of memory', async () => {
      const outcome = await (await openDocker(daemon())).start(sh('kill -9 $$'), recordedIo());
      expect(outcome).toMatchObject({ exit: { signal: 'SIGKILL' } });
      expect(outcome).not.toHaveProperty('exit.outOfMemory');
    });
  });

  describe('images', () => {
    test('an image’s environment stays, its wishes on what is run, where and as whom do not', async () => {
      const io = recordedIo();
      const config = { images: ['localhost/*:latest'] };
      const run = sh('echo "$FROM_IMAGE $(id -u) $(pwd)"', { image: WILFUL_IMAGE });
      expect(await (await openDocker(daemon(), { config })).start(run, io)).toMatchObject({ exit: { exitCode: 0 } });
      expect(io.text('stdout')).toBe('yes 65534 /errand/work\n');
    });

    test.for<[string, string, string]>([
      ['is not allowed', 'localhost/other/busybox:latest', 'allows no image'],
      ['is not there, and none is pulled', 'localhost/nothing:latest', '404'],
    ])('an image that %s is refused for good', async ([, image, detail]) => {
      const provider = await openDocker(daemon(), { config: { images: ['localhost/*:latest'] } });
      expect(await provider.start(sh('true', { image }), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { retryable: false, detail: expect.stringContaining(detail) },
      });
    });

    test.for(['missing', 'always'] as const)('an image that cannot be pulled (%s) says so', async (pull) => {
      const image = '127.0.0.1:9/nothing:1';
      const provider = await openDocker(daemon(), { config: { images: ['127.0.0.1:9/*'], pull } });
      expect(await provider.start(sh('true', { image }), recordedIo())).toMatchObject({
        kind: 'rejected',
        fault: { detail: expect.stringMatching(/^The image 127\.0\.0\.1:9\/nothing:1 cannot be pulled: /) },
      });
    });

    // Podman takes an unencrypted registry only by its port in a file.
    describe.skipIf(kind === 'podman')('of a registry that must be signed in to', () => {
      const openPrivate = async ({ signsIn = true } = {}) => {
        const folder = tempDirectory();
        const registry = await openRegistry(packImage(folder));
        const [host = ''] = registry.image.split('/');
        const registryAuthFile = join(folder, 'config.json');
        const auth = Buffer.from('me:secret').toString('base64');
        writeFileSync(registryAuthFile, JSON.stringify({ auths: { [host]: { auth } } }));
        const config: Partial<DockerConfig> = {
          images: [`${host}/*`],
          pull: 'missing',
          ...(signsIn ? { registryAuthFile } : {}),
        };
        return { registry, open: (context = {}) => openDocker(daemon(), { config, context }) };
      };

      test('an image is pulled once, and runs', async () => {
        const { registry, open } = await openPrivate();
        const provider = await open();
        const ios = [recordedIo(), recordedIo()];
        const run = () => sh('echo from there', { image: registry.image });
        await Promise.all(ios.map((io) => provider.start(run(), io)));
        expect(ios.map((io) => io.text('stdout'))).toEqual(['from there\n', 'from there\n']);
        const asked = registry.asked.length;
        await provider.start(run(), recordedIo());
        expect(registry.asked).toHaveLength(asked);
        expect(registry.asked.filter((url) => url.includes('/blobs/')).length).toBe(2);
      });

      test('who is not known there is refused', async () => {
        const { registry, open } = await openPrivate({ signsIn: false });
        expect(await (await open()).start(sh('true', { image: registry.image }), recordedIo())).toMatchObject({
          kind: 'rejected',
          fault: { detail: expect.stringMatching(/cannot be pulled: .*(auth|denied)/) },
        });
        expect(registry.asked).toEqual([]);
      });

      test('a pull that takes long goes on while its command waits for its turn again', async () => {
        const { registry, open } = await openPrivate();
        const { promise: slow, resolve: goOn } = Promise.withResolvers<void>();
        registry.hold(slow);
        const provider = await open({ clock: fasterClock(100) });
        const run = () => sh('echo at last', { image: registry.image });
        const waiting = {
          detail: expect.stringContaining('still being pulled'),
          retryable: true,
          retryAfterSeconds: 5,
        };
        expect(await provider.start(run(), recordedIo())).toEqual({ kind: 'rejected', fault: waiting });
        goOn();
        const io = recordedIo();
        let started = await provider.start(run(), io);
        // As its worker does, for as long as it takes.
        while (started.kind === 'rejected' && started.fault.retryable) started = await provider.start(run(), io);
        expect(started).toMatchObject({ exit: { exitCode: 0 } });
        expect(io.text('stdout')).toBe('at last\n');
      });
    });

    test('a command asks for no more than the target gives', async () => {
      const provider = await openDocker(daemon(), { config: { maxCpu: 1, maxMemoryMiB: 64 } });
      for (const over of [{ cpu: 1.5 }, { memoryMiB: 65 }, { memoryMiB: 1 }]) {
        expect(await provider.start(sh('true', over), recordedIo())).toMatchObject({
          kind: 'rejected',
          fault: { retryable: false },
        });
      }
    });
  });

  describe('ends', () => {
    afterEach(async () => expect(await daemon().containers()).toEqual([]));

    test('all of a tree that ignores TERM and leaves its session is gone after a stop', async () => {
      const io = recordedIo();
      const run = sh("trap '' TERM; setsid sleep 1000 & (sleep 1000 &); echo ready; while :; do sleep 1000; done");
      const running = (await openDocker(daemon())).start(run, io);
      await io.seen('stdout', 'ready');
      expect(processesOf(run).length).toBeGreaterThanOrEqual(3);
      io.stopNow();
      expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: null, signal: 'SIGKILL' } });
      expect(processesOf(run)).toEqual([]);
    });

    test('what a command leaves behind in a session of its own is gone before its result is told', async () => {
      const run = sh('setsid sleep 1000 >/dev/null 2>&1 & echo started');
      expect(await (await openDocker(daemon())).start(run, recordedIo())).toMatchObject({ exit: { exitCode: 0 } });
      expect(processesOf(run)).toEqual([]);
    });

    test('a command that closes its streams is waited for', async () => {
      const clock = fasterClock(10);
      const provider = await openDocker(daemon(), { context: { clock } });
      const input = openInput();
      const run = sh('echo said; exec <&- >&- 2>&-; sleep 2; exit 3');
      const io = recordedIo({ stdin: input });
      expect(await provider.start(run, io)).toMatchObject({ kind: 'ended', exit: { exitCode: 3 } });
      expect(io.text('stdout')).toBe('said\n');
    });

    test('a stopped command goes on where it was', async () => {
      const io = recordedIo();
      const run = sh('while :; do echo tick; sleep 0.05; done');
      const running = (await openDocker(daemon())).start(run, io);
      const stateOf = async () =>
        JSON.parse(await daemon().text('GET', `/containers/errand-${run.key}/json`)).State.Status as string;
      await io.seen('stdout', 'tick');
      io.signal('SIGSTOP');
      await expect.poll(stateOf).toBe('paused');
      const before = io.text('stdout').length;
      io.signal('SIGCONT');
      await expect.poll(() => io.text('stdout').length).toBeGreaterThan(before);
      io.signal('SIGSTOP');
      await expect.poll(stateOf).toBe('paused');
      io.stopNow();
      expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: null } });
    });

    test('who does not read holds the command up, and misses nothing', async () => {
      const { promise: reading, resolve: readOn } = Promise.withResolvers<void>();
      let length = 0;
      const io = recordedIo({
        onOutput: async (stream, bytes) => {
          if (stream === 'stdout') length += bytes.length;
          await reading;
        },
      });
      const provider = await openDocker(daemon());
      const running = provider.start(sh('head -c 40000000 /dev/zero; echo done >&2'), io);
      // Meanwhile others come and go.
      for (let n = 0; n < 3; n++)
        expect(await provider.start(sh('exit 5'), recordedIo())).toMatchObject({ exit: { exitCode: 5 } });
      expect(length).toBeLessThan(2 * 2 ** 20);
      readOn();
      expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
      expect([length, io.text('stderr')]).toEqual([40_000_000, 'done\n']);
    });

    test('a taker that fails ends the command instead of leaving it to wait for ever', async () => {
      const io = recordedIo({ onOutput: () => Promise.reject(new Error('nobody takes it')) });
      expect(await (await openDocker(daemon())).start(sh('yes'), io)).toMatchObject({
        kind: 'ended',
        exit: { detail: expect.stringContaining('could not be taken') },
      });
    });

    test('of two workers with one attempt, one runs it', async () => {
      const workers = [await openDocker(daemon()), await openDocker(daemon())];
      let tickets = 1;
      const run = sh('echo ran; sleep 1');
      const ios = workers.map(() => recordedIo({ redeem: async () => tickets-- > 0 }));
      const outcomes = await Promise.all(workers.map((worker, n) => worker.start(run, ios[n] ?? recordedIo())));
      expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['ended', 'refused']);
      expect(ios.map((io) => io.text('stdout')).join('')).toBe('ran\n');
    });

    test('a run of a worker that lives is left alone; of a dead one it is ended and gone', async () => {
      const io = recordedIo();
      const run = sh('echo ready; sleep 1000', { worker: 'worker-1' });
      const running = (await openDocker(daemon())).start(run, io);
      await io.seen('stdout', 'ready');
      const lives = await openDocker(daemon(), { context: { isWorkerAlive: async (name) => name === 'worker-1' } });
      expect(await lives.observe(run)).toEqual({ kind: 'alive' });
      const dead = await openDocker(daemon(), { context: { isWorkerAlive: async () => false } });
      expect(await dead.observe(run)).toMatchObject({ kind: 'gone' });
      expect(processesOf(run)).toEqual([]);
      await running;
    });

    test.for<[string, object]>([
      ['another installation', { installation: 'another' }],
      ['another store of the same name', { storeId: 'another' }],
    ])('%s sees nothing of a run, and ends nothing', async ([, context]) => {
      const io = recordedIo();
      const run = sh('echo ready; sleep 1000');
      const own = await openDocker(daemon());
      const running = own.start(run, io);
      await io.seen('stdout', 'ready');
      const other = await openDocker(daemon(), { context: { isWorkerAlive: async () => false, ...context } });
      expect(await heldBy(other)).toEqual([]);
      expect(await other.observe(run)).toEqual({ kind: 'gone' });
      await other.cancel(run);
      expect(processesOf(run).length).toBeGreaterThan(0);
      const held = await heldBy(own);
      expect(held).toMatchObject([{ key: run.key, tenant: run.tenant, worker: run.worker }]);
      expect(Math.abs((held[0]?.createdAt ?? 0) - systemClock.now())).toBeLessThan(60_000);
      // As the search for what is left over does it.
      const sweeper = await openDocker(daemon());
      await sweeper.cancel(run);
      expect(processesOf(run)).toEqual([]);
      await running;
    });

    test('a daemon that dies makes the run lost; what it goes on with is ended once it is back', async () => {
      const provider = await openDocker(daemon());
      const io = recordedIo();
      const run = sh('echo ready; sleep 1000');
      const running = provider.start(run, io);
      await io.seen('stdout', 'ready');
      await daemon().restart('SIGKILL');
      expect(await running).toMatchObject({ kind: 'lost', detail: expect.stringContaining('broke') });
      expect(processesOf(run)).toEqual([]);
      expect(await provider.start(sh('exit 4'), recordedIo())).toMatchObject({ exit: { exitCode: 4 } });
    });
  });
};
