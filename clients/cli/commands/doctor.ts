import { fileURLToPath } from 'node:url';
import type { TargetView } from '../../../shared/contract/schemas.ts';
import type { Isolation } from '../../../shared/domain/command.ts';
import { makeClient } from '../../sdk/client.ts';
import { dataDirectoryOf } from '../connect.ts';
import { attackIsolation, checkThisMachine } from '../embedded.ts';
import { checksText, reportText } from '../isolation-report.ts';
import { type ServerPlaceOptions, serverPlace } from '../server-place.ts';
import { progressLine, say, type Terminal, write } from '../terminal.ts';

export interface DoctorOptions {
  readonly json?: boolean;
  readonly data?: string;
  readonly isolation?: boolean;
  /** Only these. @default all that have walls */
  readonly level?: readonly Isolation[];
}

const ERRAND = fileURLToPath(new URL('../errand.js', import.meta.url));

/** Says what this machine has for isolation, or attacks it; 1 where something is missing, or got through. */
export const doctor = async (options: DoctorOptions, terminal: Terminal): Promise<number> =>
  options.isolation || options.level ? attack(options, terminal) : check(options, terminal);

const check = async ({ json }: DoctorOptions, terminal: Terminal): Promise<number> => {
  const checks = await checkThisMachine(terminal.env);
  const text = json ? checks.map((one) => `${JSON.stringify(one)}\n`).join('') : checksText(terminal, checks);
  await write(terminal.stdout, text);
  return checks.some(({ status }) => status === 'missing') ? 1 : 0;
};

const attack = async ({ json, data, level: asked }: DoctorOptions, terminal: Terminal): Promise<number> => {
  const progress = progressLine(terminal);
  let offered: readonly Isolation[] = [];
  try {
    const report = await attackIsolation({
      dataDirectory: dataDirectoryOf(data === undefined ? {} : { data }, terminal.env),
      serve: (folder) => [process.execPath, ERRAND, 'serve', '--port', '0', '--data', folder],
      async placesAt(url, isHealthy) {
        const client = makeClient({ url });
        const local = (await client.targets()).items.find(({ target }) => target === 'local');
        offered = local?.features.isolation ?? [];
        const levels = offered.filter((level) => (asked ? asked.includes(level) : level !== 'none'));
        return levels.map((level) => {
          const ownUsers = level !== 'none' && process.getuid?.() === 0;
          return serverPlace(client, { level, isHealthy, ...limitsAt(level, local?.features), ownUsers });
        });
      },
      onProgress: (level, probe) => progress.show(`${level}: ${probe} …`),
    });
    progress.clear();
    await write(terminal.stdout, json ? `${JSON.stringify(report)}\n` : reportText(terminal, report));
    const missing = (asked ?? []).filter((level) => !offered.includes(level));
    const untried = untriedText(offered, missing, asked !== undefined);
    if (untried !== undefined) say(terminal, untried);
    return report.passed && missing.length === 0 ? 0 : 1;
  } finally {
    progress.clear();
  }
};

const limitsAt = (
  level: Isolation,
  features: TargetView['features'] | undefined,
): Pick<ServerPlaceOptions, 'resourceLimits' | 'given'> => {
  const resourceLimits = features?.resourceLimits || features?.resourceLimitsAt?.includes(level) || false;
  const given = level === 'sandbox' ? features?.sandbox : undefined;
  if (!given) return { resourceLimits };
  const { memoryMiB, processes, diskMiB, diskFiles: files, openFiles: descriptors } = given;
  return { resourceLimits, given: { memoryMiB, processes, diskMiB, files, descriptors } };
};

/** What was not attacked, as this machine does not have it. */
const untriedText = (
  offered: readonly Isolation[],
  missing: readonly Isolation[],
  isChosen: boolean,
): string | undefined => {
  if (missing.length === 0 && (isChosen || offered.includes('sandbox'))) return undefined;
  const lacks = missing.length > 0 ? missing.join(', ') : 'sandbox';
  const hint = offered.length > 1 ? '' : ' --level none shows what a command can do without walls.';
  return `commands on this machine can have isolation ${offered.join(', ')}, not ${lacks}, which was not tried; \`errand doctor\` says what is missing.${hint}`;
};
