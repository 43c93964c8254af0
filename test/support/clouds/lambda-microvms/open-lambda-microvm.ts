import { onTestFinished } from 'vitest';
import { systemRandom } from '../../../../machine/system-clock.ts';
import type { ProviderContext } from '../../../../shared/providers/context.ts';
import { LambdaMicrovmConfig } from '../../../../shared/providers/lambda-microvm/config.ts';
import { lambdaMicrovm } from '../../../../shared/providers/lambda-microvm/lambda-microvm.ts';
import type { Provider } from '../../../../shared/providers/provider.ts';
import { silentLog } from '../../../../shared/telemetry/log.ts';
import { fasterClock } from '../../faster-clock.ts';
import { openRemote } from '../../remote.ts';
import { KEEPER_MAIN } from '../../spawned-runner.ts';
import { tempDirectory } from '../../temp-directory.ts';
import {
  imageArnOf,
  type LambdaMicrovmsCloud,
  type LambdaMicrovmsOptions,
  REGION,
  startLambdaMicrovms,
} from './lambda-microvms-cloud.ts';

export const CONFIG = { region: REGION, image: imageArnOf('errand') };

/** The image as infra/microvm-image makes it, and one of which nothing is asked: it never hears of a run. */
const IMAGES = {
  errand: { command: [process.execPath, KEEPER_MAIN] },
  sleeper: { command: ['/bin/sh', '-c', 'echo up; exec sleep 1000'], hooks: false },
} satisfies LambdaMicrovmsOptions['images'];

interface Opened {
  readonly cloud: LambdaMicrovmsCloud;
  /** As it is. */
  readonly own: Provider;
  /** With a control plane that its runners find. */
  readonly provider: Provider;
  /** Another process on the same cloud. */
  another(over?: Partial<ProviderContext>): Promise<Provider>;
}

interface OpenOptions extends Partial<LambdaMicrovmsOptions> {
  readonly config?: object;
  /** How many times as fast time goes by for the provider. @default 1 */
  readonly faster?: number;
}

/** A cloud that is closed after the test. */
export const openCloud = async (options: Partial<LambdaMicrovmsOptions> = {}): Promise<LambdaMicrovmsCloud> => {
  const cloud = await startLambdaMicrovms({ folder: tempDirectory(), images: IMAGES, ...options });
  onTestFinished(() => cloud.close());
  return cloud;
};

/** The provider on a Lambda of the test's own. */
export const openLambdaMicrovm = async ({ config, faster = 1, ...options }: OpenOptions = {}): Promise<Opened> => {
  const cloud = await openCloud(options);
  const remote = await openRemote();
  onTestFinished(() => remote.close());
  const another = async (over: Partial<ProviderContext> = {}): Promise<Provider> => {
    const parsed = LambdaMicrovmConfig.parse({ ...CONFIG, endpoint: cloud.endpoint, ...config });
    const one = await lambdaMicrovm(parsed, {
      clock: fasterClock(faster),
      random: systemRandom,
      log: silentLog,
      installation: 'errand-test',
      runnerUrl: remote.url,
      ...over,
    });
    onTestFinished(() => one.close());
    return one;
  };
  const own = await another();
  return { cloud, own, provider: remote.wrap(own), another };
};
