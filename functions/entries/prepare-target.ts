import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { loadProvider } from '../../shared/providers/registry.ts';
import { configureTarget } from '../../shared/providers/targets.ts';
import { jsonLog } from '../../shared/telemetry/log.ts';
import { awsIdentity, setting } from '../environment.ts';
import { prepareTargets } from '../workers/prepare-target.ts';

const [clock, random] = [systemClock, systemRandom];
const log = jsonLog(clock, (line) => process.stdout.write(line));

export const handler = prepareTargets({
  clock,
  log,
  fetch,
  open: (config, installation) => {
    const identity = awsIdentity(setting('AWS_REGION'));
    return configureTarget(config, loadProvider, () => ({
      clock,
      random,
      log,
      installation,
      // Nothing is started.
      runnerUrl: '',
      ...identity,
    }));
  },
  // Bundled beside this function (infra/bundle.ts).
  readRunner: () => {
    const folder = join(import.meta.dirname, 'runner');
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.mjs'));
    return new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
  },
});
