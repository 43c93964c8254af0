import { expect, onTestFinished } from 'vitest';
import { systemClock, systemRandom } from '../../../../machine/system-clock.ts';
import type { Clock } from '../../../../shared/domain/clock.ts';
import { azureContainerInstances } from '../../../../shared/providers/azure-container-instances/azure-container-instances.ts';
import { ContainerInstancesConfig } from '../../../../shared/providers/azure-container-instances/config.ts';
import { groupNameOf } from '../../../../shared/providers/azure-container-instances/group.ts';
import type { HeldRun, Provider, Run } from '../../../../shared/providers/provider.ts';
import { RUNNER_COMMAND } from '../../../../shared/runner/program.ts';
import { silentLog } from '../../../../shared/telemetry/log.ts';
import { openRemote } from '../../remote.ts';
import { aRun } from '../../run-io.ts';
import { RUNNER_MAIN } from '../../spawned-runner.ts';
import { tempDirectory } from '../../temp-directory.ts';
import { type ContainerInstancesOptions, SUBSCRIPTION } from './api.ts';
import { startContainerInstances } from './container-instances-cloud.ts';

const RESOURCE_GROUP = 'errand';
export const CONFIG = {
  subscriptionId: SUBSCRIPTION,
  resourceGroup: RESOURCE_GROUP,
  location: 'westeurope',
  image: 'errand-base',
};
export const INSTALLATION = 'errand-test';

interface OpenOptions extends Partial<ContainerInstancesOptions> {
  readonly config?: object;
  readonly clock?: Clock;
}

/** The provider on Container Instances of the test's own. */
export const openContainerInstances = async ({ config = {}, clock = systemClock, ...options }: OpenOptions = {}) => {
  const cloud = await startContainerInstances({
    folder: tempDirectory(),
    resourceGroup: RESOURCE_GROUP,
    programs: { [RUNNER_COMMAND[0]]: [process.execPath, RUNNER_MAIN] },
    graceMs: 8_000,
    ...options,
  });
  const remote = await openRemote();
  const parsed = ContainerInstancesConfig.parse({ ...CONFIG, endpoint: cloud.endpoint, ...config });
  const context = { clock, random: systemRandom, log: silentLog, installation: INSTALLATION, runnerUrl: remote.url };
  const own = await azureContainerInstances(parsed, context);
  onTestFinished(async () => {
    await own.close();
    await cloud.close();
    await remote.close();
  });
  return {
    cloud,
    /** As it is. */
    own,
    /** With a control plane that its runners find. */
    provider: remote.wrap(own),
    context,
    parsed,
    /** The group of a run, which has to be there. */
    groupOf: (run: Run) => {
      const group = cloud.groups.get(groupNameOf(INSTALLATION, run));
      if (!group) throw new Error('There is no such group');
      return group;
    },
  };
};

/** In the runner's place: a program that is there and does nothing, until it is told to end. */
export const WAITS = { [RUNNER_COMMAND[0]]: ['/bin/sleep', '1000'] };
export const runs = (script: string) => ({ [RUNNER_COMMAND[0]]: ['/bin/sh', '-c', script] });
export const sh = (script: string, over: Partial<Run> = {}): Run => aRun(['/bin/sh', '-c', script], over);
export const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
};
export const heldBy = async (provider: Provider): Promise<HeldRun[]> => {
  const held: HeldRun[] = [];
  for await (const run of provider.held?.() ?? []) held.push(run);
  return held;
};
/** The system's clock, whose waits are over at once. */
export const hurried: Clock = {
  now: systemClock.now,
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal),
  after: (ms, wake) => systemClock.after(Math.min(ms, 50), wake),
};

const PROPERTIES = {
  osType: 'Linux',
  containers: [
    {
      name: 'one',
      properties: {
        image: 'alpine',
        command: ['/bin/sleep', '1000'],
        resources: { requests: { cpu: 1, memoryInGB: 1 } },
      },
    },
  ],
};

/** As someone else does who may make groups there. */
export const putAsSomeoneElse = async (endpoint: string, name: string, tags?: object): Promise<void> => {
  const path = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${RESOURCE_GROUP}/providers/Microsoft.ContainerInstance/containerGroups/${name}`;
  const headers = { authorization: 'Bearer someone', 'content-type': 'application/json' };
  const url = `${endpoint}${path}?api-version=2023-05-01`;
  const { status } = await fetch(url, {
    method: 'PUT',
    headers,
    body: JSON.stringify({ location: 'westeurope', ...(tags ? { tags } : {}), properties: PROPERTIES }),
  });
  expect(status).toBe(201);
};
