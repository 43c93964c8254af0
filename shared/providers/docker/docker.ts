import type { AttemptKey } from '../../domain/ids.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Provider, StartOutcome } from '../provider.ts';
import { type DockerConfig, dockerFeatures } from './config.ts';
import { containerNameOf, heldRunOf, ownLabels } from './containers.ts';
import { type Inspected, openDaemon } from './daemon.ts';
import { isNotFound, toFault } from './faults.ts';
import { makeImages } from './images.ts';
import type { Parts } from './making.ts';
import { type CarriedRun, carryRun } from './run.ts';

const DEFAULT_SOCKET = '/var/run/docker.sock';

/**
 * Runs commands in containers of a Docker daemon, or of Podman, one for each attempt. This process makes the container,
 * redeems the ticket, starts it and reads its output: nothing of ours is in the image.
 */
export const docker = async (config: DockerConfig, context: ProviderContext): Promise<Provider> => {
  const { clock, isWorkerAlive } = context;
  const socketPath = config.socketPath ?? context.dockerSocketPath ?? DEFAULT_SOCKET;
  const daemon = await openDaemon(config, { clock, socketPath });
  const closing = new AbortController();
  const parts: Parts = {
    daemon,
    images: makeImages(config, { daemon, clock }),
    config,
    context,
    closing: closing.signal,
  };
  const runs = new Map<AttemptKey, CarriedRun>();

  /** The container of a run of this store; one that merely has its name is none. */
  const find = async (key: AttemptKey): Promise<Inspected | undefined> => {
    const found = await daemon.inspect(containerNameOf(key));
    return found && heldRunOf(found, context)?.key === key ? found : undefined;
  };

  return {
    name: 'docker',
    features: dockerFeatures(config),

    async start(run, io) {
      if (closing.signal.aborted) return rejected('The server is shutting down.');
      // A second start with the same key is the same run.
      if (io.stop.aborted || runs.has(run.key)) return { kind: 'refused' };
      const carried = carryRun(parts, run, io);
      runs.set(run.key, carried);
      io.stop.addEventListener('abort', carried.stop, { once: true });
      try {
        return await carried.end;
      } finally {
        io.stop.removeEventListener('abort', carried.stop);
        runs.delete(run.key);
      }
    },

    /** What a dead worker left is ended: nobody read its output since, and the daemon kept none. */
    async observe({ key, worker }) {
      if (runs.has(key) || (await isWorkerAlive?.(worker))) return { kind: 'alive' };
      const found = await find(key);
      if (!found) return { kind: 'gone' };
      await daemon.remove(found.id);
      return { kind: 'gone', detail: 'Whoever read the output of the container is gone, and its output with it.' };
    },

    async cancel({ key }) {
      const carried = runs.get(key);
      if (carried) {
        carried.stop();
        return void (await carried.end);
      }
      const found = await find(key);
      if (!found) return;
      if (found.status === 'running') {
        await daemon.stop(found.id, config.graceSeconds).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      }
      await daemon.remove(found.id);
    },

    async *held(): AsyncGenerator<HeldRun> {
      for (const container of await daemon.list(ownLabels(context))) {
        const run = heldRunOf(container, context);
        if (run) yield run;
      }
    },

    async health() {
      if (closing.signal.aborted) return { healthy: false, detail: 'Shutting down.' };
      try {
        await daemon.ping();
        return { healthy: true };
      } catch (error) {
        return { healthy: false, detail: toFault(error)?.detail ?? 'The Docker daemon does not answer.' };
      }
    },

    async close() {
      closing.abort();
      for (const { stop } of runs.values()) stop();
      await Promise.all([...runs.values()].map(({ end }) => end));
      daemon.close();
    },
  };
};

const rejected = (detail: string): StartOutcome => ({ kind: 'rejected', fault: { detail, retryable: true } });
