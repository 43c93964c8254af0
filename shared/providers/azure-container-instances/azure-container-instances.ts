import type { ContainerGroup } from '@azure/arm-containerinstance';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Observed, Provider, Run, RunName, StartOutcome } from '../provider.ts';
import { makeAzureCalls, makeClient } from './client.ts';
import { type ContainerInstancesConfig, containerInstancesFeatures } from './config.ts';
import { makeCreateMeter } from './create-meter.ts';
import { codeOf, statusOf, toFault } from './faults.ts';
import { CONTAINER, groupNameOf, heldRunOf, type Shape, toGroup, toShape } from './group.ts';
import { isRunning, toObserved } from './observed.ts';
import { requireResourceGroup } from './preparation.ts';

/** A runner that is told to end has its command ended, and reports: its grace is 5 s. */
const END_PATIENCE_MS = 10_000;
const FIRST_LOOK_MS = 250;
const LOOK_MS = 2_000;
const LOG_LINES = 20;
const MOST_PAGES = 50;

/** Runs each attempt as a container group of its own, which is named after it. Nothing of the command is in the group. */
export const azureContainerInstances = async (
  config: ContainerInstancesConfig,
  context: ProviderContext,
): Promise<Provider> => {
  const { clock, log, installation } = context;
  const { resourceGroup } = config;
  const client = await makeClient(config, context);
  const { containerGroups, containers } = client;
  const meter = makeCreateMeter(clock, [
    { creates: config.createsPer5Minutes, seconds: 5 * 60 },
    { creates: config.createsPerHour, seconds: 3_600 },
  ]);
  const { once, repeatable, accepted } = makeAzureCalls(context);
  let closed = false;

  const find = async (name: string): Promise<ContainerGroup | undefined> => {
    try {
      return await repeatable(({ signal }) => containerGroups.get(resourceGroup, name, { abortSignal: signal }));
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  };

  const isOf = (group: ContainerGroup, { key, tenant }: RunName): boolean => {
    const held = heldRunOf(group, installation);
    return held?.key === key && held.tenant === tenant;
  };

  /** Only what carries this installation's mark and this attempt's; a name alone says nothing. */
  const findOwn = async (run: RunName): Promise<ContainerGroup | undefined> => {
    const group = await find(groupNameOf(installation, run));
    return group && isOf(group, run) ? group : undefined;
  };

  const isThere = async (run: RunName): Promise<boolean> => {
    try {
      return (await findOwn(run)) !== undefined;
    } catch {
      return false;
    }
  };

  const create = async (run: Run, shape: Shape): Promise<StartOutcome> => {
    const name = groupNameOf(installation, run);
    try {
      await accepted((options) =>
        containerGroups.beginCreateOrUpdate(resourceGroup, name, toGroup(config, context, run, shape), options),
      );
      return { kind: 'accepted' };
    } catch (error) {
      // One of its name is just being made: by another start of this attempt.
      if (codeOf(error) === 'ContainerGroupTransitioning' && (await isThere(run))) return { kind: 'accepted' };
      const fault = toFault(error, clock.now());
      if (fault) return { kind: 'rejected', fault };
      log.warn('Whether a container group was made is not clear', { attempt: run.key, code: codeOf(error) });
    }
    // It may exist even so, or come later: then its runner has the word, and `observe` tells what becomes of it. Should it
    // not be there, its ticket is never redeemed, and the engine makes another attempt when it sees so, with the ticket
    // void; a group that comes after that finds it so, executes nothing, and is removed by the search for orphans.
    // `rejected` would promise that it never runs, which nobody knows.
    return { kind: 'accepted' };
  };

  const untilEnded = async (run: RunName): Promise<ContainerGroup | undefined> => {
    const giveUpAt = clock.now() + END_PATIENCE_MS;
    for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(LOOK_MS, waitMs * 2)) {
      await clock.sleep(waitMs);
      const group = await findOwn(run);
      if (!group || !isRunning(group) || clock.now() >= giveUpAt) return group;
    }
  };

  const readLog = async (name: string): Promise<string> => {
    try {
      const { content } = await once(({ signal }) =>
        containers.listLogs(resourceGroup, name, CONTAINER, { tail: LOG_LINES, abortSignal: signal }),
      );
      return content ?? '';
    } catch {
      // Only a help for whoever reads the detail.
      return '';
    }
  };

  const remove = (name: string): Promise<void> =>
    accepted((options) => containerGroups.beginDelete(resourceGroup, name, options)).catch(unlessGone);

  return {
    name: 'azure-container-instances',
    features: containerInstancesFeatures(config),

    async start(run) {
      if (closed) return rejected('The server is shutting down.', true);
      const shape = toShape(config, run);
      if ('fault' in shape) return rejected(shape.fault, false);
      const name = groupNameOf(installation, run);
      try {
        // To make one that is there would start it again.
        const found = await find(name);
        if (found && isOf(found, run)) return { kind: 'accepted' };
        if (found) return rejected(`Another container group is named ${name}. Use another resource group.`, false);
      } catch (error) {
        const fault = toFault(error, clock.now());
        return fault ? { kind: 'rejected', fault } : rejected('Azure does not answer. It is tried again.', true);
      }
      const wait = meter.take();
      if (wait === undefined) return create(run, shape);
      const detail = 'Azure’s limit on making container groups is used up for now.';
      return { kind: 'rejected', fault: { detail, retryable: true, retryAfterSeconds: wait } };
    },

    async observe(run): Promise<Observed> {
      const group = await findOwn(run);
      if (!group) return { kind: 'gone', detail: 'The container group is not there.' };
      return toObserved(group, () => readLog(groupNameOf(installation, run)));
    },

    async cancel(run) {
      const name = groupNameOf(installation, run);
      let group = await findOwn(run);
      if (group && isRunning(group)) {
        // Deleted at once, the runner could not end its command in peace and say so.
        await once(({ signal }) => containerGroups.stop(resourceGroup, name, { abortSignal: signal })).catch(
          unlessGone,
        );
        group = await untilEnded(run);
      }
      // What does not end is still alive for `observe`, so that cancel is called again.
      if (group && !isRunning(group)) await remove(name);
    },

    async *held(): AsyncGenerator<HeldRun> {
      const pages = containerGroups.listByResourceGroup(resourceGroup).byPage();
      for (let page = 0; page < MOST_PAGES; page++) {
        const { done, value } = await once(() => pages.next());
        if (done) return;
        for (const group of value) {
          const run = heldRunOf(group, installation);
          if (run) yield run;
        }
      }
    },

    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      try {
        // One that is not there: the cheapest answer that only those get who may ask.
        const name = `${installation}-health`;
        await once(({ signal }) => containerGroups.get(resourceGroup, name, { abortSignal: signal }));
        return { healthy: true };
      } catch (error) {
        if (codeOf(error) === 'ResourceNotFound') return { healthy: true };
        return { healthy: false, detail: toFault(error, clock.now())?.detail ?? 'Azure does not answer.' };
      }
    },

    prepare: () => once(({ signal }) => requireResourceGroup(client, config, installation, { abortSignal: signal })),

    async close() {
      closed = true;
    },
  };
};

const rejected = (detail: string, retryable: boolean): StartOutcome => ({
  kind: 'rejected',
  fault: { detail, retryable },
});

const unlessGone = (error: unknown): void => {
  if (statusOf(error) !== 404) throw error;
};
