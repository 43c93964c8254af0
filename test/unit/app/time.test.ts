import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Deps } from '../../../shared/app/deps.ts';
import { observeCommand } from '../../../shared/app/observe-command.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { recover, sweep } from '../../../shared/app/sweep.ts';
import { waitForCommand } from '../../../shared/app/wait-for-command.ts';
import type { SubmitCommand } from '../../../shared/contract/schemas.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { DEFAULT_RULES } from '../../../shared/engine/rules.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { settle } from '../../support/fake-clock.ts';
import { processesWith } from '../../support/processes.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const MINUTE = 60_000;
const submit = async (deps: Deps, body: SubmitCommand): Promise<Command> =>
  (await submitCommand(deps, owner, { body })).command;
const sh = (script: string, over: Partial<SubmitCommand> = {}): SubmitCommand => ({
  argv: ['/bin/sh', '-c', script],
  ...over,
});
const now = async (deps: Deps, { id, tenant }: Command) =>
  (await deps.commands.find(referenceOf(tenant, id)))?.command as Command;
/** Waits for real work; only the clock is not real. */
const untilEnd = (deps: Deps, command: Command) => waitForCommand(deps, command, 1_000_000);
/** Output waits a moment for more before it is stored, so the clock is moved by as little as it takes. */
const untilOutput = async (deps: TestWorker, { id, tenant }: Command) => {
  while ((await deps.output.size(referenceOf(tenant, id), 1)).stdoutBytes === 0) await deps.clock.advance(1);
};

describe('time', () => {
  test('a command that nobody starts expires with its queue TTL', async () => {
    const deps = await testWorker({ work: false });
    const command = await submit(deps, { argv: ['true'], queueTtlSeconds: 100 });
    await deps.clock.advance(99_000);
    await sweep(deps);
    expect((await now(deps, command)).status).toBe('queued');
    await deps.clock.advance(1_000);
    await sweep(deps);
    expect(await now(deps, command)).toMatchObject({ status: 'expired', result: { reason: 'timeout' } });
  });

  test('a command whose wake-up was lost is found by the sweeper', async () => {
    let lost = 1;
    const deps = await testWorker({ loses: () => lost-- > 0 });
    const command = await submit(deps, { argv: ['true'] });
    await settle();
    expect(await sweep(deps)).toBe(0);
    expect((await now(deps, command)).status).toBe('queued');
    await deps.clock.advance(DEFAULT_RULES.requeueSeconds * 1_000);
    expect(await sweep(deps)).toBe(1);
    expect((await untilEnd(deps, command)).status).toBe('succeeded');
  });

  test('the run time-out ends a command to the millisecond, and all that it started', async () => {
    const deps = await testWorker();
    const mark = `MARK-${Math.random()}`;
    const command = await submit(
      deps,
      sh("trap '' TERM; setsid sleep 1000 & echo ready; while :; do sleep 1; done", {
        timeoutSeconds: 3 * 60,
        env: { mark },
      }),
    );
    await untilOutput(deps, command);
    const { startedAt = 0 } = await now(deps, command);
    await deps.clock.advance(startedAt + 3 * MINUTE - 1 - deps.clock.now());
    expect((await now(deps, command)).attempts[0]?.stop).toBeUndefined();
    await deps.clock.advance(1);
    const ended = await untilEnd(deps, command);
    expect(ended).toMatchObject({ status: 'timed_out', result: { reason: 'timeout', durationMs: 3 * MINUTE } });
    if (process.platform === 'linux') expect(processesWith(mark)).toEqual([]);
  });

  test('a run that lasts keeps its lease, and others leave it alone', async () => {
    const store = sqliteStore({ file: ':memory:' });
    const directory = tempDirectory();
    const one = await testWorker({ store, directory });
    const two = await testWorker({ store, directory, name: 'worker-2', clock: one.clock });
    const command = await submit(one, { argv: ['cat'], stdin: 'open', timeoutSeconds: 3_600 });
    await settle();
    for (let minute = 0; minute < 20; minute++) {
      await one.clock.advance(MINUTE);
      await sweep(two);
    }
    expect(await now(two, command)).toMatchObject({ status: 'running', attempts: [{ worker: 'worker-1' }] });
    await one.stdin.end(referenceOf(command.tenant, command.id));
    expect((await untilEnd(one, command)).status).toBe('succeeded');
  });

  test('a retry waits for its backoff, by the clock', async () => {
    const deps = await testWorker();
    const file = join(tempDirectory(), 'tries');
    const command = await submit(
      deps,
      sh(`echo x >> ${file}; exit 1`, { retry: { maxAttempts: 3, on: ['nonzero-exit'] } }),
    );
    const attemptsAfter = async (wait: number) => {
      await deps.clock.advance(wait);
      await untilQueuedOrFinal(deps, command);
      return readFileSync(file, 'utf8').length / 2;
    };
    expect(await attemptsAfter(0)).toBe(1);
    expect(await attemptsAfter(499)).toBe(1);
    expect(await attemptsAfter(1)).toBe(2);
    expect(await attemptsAfter(999)).toBe(2);
    expect(await attemptsAfter(1)).toBe(3);
    expect((await now(deps, command)).status).toBe('failed');
  });
});

