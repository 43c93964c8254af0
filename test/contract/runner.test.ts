import { onTestFinished } from 'vitest';
import { openRemote } from '../support/remote.ts';
import { spawnedRunner, spawnedRunnerFeatures } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { providerContract } from './provider-contract.ts';

providerContract('the runner, as a process beside its command', spawnedRunnerFeatures, async () => {
  const remote = await openRemote();
  const provider = spawnedRunner({ runnerUrl: remote.url, tmp: tempDirectory() });
  onTestFinished(async () => {
    await provider.close();
    await remote.close();
  });
  return remote.wrap(provider);
});
