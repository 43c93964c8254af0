import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LOOPBACK, openDoor } from '../../local/door.ts';
import { makeGateway } from '../../local/gateway.ts';
import { listen } from '../../local/http-server.ts';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { advance } from '../../shared/app/advance.ts';
import { checkTargets } from '../../shared/app/check-targets.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { makeFleet } from '../../shared/app/fleet.ts';
import { makeDeps } from '../../shared/app/make-deps.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { sweep } from '../../shared/app/sweep.ts';
import { waitForCommand } from '../../shared/app/wait-for-command.ts';
import type { SubmitCommand } from '../../shared/contract/schemas.ts';
import type { Command } from '../../shared/domain/command.ts';
import { DEFAULT_RULES } from '../../shared/engine/rules.ts';
import { inProcessChanges } from '../../shared/events/changes.ts';
import { filesObjects } from '../../shared/objects/files.ts';
import { loadProvider } from '../../shared/providers/registry.ts';
import { configureTarget, type TargetConfig } from '../../shared/providers/targets.ts';
import { inProcessQueue } from '../../shared/queue/in-process.ts';
import { RUNNER_COMMAND } from '../../shared/runner/program.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { testAudit } from '../support/audit.ts';
import { SUBSCRIPTION } from '../support/clouds/azure-container-instances/api.ts';
import { startContainerInstances } from '../support/clouds/azure-container-instances/container-instances-cloud.ts';
import { startCloudRunCloud } from '../support/clouds/cloud-run/cloud-run-cloud.ts';
import { owner, ownerAccess } from '../support/deps.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { RUNNER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { testVault } from '../support/vault.ts';

/** Real time passes here, so waits are short. */
const RULES = {
  ...DEFAULT_RULES,
  ...{ startSeconds: 1, goneSeconds: 1, pollSeconds: 1, stopSeconds: 1, unreachableSeconds: 1 },
};

const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await systemClock.sleep(50);
};

/**
 * Cloud Run and Container Instances as local servers that really run what they are given, the first behind a line that can be
 * cut; and a control plane behind a port, which their runners find.
 */
const open = async ({ startDelayMs = 20 } = {}) => {
  const directory = tempDirectory();
  const closing = new AbortController();
  const programs = { [RUNNER_COMMAND[0]]: [process.execPath, RUNNER_MAIN] };
  const cloudRun = await startCloudRunCloud({ folder: tempDirectory(), programs, startDelayMs });
  const azure = await startContainerInstances({ folder: tempDirectory(), programs, graceMs: 500 });
  const line = await faultProxy(cloudRun.endpoint);
  const configs: TargetConfig[] = [
    {
      name: 'cloud-run',
      provider: 'cloud-run',
      config: {
        project: 'a-project',
        region: 'europe-west1',
        image: 'errand-base',
        serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
        endpoint: line.endpoint,
      },
    },
    {
      name: 'azure',
      provider: 'azure-container-instances',
      config: {
        subscriptionId: SUBSCRIPTION,
        resourceGroup: 'errand',
        location: 'westeurope',
        image: 'errand-base',
        endpoint: azure.endpoint,
      },
    },
  ];
  let runnerUrl = '';
  const targets = configs.map((config) =>
    configureTarget(config, loadProvider, () => ({
      // A cut line is told as such after some tries.
      clock: fasterClock(20),
      random: systemRandom,
      log: silentLog,
      installation: 'errand-test',
      runnerUrl,
    })),
  );
  const store = sqliteStore({ file: join(directory, 'errand.db') });
  const queue = inProcessQueue({ clock: systemClock });
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
      targets: targets as [(typeof targets)[0], ...typeof targets],
      worker: 'worker-1',
      lookEverySeconds: 1,
      closing: closing.signal,
      log: silentLog,
    }),
    rules: RULES,
  };
  queue.consume(async (wakeUp) => void (await advance(deps, wakeUp)), { concurrency: 8 });
  const server = await listen(makeGateway(deps), { ...LOOPBACK, port: 0, door: openDoor(LOOPBACK), log: silentLog });
  runnerUrl = server.url;
  const sweeping = (async () => {
    for (; !closing.signal.aborted; await systemClock.sleep(100, closing.signal)) await sweep(deps);
  })();
  onTestFinished(async () => {
    closing.abort();
    await sweeping;
    await queue.close();
    await Promise.all(targets.map((target) => target.close()));
    await Promise.all([server.close(), cloudRun.close(), azure.close()]);
    await store.close();
  });
  return {
    deps,
    cloudRun,
    cut: () => line.fail('reset'),
    mend: () => line.fail('reset', 0),
    callsToCloudRun: () => line.seen.length,
    submit: async (body: Partial<SubmitCommand>) =>
      (
        await submitCommand(deps, owner, {
          body: { argv: ['true'], target: 'cloud-run', failover: ['azure'], ...body },
        })
      ).command,
    now: async ({ id, tenant }: Command) => (await deps.commands.find(referenceOf(tenant, id)))?.command as Command,
    end: (command: Command) => waitForCommand(deps, command, 25),
    /** Checks that come half a minute later, which nobody waits for here, and until this worker knows what they found. */
    findWell: async () => {
      const clock = { ...systemClock, now: () => systemClock.now() + 31_000 };
      const fleet = makeFleet({ ...deps, clock, isTimed: () => false });
      for (let i = 0; i < 2; i++) await checkTargets({ ...deps, clock, fleet });
      await until(async () => {
        await deps.fleet.refresh();
        return !deps.fleet.isDown('cloud-run');
      });
    },
    stateOf: (name: string) => deps.fleet.of(name).condition?.state ?? 'healthy',
  };
};