describe('a worker that dies', () => {
  /** Two workers of one installation. Buried, the first is out of touch with the store for good. */
  const twoWorkers = async () => {
    const store = sqliteStore({ file: ':memory:' });
    const directory = tempDirectory();
    let isAlive = true;
    const whileAlive = <T>(call: () => Promise<T>): Promise<T> =>
      isAlive ? call() : Promise.reject(new Error('dead'));
    const mortal: Store = {
      ...store,
      get: (key) => whileAlive(() => store.get(key)),
      write: (writes) => whileAlive(() => store.write(writes)),
    };
    const first = await testWorker({ store: mortal, directory });
    const isOwnerAlive = (worker: string) => worker !== 'worker-1' || isAlive;
    const second = await testWorker({ store, directory, name: 'worker-2', clock: first.clock, isOwnerAlive });
    return { first, second, bury: () => (isAlive = false) };
  };

  test('while its command runs: the command is lost once the lease is over, not before, and never run again', async () => {
    const { first, second, bury } = await twoWorkers();
    const file = join(tempDirectory(), 'ran');
    const command = await submit(first, sh(`echo ran >> ${file}; echo ready; sleep 1000`));
    await untilOutput(first, command);
    bury();
    await sweep(second);
    expect((await now(second, command)).status).toBe('running');
    await first.clock.advance(DEFAULT_RULES.leaseSeconds * 1_000);
    await sweep(second);
    expect(await untilEnd(second, command)).toMatchObject({ status: 'lost', attempts: [{ worker: 'worker-1' }] });
    expect(readFileSync(file, 'utf8')).toBe('ran\n');
  });

  test('while its command runs: a restart finds it without waiting for the lease, and retries if it was asked to', async () => {
    const { first, second, bury } = await twoWorkers();
    const script = 'echo "$ERRAND_ATTEMPT"; case $ERRAND_ATTEMPT in *-1) sleep 1000;; esac';
    const command = await submit(first, sh(script, { retry: { maxAttempts: 2, on: ['lost'] } }));
    await untilOutput(first, command);
    bury();
    await recover(second);
    expect((await now(second, command)).attempts).toMatchObject([{ status: 'lost' }]);
    await second.clock.advance(MINUTE);
    expect(await untilEnd(second, command)).toMatchObject({
      status: 'succeeded',
      attempts: [{}, { worker: 'worker-2' }],
    });
  });

  test('between claiming and redeeming: the command never ran, and runs', async () => {
    const deps = await testWorker({ work: false, isOwnerAlive: () => false });
    const command = await submit(deps, { argv: ['true'] });
    const reference = referenceOf(command.tenant, command.id);
    const claimed = { kind: 'looked', worker: 'dead', ticket: 'its ticket', holding: false } as const;
    const claim = await observeCommand(deps, reference, claimed);
    // It is stored with the redemption, which never came.
    expect((await now(deps, command)).status).toBe('queued');
    const second = await testWorker({
      store: deps.store,
      name: 'worker-2',
      clock: deps.clock,
      isOwnerAlive: () => false,
    });
    await recover(second);
    await second.clock.advance(MINUTE);
    expect(await untilEnd(second, command)).toMatchObject({
      status: 'succeeded',
      attempts: [{ status: 'succeeded', worker: 'worker-2' }],
    });
    // Should it come back to life, its ticket is void.
    const redeemed = { kind: 'redeemed', attempt: 1, ticket: 'its ticket' } as const;
    const late = await observeCommand(deps, reference, redeemed, { from: claim?.stored });
    expect(late?.changed).toBe(false);
  });

  test.skipIf(process.platform !== 'linux')(
    'only seemingly, and comes back: it ends what it carries, and its word counts no more',
    async () => {
      const deps = await testWorker();
      const mark = `MARK-${Math.random()}`;
      const command = await submit(deps, sh('echo ready; sleep 1000', { env: { mark } }));
      await untilOutput(deps, command);
      const reference = referenceOf(command.tenant, command.id);
      await observeCommand(deps, reference, {
        kind: 'gone',
        attempt: 1,
        output: { stdoutBytes: 6, stderrBytes: 0, droppedBytes: 0 },
      });
      deps.changes.announce(reference, 'record');
      while (processesWith(mark).length > 0) await settle();
      expect((await now(deps, command)).status).toBe('lost');
    },
  );
});

describe('the store', () => {
  test('that is away when a command ends is told again and again, and the end is not lost', async () => {
    const real = sqliteStore({ file: ':memory:' });
    let away = false;
    const errors: string[] = [];
    const deps = await testWorker({
      log: { ...silentLog, error: (message) => errors.push(message) },
      store: { ...real, write: (writes) => (away ? Promise.reject(new Error('away')) : real.write(writes)) },
    });
    const file = join(tempDirectory(), 'go');
    const command = await submit(deps, sh(`while [ ! -e ${file} ]; do sleep 0.01; done; echo done`));
    await settle();
    while ((await now(deps, command)).status !== 'running') await settle();
    away = true;
    const { writeFileSync } = await import('node:fs');
    writeFileSync(file, '');
    while (errors.length === 0) await settle();
    await deps.clock.advance(5_000);
    expect(errors.length).toBeGreaterThanOrEqual(5);
    expect((await now(deps, command)).status).toBe('running');
    away = false;
    while ((await now(deps, command)).status === 'running') await deps.clock.advance(1_000);
    expect(await now(deps, command)).toMatchObject({ status: 'succeeded', result: { stdoutBytes: 5 } });
    expect(existsSync(file)).toBe(true);
  });
});

const untilQueuedOrFinal = async (deps: Deps, command: Command): Promise<void> => {
  for (;;) {
    await settle();
    const { status } = await now(deps, command);
    if (status !== 'starting' && status !== 'running') return;
  }
};
