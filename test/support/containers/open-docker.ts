import { onTestFinished } from 'vitest';
import { systemClock, systemRandom } from '../../../machine/system-clock.ts';
import type { ProviderContext } from '../../../shared/providers/context.ts';
import { DockerConfig } from '../../../shared/providers/docker/config.ts';
import { docker } from '../../../shared/providers/docker/docker.ts';
import type { Provider } from '../../../shared/providers/provider.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import type { RunningDaemon } from './daemons.ts';

interface DockerOptions {
  readonly config?: Partial<DockerConfig>;
  readonly context?: Partial<ProviderContext>;
}

/** The provider on a daemon, closed when the test ends. */
export const openDocker = async (
  { config: base, ...rest }: Pick<RunningDaemon, 'config'> & Partial<Pick<RunningDaemon, 'socketPath'>>,
  { config, context }: DockerOptions = {},
): Promise<Provider> => {
  const socket = rest.socketPath === undefined ? {} : { socketPath: rest.socketPath };
  const provider = await docker(DockerConfig.parse({ ...socket, graceSeconds: 0.5, ...base, ...config }), {
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    installation: 'errand-test',
    storeId: 'this-store',
    isWorkerAlive: async (worker) => worker === 'this-worker',
    runnerUrl: '',
    ...context,
  });
  onTestFinished(() => provider.close());
  return provider;
};
