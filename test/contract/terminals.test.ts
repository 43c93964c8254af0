import { onTestFinished, test } from 'vitest';
import { LAUNCHERS } from '../../shared/domain/command.ts';
import type { LocalOptions } from '../../shared/providers/local/local.ts';
import { providers } from '../../shared/providers/registry.ts';
import { launcherIsThere } from '../support/launchers.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { terminalsContract } from './terminals-contract.ts';

for (const launcher of LAUNCHERS) {
  if (launcherIsThere(launcher)) {
    const optionsIn = (workDirectory: string): LocalOptions => ({
      workDirectory,
      isOwnerAlive: async (worker: string) => worker === 'this-worker',
      graceSeconds: 0.3,
      launcher,
    });
    const probe = await providers.local(optionsIn('/nowhere'));
    await probe.close();
    terminalsContract(`local (${launcher} launcher)`, probe.features, async () => {
      const provider = await providers.local(optionsIn(tempDirectory()));
      onTestFinished(() => provider.close());
      return provider;
    });
  } else {
    test.skip(`the local provider (${launcher} launcher), which is not built: npm run build:launcher`, () => {});
  }
}
