import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { runBattery } from '../../../local/isolation/battery.ts';
import { plainPlace } from '../../../local/isolation/plain-place.ts';
import { plant } from '../../../local/isolation/plants.ts';
import { systemRandom } from '../../../machine/system-clock.ts';
import type { PlaceLimits } from '../../../shared/isolation/place.ts';

export interface BatteryOrder {
  readonly program: string;
  readonly folder: string;
  /** What stands before each command. Empty: the control itself is judged. */
  readonly wall: readonly string[];
  /** Whether the wall is started without the server's environment and open files. */
  readonly isClean?: boolean;
  /** @default sandbox, which must hold all */
  readonly level?: string;
  readonly limits?: PlaceLimits;
  /** @default all */
  readonly only?: readonly string[];
}

/* Is a server with secrets, and lets the probes loose behind one wall; prints the report. */
const [given] = process.argv.slice(2);
if (given === undefined) {
  // Loaded, by whoever wanted to know whether it can be.
  process.exitCode = 64;
} else {
  const {
    program,
    folder,
    wall,
    isClean = false,
    level = 'sandbox',
    limits = {},
    only,
  } = JSON.parse(given) as BatteryOrder;
  const [dataFolder, commands] = [join(folder, 'data'), join(folder, 'commands')];
  for (const path of [dataFolder, commands]) mkdirSync(path, { mode: 0o700 });
  const [secret, mark] = [systemRandom.hex(24), systemRandom.hex(12)];
  const plants = await plant({ program, folder, dataFolder, workFolder: commands, secret, mark });
  try {
    const env = { ...process.env, ERRAND_DOCTOR_SECRET: secret };
    const leaked = [openSync(plants.planted.dataSecret, 'r')];
    const control = plainPlace({ level: 'control', folder: commands, env, leaked });
    const inherited = isClean ? { env: { PATH: process.env['PATH'] } } : { env, leaked };
    const place = plainPlace({ level, wall, folder: commands, limits, ...inherited });
    const choice = only ? { only: ({ name }: { name: string }) => only.includes(name) } : {};
    const report = await runBattery({ program, plants, control, places: [place], ...choice });
    process.stdout.write(JSON.stringify(report));
  } finally {
    await plants.remove();
  }
}