test('what a cloud accepted before it went down runs on the next one, and the machine that comes up late is refused the ticket', {
  timeout: 40_000,
}, async () => {
  const { cloudRun, cut, mend, findWell, submit, now, end, stateOf } = await open({ startDelayMs: 10_000 });
  const ran = join(tempDirectory(), 'ran');
  const script = 'echo "$ERRAND_ATTEMPT" >> "$0"; echo "attempt $ERRAND_ATTEMPT"';
  const command = await submit({ argv: ['/bin/sh', '-c', script, ran] });
  await until(() => cloudRun.executions.length === 1);
  await until(async () => (await now(command)).attempts[0]?.ref !== undefined);
  cut();
  const ended = await end(command);
  expect(ended).toMatchObject({
    status: 'succeeded',
    attempts: [
      { number: 1, target: 'cloud-run', status: 'expired', detail: expect.stringContaining('is down') },
      { number: 2, target: 'azure', status: 'succeeded' },
    ],
  });
  expect(stateOf('cloud-run')).toBe('down');
  const [late] = cloudRun.executions;
  // Nobody could take it back: its container starts after all, and leaves without a word.
  expect(late?.isOver()).toBe(false);
  await late?.ended;
  expect(late?.tries()).toBe(1);
  expect(readFileSync(ran, 'utf8')).toBe(`${command.id}-2\n`);
  expect(await now(command)).toMatchObject({
    result: ended.result,
    attempts: [{ held: true }, { status: 'succeeded' }],
  });
  // What was left there is removed once calls are made again.
  mend();
  await findWell();
  await until(async () => (await now(command)).dueAt === undefined);
});

test('a cloud that answers nothing is left alone after three starts, and is used again once checks find it well', {
  timeout: 40_000,
}, async () => {
  const { cut, mend, findWell, submit, end, stateOf, callsToCloudRun, cloudRun } = await open();
  cut();
  for (let i = 0; i < 3; i++) {
    expect(await end(await submit({}))).toMatchObject({
      status: 'succeeded',
      attempts: [{ target: 'cloud-run', status: 'expired' }, { target: 'azure' }],
    });
  }
  await until(() => stateOf('cloud-run') === 'down');
  const calls = callsToCloudRun();
  expect((await end(await submit({}))).attempts).toMatchObject([{ number: 1, target: 'azure' }]);
  expect(callsToCloudRun()).toBe(calls);
  mend();
  await findWell();
  expect((await end(await submit({}))).attempts).toMatchObject([{ number: 1, target: 'cloud-run' }]);
  expect(stateOf('cloud-run')).not.toBe('down');
  expect(cloudRun.executions).toHaveLength(1);
});
