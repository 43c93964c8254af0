import { onTestFinished } from 'vitest';
import { systemRandom } from '../../../../machine/system-clock.ts';
import { cloudRun } from '../../../../shared/providers/cloud-run/cloud-run.ts';
import { CloudRunConfig } from '../../../../shared/providers/cloud-run/config.ts';
import type { ProviderContext } from '../../../../shared/providers/context.ts';
import type { Provider } from '../../../../shared/providers/provider.ts';
import { RUNNER_COMMAND } from '../../../../shared/runner/program.ts';
import { silentLog } from '../../../../shared/telemetry/log.ts';
import { fasterClock } from '../../faster-clock.ts';
import { openRemote } from '../../remote.ts';
import { RUNNER_MAIN } from '../../spawned-runner.ts';
import { tempDirectory } from '../../temp-directory.ts';
import { type CloudRunCloud, type CloudRunCloudOptions, startCloudRunCloud } from './cloud-run-cloud.ts';

export const INSTALLATION = 'errand-test';
export const PARENT = 'projects/errand-project/locations/europe-west1';
export const CONFIG = {
  project: 'errand-project',
  region: 'europe-west1',
  image: 'europe-docker.pkg.dev/errand-project/errand/runner:1',
  serviceAccount: 'commands@errand-project.iam.gserviceaccount.com',
};

interface Opened {
  readonly cloud: CloudRunCloud;
  /** As it is. */
  readonly own: Provider;
  /** With a control plane that its runners find. */
  readonly provider: Provider;
  /** Another process on the same cloud. */
  another(over?: Partial<ProviderContext>): Promise<Provider>;
}

interface OpenOptions extends Partial<CloudRunCloudOptions> {
  readonly config?: object;
  /** How many times as fast time goes by for the provider. @default 1 */
  readonly faster?: number;
  /** What stands for the runner. @default the runner */
  readonly runner?: readonly string[];
}

/** A cloud that is closed after the test. */
export const openCloud = async (options: Partial<CloudRunCloudOptions> = {}): Promise<CloudRunCloud> => {
  const cloud = await startCloudRunCloud({ folder: tempDirectory(), programs: {}, graceMs: 300, ...options });
  onTestFinished(() => cloud.close());
  return cloud;
};

/** The provider on a Cloud Run of the test's own. */
export const openCloudRun = async ({ config, faster = 1, runner, ...options }: OpenOptions = {}): Promise<Opened> => {
  const programs = { [RUNNER_COMMAND[0]]: runner ?? [process.execPath, RUNNER_MAIN] };
  const cloud = await openCloud({ programs, graceMs: 10_000, createDelayMs: 0, ...options });
  const remote = await openRemote();
  onTestFinished(() => remote.close());
  const another = async (over: Partial<ProviderContext> = {}): Promise<Provider> => {
    const one = await cloudRun(CloudRunConfig.parse({ ...CONFIG, endpoint: cloud.endpoint, ...config }), {
      clock: fasterClock(faster),
      random: systemRandom,
      log: silentLog,
      installation: INSTALLATION,
      runnerUrl: remote.url,
      ...over,
    });
    onTestFinished(() => one.close());
    return one;
  };
  const own = await another();
  return { cloud, own, provider: remote.wrap(own), another };
};
