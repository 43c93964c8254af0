import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LOOPBACK, openDoor } from '../../local/door.ts';
import { makeGateway } from '../../local/gateway.ts';
import { type HttpServer, listen } from '../../local/http-server.ts';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { advance } from '../../shared/app/advance.ts';
import { cancelCommand } from '../../shared/app/cancel-command.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { makeDeps } from '../../shared/app/make-deps.ts';
import { signalCommand } from '../../shared/app/signal-command.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { sweep } from '../../shared/app/sweep.ts';
import { waitForCommand } from '../../shared/app/wait-for-command.ts';
import type { SubmitCommand } from '../../shared/contract/schemas.ts';
import type { Command } from '../../shared/domain/command.ts';
import { DEFAULT_RULES } from '../../shared/engine/rules.ts';
import { inProcessChanges } from '../../shared/events/changes.ts';
import { filesObjects } from '../../shared/objects/files.ts';
import { inProcessQueue } from '../../shared/queue/in-process.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { testAudit } from '../support/audit.ts';
import { owner, ownerAccess } from '../support/deps.ts';
import { sh } from '../support/errand.ts';
import { processesWith } from '../support/processes.ts';
import { spawnedRunner, spawnedRunnerFeatures } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { testVault } from '../support/vault.ts';

/** Real time passes here, so leases are short. */
const RULES = { ...DEFAULT_RULES, leaseSeconds: 3, goneSeconds: 2, pollSeconds: 1, stopSeconds: 2 };

/** Everything real: the store, the handlers behind a port, and the runner as a process of its own. */
const open = async () => {
  const directory = tempDirectory();
  const closing = new AbortController();
  const store = sqliteStore({ file: join(directory, 'errand.db') });
  const queue = inProcessQueue({ clock: systemClock });
  const tmp = tempDirectory();
  let provider: ReturnType<typeof spawnedRunner> | undefined;
  const deps: Deps = {
    ...makeDeps({
      ...testAudit,
      clock: systemClock,
      random: systemRandom,
      access: ownerAccess,
      store,
      objects: filesObjects({ directory: join(directory, 'objects') }),
      vault: testVault(directory),
      queue,
      changes: inProcessChanges(systemClock),
      targets: [
        {
          name: 'elsewhere',
          provider: 'spawned-runner',
          features: spawnedRunnerFeatures,
          load: async () => provider as ReturnType<typeof spawnedRunner>,
          health: async () => ({ healthy: true }),
        },
      ],
      worker: 'worker-1',
      lookEverySeconds: 1,
      closing: closing.signal,
      log: silentLog,
    }),
    rules: RULES,
  };
  queue.consume(async (wakeUp) => void (await advance(deps, wakeUp)), { concurrency: 8 });
  const gateway = makeGateway(deps);
  let server: HttpServer | undefined = await listen(gateway, {
    ...LOOPBACK,
    port: 0,
    door: openDoor(LOOPBACK),
    log: silentLog,
  });
  const { url } = server;
  provider = spawnedRunner({ runnerUrl: url, tmp });
  const sweeping = (async () => {
    for (; !closing.signal.aborted; await systemClock.sleep(100, closing.signal)) await sweep(deps);
  })();
  onTestFinished(async () => {
    closing.abort();
    await sweeping;
    await queue.close();
    await provider?.close();
    await server?.close();
    await store.close();
  });
  return {
    deps,
    submit: async (body: SubmitCommand) => (await submitCommand(deps, owner, { body })).command,
    end: (command: Command) => waitForCommand(deps, command, 25),
    outputOf: async ({ id, tenant }: Command) => {
      const pieces = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
      for await (const { segments, bytes } of deps.output.read(referenceOf(tenant, id), 1, 0)) {
        let at = 0;
        for (const { stream, length } of segments) {
          pieces[stream].push(bytes.subarray(at, at + length));
          at += length;
        }
      }
      return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr) };
    },
    stopServing: async () => {
      await server?.close();
      server = undefined;
    },
    serveAgain: async () => {
      server = await listen(gateway, {
        ...LOOPBACK,
        port: Number(new URL(url).port),
        door: openDoor(LOOPBACK),
        log: silentLog,
      });
    },
  };
};
type Opened = Awaited<ReturnType<typeof open>>;

