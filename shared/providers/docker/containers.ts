import { type AttemptKey, splitAttemptKey, type TenantId } from '../../domain/ids.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Run } from '../provider.ts';
import type { DockerConfig } from './config.ts';

export const LABEL = {
  installation: 'errand-installation',
  /** Whose record knows the run: on one machine several may share a daemon, and an installation's name. */
  store: 'errand-store',
  attempt: 'errand-attempt',
  worker: 'errand-worker',
  /** Tells which of two starts made it. */
  start: 'errand-start',
} as const;

/** A second start of one attempt finds the first one's container. */
export const containerNameOf = (key: AttemptKey): string => `errand-${key}`;

/** Where a command begins, empty and its own. */
const WORK_FOLDER = '/errand/work';

const MIB = 1_024 * 1_024;

/** @returns what is wrong, for a person, when a command asks for more than it may have */
export const shapeFault = ({ maxCpu, maxMemoryMiB }: DockerConfig, { cpu, memoryMiB }: Run): string | undefined => {
  if (cpu !== undefined && cpu < 0.01) return `A container gets 0.01 processors at least, not ${cpu}.`;
  if (cpu !== undefined && maxCpu !== undefined && cpu > maxCpu) {
    return `A command may ask for ${maxCpu} processors on this target, not ${cpu}.`;
  }
  if (memoryMiB !== undefined && memoryMiB < 6) return `A container gets 6 MiB of memory at least, not ${memoryMiB}.`;
  if (memoryMiB !== undefined && maxMemoryMiB !== undefined && memoryMiB > maxMemoryMiB) {
    return `A command may ask for ${maxMemoryMiB} MiB of memory on this target, not ${memoryMiB}.`;
  }
  return undefined;
};

export const ownLabels = ({ installation, storeId = '' }: ProviderContext): Readonly<Record<string, string>> => ({
  [LABEL.installation]: installation,
  [LABEL.store]: storeId,
});

/** What the daemon is asked for. */
export const toContainer = (
  config: DockerConfig,
  context: ProviderContext,
  run: Run,
  { startId, stdin, isPodman }: { startId: string; stdin: boolean; isPodman: boolean },
): object => {
  const { cpu = config.cpu, memoryMiB = config.memoryMiB } = run;
  const [program, ...args] = run.argv;
  const [uid, gid] = config.user.split(':');
  // Docker's runtime gives a folder the mode that it has in the image, so it is its owner who may write; Podman takes no owner.
  const owner = isPodman ? 'mode=1777' : `mode=1777,uid=${uid},gid=${gid}`;
  const tmpfs = `rw,exec,nosuid,nodev,size=${config.tmpMiB}m,${owner}`;
  return {
    Image: run.image ?? config.image,
    // Both are set, so that neither of the image is used.
    Entrypoint: [program],
    Cmd: args,
    Env: environmentOf(run, isPodman),
    User: config.user,
    WorkingDir: run.cwd ?? WORK_FOLDER,
    Tty: false,
    AttachStdin: stdin,
    OpenStdin: stdin,
    StdinOnce: stdin,
    AttachStdout: true,
    AttachStderr: true,
    Healthcheck: { Test: ['NONE'] },
    StopTimeout: Math.ceil(config.graceSeconds),
    Labels: {
      ...ownLabels(context),
      [LABEL.attempt]: `${run.tenant}/${run.key}`,
      [LABEL.worker]: run.worker,
      [LABEL.start]: startId,
    },
    HostConfig: {
      // Reaps what loses its parent, and passes signals on: the first process of a container has no default for them.
      Init: true,
      AutoRemove: false,
      RestartPolicy: { Name: 'no' },
      Privileged: false,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      NetworkMode: config.network,
      IpcMode: 'private',
      ReadonlyRootfs: config.readOnly,
      Tmpfs: { '/tmp': tmpfs, [WORK_FOLDER]: tmpfs },
      NanoCpus: Math.round(cpu * 1e9),
      Memory: memoryMiB * MIB,
      // Of memory and swap together.
      MemorySwap: memoryMiB * MIB,
      PidsLimit: config.pids,
      Ulimits: Object.entries(config.ulimits).map(([Name, most]) => ({ Name, Soft: most, Hard: most })),
      // The output is read as it comes: nothing of it stays on the daemon's disk.
      LogConfig: { Type: 'none', Config: {} },
    },
  };
};

const environmentOf = ({ key, env }: Run, isPodman: boolean): readonly string[] => {
  const all = {
    LANG: 'C.UTF-8',
    HOME: WORK_FOLDER,
    ...env,
    ERRAND_ATTEMPT: key,
    ERRAND_COMMAND_ID: splitAttemptKey(key).id,
  };
  const asked = Object.entries(all).map(([name, value]) => `${name}=${value}`);
  // A name alone takes a variable of Docker's own away. To Podman it would mean one of the daemon's.
  return isPodman || 'HOSTNAME' in env ? asked : [...asked, 'HOSTNAME'];
};

/** What the daemon says of a container. */
export interface Container {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: number | undefined;
}

/** Which run a container carries; undefined when it is none of this store's. */
export const heldRunOf = ({ labels, createdAt }: Container, context: ProviderContext): HeldRun | undefined => {
  const [tenant, key] = (labels[LABEL.attempt] ?? '').split('/');
  if (!Object.entries(ownLabels(context)).every(([name, value]) => labels[name] === value)) return undefined;
  if (!tenant || !key) return undefined;
  return { tenant: tenant as TenantId, key: key as AttemptKey, worker: labels[LABEL.worker] ?? '', createdAt };
};
