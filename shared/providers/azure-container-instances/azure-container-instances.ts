import { type ContainerGroup, ContainerInstanceManagementClient } from '@azure/arm-containerinstance';
import { createDefaultHttpClient } from '@azure/core-rest-pipeline';
import type { AttemptKey } from '../../domain/ids.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Observed, Provider, StartOutcome } from '../provider.ts';
import { type ContainerInstancesConfig, containerInstancesFeatures } from './config.ts';
import { creationMeter } from './creation-meter.ts';
import { makeCredential } from './credentials.ts';
import { isNotFound, toFault } from './faults.ts';
import { CONTAINER, groupNameOf, heldRunOf, machineOf, toGroup } from './groups.ts';
import { toObserved, toState } from './observed.ts';
import { requireResourceGroup } from './preparation.ts';

const CALL_MS = 15_000;
const READ_TRIES = 3;
const READ_WAIT_MS = 300;
const LOG_LINES = 20;
const MOST_HELD = 1_000;

/**
 * Runs commands as container groups of Azure Container Instances, one for each attempt. A group is told where its runner
 * reports, and nothing of the command.
 */
export const azureContainerInstances = async (
  config: ContainerInstancesConfig,
  context: ProviderContext,
): Promise<Provider> => {
  const { clock, log, installation } = context;
  const client = await makeClient(config, context);
  const { resourceGroup } = config;
  const meter = creationMeter(clock, [
    { most: config.createsPer5Minutes, seconds: 300 },
    { most: config.createsPerHour, seconds: 3_600 },
  ]);
  let closed = false;

  /** By itself the client waits for ever. */
  const bounded = async <T>(call: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> => {
    const [done, cut] = [new AbortController(), new AbortController()];
    void clock.sleep(CALL_MS, done.signal).then(() => cut.abort());
    try {
      return await call({ abortSignal: cut.signal });
    } finally {
      done.abort();
    }
  };

  const read = async <T>(call: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await bounded(call);
      } catch (error) {
        if (tries >= READ_TRIES || (toFault(error) && !toFault(error)?.retryable)) throw error;
      }
      await clock.sleep(READ_WAIT_MS * tries);
    }
  };

  const find = async (key: AttemptKey): Promise<ContainerGroup | undefined> => {
    try {
      return await read((options) => client.containerGroups.get(resourceGroup, groupNameOf(key), options));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };

  const readLog = async (key: AttemptKey): Promise<string> => {
    try {
      const { content = '' } = await bounded((options) =>
        client.containers.listLogs(resourceGroup, groupNameOf(key), CONTAINER, { ...options, tail: LOG_LINES }),
      );
      return content;
    } catch {
      // It only adds words.
      return '';
    }
  };

  return {
    name: 'azure-container-instances',
    features: containerInstancesFeatures(config),

    async start(run): Promise<StartOutcome> {
      if (closed) return rejected('The server is shutting down.', true);
      const machine = machineOf(config, run);
      if ('fault' in machine) return rejected(machine.fault, false);
      try {
        // First, since to put a group that is there would start it again.
        if (await find(run.key)) return { kind: 'accepted' };
      } catch (error) {
        return { kind: 'rejected', fault: toFault(error) ?? { detail: 'Azure does not answer.', retryable: true } };
      }
      const full = meter.take();
      if (full) {
        const detail = 'As many container groups were made as Azure lets a subscription make for now.';
        return { kind: 'rejected', fault: { detail, retryable: true, ...full } };
      }
      const group = toGroup(config, context, run, machine);
      try {
        // Its poller would wait for the provisioning: whoever looks asks for the group itself.
        await bounded((options) =>
          client.containerGroups.beginCreateOrUpdate(resourceGroup, groupNameOf(run.key), group, options),
        );
        return { kind: 'accepted' };
      } catch (error) {
        const fault = toFault(error);
        if (fault) return { kind: 'rejected', fault };
        log.warn('Whether a container group was made is not clear', { attempt: run.key });
      }
      try {
        if (await find(run.key)) return { kind: 'accepted' };
      } catch {
        // Not to be seen now: whoever looks later will.
        return { kind: 'accepted' };
      }
      // Should it come into being after all, its ticket is void by then, and the search for orphans deletes it.
      return rejected('Azure did not take the container group. It is tried again.', true);
    },

    async observe({ key }): Promise<Observed> {
      const group = await find(key);
      return group ? toObserved(group, () => readLog(key)) : { kind: 'gone' };
    },

    /** What runs is asked to stop, so that the runner can end the command and report; what does not run is deleted. */
    async cancel({ key }) {
      const group = await find(key);
      if (!group) return;
      const name = groupNameOf(key);
      try {
        if (toState(group) === 'running') {
          await bounded((options) => client.containerGroups.stop(resourceGroup, name, options));
        } else {
          await bounded((options) => client.containerGroups.beginDelete(resourceGroup, name, options));
        }
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },

    async *held(): AsyncGenerator<HeldRun> {
      let seen = 0;
      for await (const group of client.containerGroups.listByResourceGroup(resourceGroup)) {
        const run = heldRunOf(group, installation);
        if (run) yield run;
        if (++seen >= MOST_HELD) return;
      }
    },

    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      try {
        // One that is not there: the cheapest answer that only those get who may ask.
        await bounded((options) => client.containerGroups.get(resourceGroup, `${installation}-health`, options));
        return { healthy: true };
      } catch (error) {
        if (isNotFound(error) && (error as { code?: string }).code !== 'ResourceGroupNotFound')
          return { healthy: true };
        return { healthy: false, detail: toFault(error)?.detail ?? 'Azure does not answer.' };
      }
    },

    prepare: () => bounded((options) => requireResourceGroup(client, config, installation, options)),

    async close() {
      closed = true;
    },
  };
};

const rejected = (detail: string, retryable: boolean): StartOutcome => ({
  kind: 'rejected',
  fault: { detail, retryable },
});

const makeClient = async (
  config: ContainerInstancesConfig,
  context: ProviderContext,
): Promise<ContainerInstanceManagementClient> => {
  const credential = await makeCredential(config, context);
  // It would sleep for as long as Azure says, longer than a function lives.
  const retryOptions = { maxRetries: 0 };
  if (config.endpoint === undefined) {
    return new ContainerInstanceManagementClient(credential, config.subscriptionId, { retryOptions });
  }
  const http = createDefaultHttpClient();
  return new ContainerInstanceManagementClient(credential, config.subscriptionId, {
    retryOptions,
    // The client shows no token to an address without TLS. A trial's is on this machine.
    endpoint: config.endpoint.replace(/^http:/, 'https:').replace(/\/$/, ''),
    httpClient: {
      sendRequest(request) {
        request.url = request.url.replace(/^https:/, 'http:');
        request.allowInsecureConnection = true;
        return http.sendRequest(request);
      },
    },
  });
};
