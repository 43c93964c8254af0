import { closeSync, existsSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { systemRandom } from '../../machine/system-clock.ts';
import type { BatteryReport, ProbeAbout } from '../../shared/isolation/judge.ts';
import type { Place } from '../../shared/isolation/place.ts';
import { startAttackedServer } from './attacked-server.ts';
import { runBattery } from './battery.ts';
import { plainPlace } from './plain-place.ts';
import { plant } from './plants.ts';
import { PROBES_PROGRAM } from './programs.ts';

export interface AttackOptions {
  /** A folder for the attacked server and its secrets is made in it, and removed. */
  readonly dataDirectory: string;
  /** The command line of a server on this data folder. */
  readonly serve: (dataDirectory: string) => readonly string[];
  /** The levels of a server that are to be attacked; it says whether it is well. */
  readonly placesAt: (url: string, isHealthy: () => Promise<boolean>) => Promise<readonly Place[]>;
  readonly only?: (probe: ProbeAbout) => boolean;
  readonly onProgress?: (level: string, probe: string) => void;
}

/**
 * Starts a server with secrets in and around it, and lets every probe loose on it: as a child without walls, and as a
 * command at each level.
 * @throws Error in words for a person
 */
export const attackIsolation = async (options: AttackOptions): Promise<BatteryReport> => {
  if (process.platform !== 'linux')
    throw new Error('The probes are for Linux only; elsewhere there are no walls to try.');
  if (!existsSync(PROBES_PROGRAM))
    throw new Error(
      'The probes are not built. Install a C compiler (such as the package gcc, and libc6-dev), then run `node launcher/probes/build.mjs`.',
    );
  // Not named by the mark: whatever process has that in its arguments is a command's, and is ended.
  const folder = join(resolve(options.dataDirectory), `doctor-${systemRandom.hex(6)}`);
  const dataFolder = join(folder, 'data');
  const controlFolder = join(folder, 'control');
  for (const path of [dataFolder, controlFolder]) mkdirSync(path, { recursive: true, mode: 0o700 });
  try {
    const [secret, mark] = [systemRandom.hex(24), systemRandom.hex(12)];
    const workFolder = join(dataFolder, 'work');
    const plants = await plant({ program: PROBES_PROGRAM, folder, dataFolder, workFolder, secret, mark });
    const openFile = openSync(plants.planted.dataSecret, 'r');
    try {
      const env = { ...process.env, ERRAND_DOCTOR_SECRET: secret };
      const server = await startAttackedServer({ argv: options.serve(dataFolder), env, leaked: [openFile] });
      try {
        const places = await options.placesAt(server.url, server.isHealthy);
        const control = plainPlace({ level: 'control', folder: controlFolder, env, leaked: [openFile] });
        const { only, onProgress } = options;
        const choices = { ...(only ? { only } : {}), ...(onProgress ? { onProgress } : {}) };
        return await runBattery({ program: PROBES_PROGRAM, plants, control, places, ...choices });
      } finally {
        await server.close();
      }
    } finally {
      closeSync(openFile);
      await plants.remove();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
