import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { LambdaConfig, lambdaFeatures } from '../../shared/providers/lambda/config.ts';
import { lambda } from '../../shared/providers/lambda/lambda.ts';
import type { Provider } from '../../shared/providers/provider.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { executorFunction } from '../support/clouds/lambda/executor-function.ts';
import { type LambdaCloud, REGION, startLambdaCloud } from '../support/clouds/lambda/lambda-cloud.ts';
import { openRemote } from '../support/remote.ts';
import { sharedDirectory } from '../support/temp-directory.ts';
import { providerContract } from './provider-contract.ts';

// One cloud for all of them, so that most commands find an environment in which another was before.
const folder = sharedDirectory();
let cloud: LambdaCloud;
beforeAll(async () => {
  cloud = await startLambdaCloud({ functions: { executor: executorFunction() }, folder });
});
afterAll(() => cloud.close());

const configOf = (endpoint?: string): LambdaConfig =>
  LambdaConfig.parse({ functionName: 'executor', region: REGION, ...(endpoint === undefined ? {} : { endpoint }) });

providerContract('lambda', lambdaFeatures(configOf()), async () => {
  const remote = await openRemote();
  const provider = await lambda(configOf(cloud.endpoint), {
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    installation: 'errand-test',
    runnerUrl: remote.url,
  });
  onTestFinished(async () => {
    await provider.close();
    await remote.close();
  });
  return withStop(remote.wrap(provider));
});

/** A cancel as the engine does it: the record says stop, which the executor sees, and then the provider is asked. */
const withStop = (provider: Provider): Provider => {
  const stops = new Map<string, AbortController>();
  return {
    ...provider,
    start(run, io) {
      const stop = new AbortController();
      stops.set(run.key, stop);
      return provider.start(run, { ...io, stop: AbortSignal.any([io.stop, stop.signal]) });
    },
    cancel(run) {
      stops.get(run.key)?.abort();
      return provider.cancel(run);
    },
  };
};