const untilOutput = async ({ outputOf }: Opened, command: Command, text: string): Promise<void> => {
  while (!(await outputOf(command)).stdout.includes(text)) await systemClock.sleep(20);
};
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('a command with its runner elsewhere', () => {
  test('is given its secrets, and what its runner sends is masked and counted', async () => {
    const opened = await open();
    const value = 'hunter2-is-no-password';
    await opened.deps.secrets.put(owner.tenant, 'token', { bytes: Buffer.from(value), by: 'owner' });
    const command = await opened.submit({
      ...sh(
        `[ "$TOKEN" = ${value} ] && echo "same $TOKEN"; printf %s "$TOKEN" | od -An -vtx1 | tr -d ' \\n' >&2; exit 3`,
      ),
      secrets: { TOKEN: 'secret:token' },
    } as SubmitCommand);
    expect(await opened.end(command)).toMatchObject({
      status: 'failed',
      result: { exitCode: 3, redactions: 2, stdoutBytes: 9, stderrBytes: 3 },
    });
    const { stdout, stderr } = await opened.outputOf(command);
    expect([stdout.toString(), stderr.toString()]).toEqual(['same ***\n', '***']);
  });

  test('runs to its end: exact output of both streams, input, exit code', async () => {
    const opened = await open();
    const input = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 256));
    const command = await opened.submit({ argv: ['/bin/sh', '-c', 'tee /dev/stderr; exit 7'], stdin: 'open' });
    const reference = referenceOf(command.tenant, command.id);
    for (let from = 0; from < input.length; from += 100_000) {
      await opened.deps.stdin.append(reference, input.subarray(from, from + 100_000), from);
    }
    await opened.deps.stdin.end(reference);
    const ended = await opened.end(command);
    expect(ended).toMatchObject({
      status: 'failed',
      result: { exitCode: 7, reason: 'exit', stdoutBytes: 300_000, stderrBytes: 300_000 },
    });
    expect(ended.dueAt).toBeUndefined();
    const { stdout, stderr } = await opened.outputOf(command);
    expect([sha256(stdout), sha256(stderr)]).toEqual([sha256(input), sha256(input)]);
  });

  test('hears signals, and outlives many leases', async () => {
    const opened = await open();
    const command = await opened.submit(
      sh("exec 2>/dev/null; trap 'echo got it; exit 0' USR1; echo ready; while :; do sleep 0.05; done"),
    );
    await untilOutput(opened, command, 'ready');
    await systemClock.sleep(RULES.leaseSeconds * 2_000);
    await signalCommand(opened.deps, owner, command.id, 'SIGUSR1');
    expect(await opened.end(command)).toMatchObject({ status: 'succeeded', attempts: [{ number: 1 }] });
    expect((await opened.outputOf(command)).stdout.toString()).toBe('ready\ngot it\n');
  });

  test('that is canceled is canceled when all of it is gone', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 1000 & sleep 1000'));
    await untilOutput(opened, command, 'ready');
    await cancelCommand(opened.deps, owner, command.id);
    expect(await opened.end(command)).toMatchObject({ status: 'canceled', result: { stdoutBytes: 6 } });
    if (process.platform === 'linux') expect(processesWith(`ERRAND_ATTEMPT=${command.id}-1`)).toEqual([]);
  });

  test('that takes longer than it may is timed out', async () => {
    const opened = await open();
    const command = await opened.submit(sh('echo ready; sleep 1000', { timeoutSeconds: 1 }));
    expect(await opened.end(command)).toMatchObject({
      status: 'timed_out',
      result: { reason: 'timeout', stdoutBytes: 6 },
    });
  });

  test.skipIf(process.platform !== 'linux')(
    'whose runner is killed is lost, with the output that it had brought, and nothing of it is left',
    async () => {
      const opened = await open();
      const command = await opened.submit(sh('echo ready; sleep 1000'));
      await untilOutput(opened, command, 'ready');
      const [runner] = processesWith(`ERRAND_RUNNER_TOKEN=default.${command.id}.1.`);
      process.kill(runner as number, 'SIGKILL');
      expect(await opened.end(command)).toMatchObject({ status: 'lost', result: { reason: 'lost', stdoutBytes: 6 } });
      expect((await opened.outputOf(command)).stdout.toString()).toBe('ready\n');
      while (processesWith(`ERRAND_ATTEMPT=${command.id}-1`).length > 0) await systemClock.sleep(20);
    },
  );

  test.skipIf(process.platform !== 'linux')(
    'whose machine is told to end by its provider is lost, and tried again when that is wanted',
    async () => {
      const opened = await open();
      const script = 'echo ready; [ -e "$0" ] && exit 0; touch "$0"; sleep 1000';
      const marker = join(tempDirectory(), 'ran');
      const retry: SubmitCommand['retry'] = { maxAttempts: 2, on: ['lost'] };
      const command = await opened.submit({ argv: ['/bin/sh', '-c', script, marker], retry });
      while (!existsSync(marker)) await systemClock.sleep(20);
      const [runner] = processesWith(`ERRAND_RUNNER_TOKEN=default.${command.id}.1.`);
      process.kill(runner as number, 'SIGTERM');
      expect(await opened.end(command)).toMatchObject({
        status: 'succeeded',
        attempts: [
          {
            status: 'lost',
            result: { reason: 'lost', signal: null, stdoutBytes: 6, detail: expect.stringContaining('told to end') },
          },
          { status: 'succeeded' },
        ],
      });
    },
  );

  test.for<[string, string, string]>([
    ['while it runs', 'echo ready; sleep 4; seq 100000; sleep 2; echo done', 'ready'],
    ['when it ends', 'echo ready; sleep 1; seq 100000; echo done', 'ready'],
  ])('loses nothing when the control plane is away for some seconds %s', async ([, script, text]) => {
    const opened = await open();
    const command = await opened.submit(sh(script));
    await untilOutput(opened, command, text);
    await opened.stopServing();
    await systemClock.sleep(5_000);
    await opened.serveAgain();
    expect(await opened.end(command)).toMatchObject({ status: 'succeeded', attempts: [{ number: 1 }] });
    const lines = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join('');
    expect((await opened.outputOf(command)).stdout.toString()).toBe(`ready\n${lines}done\n`);
  });
});
