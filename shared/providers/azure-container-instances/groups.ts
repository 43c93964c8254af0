import type { ContainerGroup } from '@azure/arm-containerinstance';
import type { AttemptKey, TenantId } from '../../domain/ids.ts';
import { RUNNER_COMMAND, RUNNER_ENVIRONMENT } from '../../runner/program.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Run } from '../provider.ts';
import type { ContainerInstancesConfig } from './config.ts';

/** The one container of a group that runs a command. */
export const CONTAINER = 'command';

export const TAG = {
  installation: 'errand-installation',
  attempt: 'errand-attempt',
  createdAt: 'errand-created-at',
} as const;
const VOLUME = 'errand';

/** The attempt's key, in the letters that Azure takes: so that a second start finds the first one's group. */
export const groupNameOf = (key: AttemptKey): string => key.replaceAll('_', '-');

const GIB = 1_024;

/** @returns what is wrong, for a person, when there is no such machine */
export const machineOf = (
  config: ContainerInstancesConfig,
  { cpu = config.cpu, memoryMiB = config.memoryMiB }: Run,
): { readonly cpu: number; readonly memoryInGB: number } | { readonly fault: string } => {
  if (cpu > 32 || cpu < 0.1) return { fault: `Container Instances gives 0.1 to 32 processors, not ${cpu}.` };
  if (memoryMiB < 512 || memoryMiB > 256 * GIB) {
    return { fault: `Container Instances gives 512 MiB to 256 GiB of memory, not ${memoryMiB} MiB.` };
  }
  // Memory comes in tenths of a GB; whoever asks for some gets at least that.
  return { cpu, memoryInGB: Math.ceil((memoryMiB / GIB) * 10) / 10 };
};

/** Of the command itself, nothing. The token is a secure value, which Azure never shows again. */
export const toGroup = (
  config: ContainerInstancesConfig,
  { installation, runnerUrl, clock }: ProviderContext,
  run: Run,
  requests: { readonly cpu: number; readonly memoryInGB: number },
): ContainerGroup => ({
  location: config.location,
  tags: {
    [TAG.installation]: installation,
    [TAG.attempt]: `${run.tenant}/${run.key}`,
    [TAG.createdAt]: String(clock.now()),
  },
  osType: 'Linux',
  sku: 'Standard',
  // It holds only for a container that ends with 0, which the runner always does.
  restartPolicy: 'Never',
  containers: [
    {
      name: CONTAINER,
      image: run.image ?? config.image,
      command: [...RUNNER_COMMAND],
      environmentVariables: [
        { name: RUNNER_ENVIRONMENT.url, value: runnerUrl },
        { name: RUNNER_ENVIRONMENT.token, secureValue: run.token },
      ],
      resources: { requests },
      ...(config.runnerImage ? { volumeMounts: [{ name: VOLUME, mountPath: '/errand', readOnly: true }] } : {}),
    },
  ],
  ...(config.runnerImage
    ? {
        volumes: [{ name: VOLUME, emptyDir: {} }],
        initContainers: [
          {
            name: 'runner',
            image: config.runnerImage,
            command: ['/bin/cp', '-a', '/errand/.', '/target/'],
            volumeMounts: [{ name: VOLUME, mountPath: '/target' }],
          },
        ],
      }
    : {}),
  ...(config.subnetId ? { subnetIds: [{ id: config.subnetId }] } : {}),
});

/** Which run a group carries; undefined when it is none of this installation's. */
export const heldRunOf = ({ tags = {} }: Pick<ContainerGroup, 'tags'>, installation: string): HeldRun | undefined => {
  const [tenant, key] = (tags[TAG.attempt] ?? '').split('/');
  if (tags[TAG.installation] !== installation || !tenant || !key) return undefined;
  const createdAt = Number(tags[TAG.createdAt]);
  return {
    tenant: tenant as TenantId,
    key: key as AttemptKey,
    worker: '',
    createdAt: Number.isSafeInteger(createdAt) ? createdAt : undefined,
  };
};
