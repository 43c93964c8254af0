import { onTestFinished } from 'vitest';
import { systemClock, systemRandom } from '../../../../machine/system-clock.ts';
import type { Clock } from '../../../../shared/domain/clock.ts';
import { LambdaConfig } from '../../../../shared/providers/lambda/config.ts';
import { lambda } from '../../../../shared/providers/lambda/lambda.ts';
import type { Provider } from '../../../../shared/providers/provider.ts';
import { silentLog } from '../../../../shared/telemetry/log.ts';
import { openRemote } from '../../remote.ts';
import { tempDirectory } from '../../temp-directory.ts';
import type { FunctionSpec } from './environment.ts';
import { executorFunction } from './executor-function.ts';
import { type LambdaCloud, type LambdaCloudOptions, REGION, startLambdaCloud } from './lambda-cloud.ts';

interface Opened {
  readonly cloud: LambdaCloud;
  /** As it is. */
  readonly own: Provider;
  /** With a control plane that its executors find. */
  readonly provider: Provider;
}

/** The provider on a Lambda of the test's own, with the executor as its function `executor`. */
export const openLambda = async ({
  config,
  functions,
  executor,
  clock = systemClock,
  ...options
}: {
  readonly config?: object;
  readonly functions?: Readonly<Record<string, FunctionSpec>>;
  readonly executor?: Partial<FunctionSpec>;
  readonly clock?: Clock;
} & Partial<Omit<LambdaCloudOptions, 'functions'>> = {}): Promise<Opened> => {
  const cloud = await startLambdaCloud({
    folder: tempDirectory(),
    functions: { executor: executorFunction(executor), ...functions },
    ...options,
  });
  const remote = await openRemote();
  const own = await lambda(
    LambdaConfig.parse({ functionName: 'executor', region: REGION, endpoint: cloud.endpoint, ...config }),
    { clock, random: systemRandom, log: silentLog, installation: 'errand-test', runnerUrl: remote.url },
  );
  onTestFinished(async () => {
    await own.close();
    await cloud.close();
    await remote.close();
  });
  return { cloud, own, provider: remote.wrap(own) };
};
