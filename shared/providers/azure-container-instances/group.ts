import type { ContainerGroup, InitContainerDefinition } from '@azure/arm-containerinstance';
import { toTimestamp } from '../../domain/clock.ts';
import { type AttemptKey, isCommandId, isTenantId } from '../../domain/ids.ts';
import { RUNNER_COMMAND, RUNNER_ENVIRONMENT } from '../../runner/program.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Run, RunName } from '../provider.ts';
import { type ContainerInstancesConfig, MACHINE } from './config.ts';

/** By these a group is found again. They hold nothing of the command. */
export const TAG = {
  installation: 'errand-installation',
  attempt: 'errand-attempt',
  created: 'errand-created',
} as const;

export const CONTAINER = 'runner';
const VOLUME = 'errand';
const NAME_CHARACTERS = 63;

/** What Azure takes for one attempt: its machine and where its runner comes from. */
export interface Shape {
  readonly image: string;
  readonly cpu: number;
  readonly memoryInGB: number;
  /** Copies the runner in; undefined when the image has it. */
  readonly runnerImage: string | undefined;
}

/** @returns what is wrong, for a person, when Azure has no such machine */
export const toShape = (config: ContainerInstancesConfig, run: Run): Shape | { readonly fault: string } => {
  const cpu = run.cpu ?? config.cpu;
  // In steps of 0.1, and never less than what was asked for.
  const memoryInGB = run.memoryMiB === undefined ? config.memoryGiB : Math.ceil((run.memoryMiB / 1_024) * 10) / 10;
  if (!Number.isInteger(cpu) || cpu < MACHINE.cpu.min || cpu > MACHINE.cpu.max) {
    return {
      fault: `Container Instances gives ${MACHINE.cpu.min} to ${MACHINE.cpu.max} whole processors, not ${cpu}.`,
    };
  }
  const { min, max } = MACHINE.memoryGiB;
  if (memoryInGB < min || memoryInGB > max) {
    return { fault: `Container Instances gives ${min * 1_024} to ${max * 1_024} MiB of memory, not ${run.memoryMiB}.` };
  }
  // An image that a command names was not made for us, so that it is not asked to hold the runner when that can be helped.
  const isBaked = run.image === undefined && config.runner === 'baked';
  const image = run.image ?? config.image;
  return { image, cpu, memoryInGB, runnerImage: isBaked ? undefined : config.runnerImage };
};

/** The same attempt has the same name, in whichever process. */
export const groupNameOf = (installation: string, { key }: Pick<RunName, 'key'>): string => {
  const own = key.toLowerCase().replaceAll('_', '-');
  const whole = `${installation.replace(/^-+/, '')}-${own}`;
  return whole.length <= NAME_CHARACTERS ? whole : own;
};

export const toGroup = (
  config: ContainerInstancesConfig,
  { clock, installation, runnerUrl }: Pick<ProviderContext, 'clock' | 'installation' | 'runnerUrl'>,
  run: Run,
  shape: Shape,
): ContainerGroup => ({
  location: config.location,
  tags: {
    [TAG.installation]: installation,
    [TAG.attempt]: `${run.tenant}/${run.key}`,
    [TAG.created]: toTimestamp(clock.now()),
  },
  osType: 'Linux',
  // Not a promise: Azure may start a container that failed again. The runner never fails, and its ticket is good once.
  restartPolicy: 'Never',
  sku: 'Standard',
  containers: [
    {
      name: CONTAINER,
      image: shape.image,
      command: [...RUNNER_COMMAND],
      environmentVariables: [
        { name: RUNNER_ENVIRONMENT.url, value: runnerUrl },
        // Nobody who may read the group can read this one.
        { name: RUNNER_ENVIRONMENT.token, secureValue: run.token },
      ],
      resources: { requests: { cpu: shape.cpu, memoryInGB: shape.memoryInGB } },
      ...(shape.runnerImage ? { volumeMounts: [{ name: VOLUME, mountPath: '/errand', readOnly: true }] } : {}),
    },
  ],
  ...(shape.runnerImage
    ? { initContainers: [copyRunner(shape.runnerImage)], volumes: [{ name: VOLUME, emptyDir: {} }] }
    : {}),
  ...(config.subnetIds ? { subnetIds: config.subnetIds.map((id) => ({ id })) } : {}),
});

/** The volume stands elsewhere in this one, where it does not hide what is to be copied. */
const copyRunner = (image: string): InitContainerDefinition => ({
  name: 'bring-runner',
  image,
  command: ['/bin/cp', '-R', '/errand/.', '/errand-volume/'],
  volumeMounts: [{ name: VOLUME, mountPath: '/errand-volume' }],
});

/** Which run a group carries; undefined when it is none of this installation's. */
export const heldRunOf = ({ tags = {} }: ContainerGroup, installation: string): HeldRun | undefined => {
  const [tenant = '', key = ''] = (tags[TAG.attempt] ?? '').split('/');
  if (tags[TAG.installation] !== installation || !isTenantId(tenant) || !isAttemptKey(key)) return undefined;
  const createdAt = Date.parse(tags[TAG.created] ?? '');
  return { tenant, key, worker: '', createdAt: Number.isNaN(createdAt) ? undefined : createdAt };
};

const isAttemptKey = (text: string): text is AttemptKey => {
  const at = text.lastIndexOf('-');
  return isCommandId(text.slice(0, at)) && /^[1-9]\d*$/.test(text.slice(at + 1));
};
