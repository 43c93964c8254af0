import type { ProviderFeatures } from '../provider.ts';
import type { Launcher } from './launcher.ts';
import { hasProcessTable } from './process-table.ts';
import type { SandboxConfig } from './sandbox.ts';

/** What this machine can do with its launcher. */
export const featuresOf = (launcher: Launcher, sandbox: SandboxConfig): ProviderFeatures => {
  const isolation = [
    'none',
    ...(launcher.can('process') ? (['process'] as const) : []),
    ...(launcher.can('sandbox') ? (['sandbox'] as const) : []),
  ] as const;
  return {
    mode: 'inline',
    runner: 'in-process',
    startTicket: true,
    startSeconds: 60,
    leavesBehind: false,
    liveOutput: true,
    separateStreams: true,
    stdin: true,
    signals: true,
    cancel: hasProcessTable ? 'tree' : 'process-group',
    customImage: false,
    resourceLimits: launcher.can('limits'),
    isolation,
    ...(launcher.can('terminals') ? { terminals: isolation } : { terminalsLacking: noTerminals(launcher) }),
    ...(launcher.can('sandbox') ? { sandbox: sandboxFeatures(launcher, sandbox) } : {}),
    ...(launcher.can('sandbox') && !launcher.can('limits') ? { resourceLimitsAt: ['sandbox'] as const } : {}),
    ...(launcher.noSandbox === undefined ? {} : { isolationLacking: { sandbox: launcher.noSandbox } }),
    longestTimeoutSeconds: 7 * 24 * 3_600,
    ownUser: launcher.can('ownUser'),
    launcher: launcher.kind,
    // What a script writes comes by pipes that have names in a folder of this machine: out of a sandbox's sight.
    ...(process.platform === 'linux'
      ? { sessions: ['none', ...(launcher.can('process') ? (['process'] as const) : [])] as const }
      : {}),
  };
};

const noTerminals = ({ kind }: Launcher): string =>
  kind === 'native'
    ? 'This machine gives no pseudo-terminals: mount devpts at /dev/pts, with /dev/ptmx.'
    : 'It needs the launcher in C. Install gcc and the C library’s headers (apt-get install gcc libc6-dev), then run npm run build:launcher.';

const sandboxFeatures = (
  launcher: Launcher,
  { network, diskMiB, diskFiles, memoryMiB, processes, openFiles }: SandboxConfig,
): NonNullable<ProviderFeatures['sandbox']> => ({
  ...{ network, diskMiB, diskFiles, memoryMiB, processes, openFiles },
  limitedBy: launcher.can('sandboxGroups') ? 'control-groups' : 'watching',
});
