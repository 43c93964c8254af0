import { createHash } from 'node:crypto';
import type { protos } from '@google-cloud/run';
import { RUNNER_COMMAND } from '../../runner/program.ts';
import type { Run } from '../provider.ts';
import { type CloudRunConfig, LONGEST_TASK_SECONDS } from './config.ts';

type Job = protos.google.cloud.run.v2.IJob;
type TaskTemplate = protos.google.cloud.run.v2.ITaskTemplate;

/** What a job fixes and a start cannot change, as far as a command may choose it. */
export interface Shape {
  readonly image: string;
  readonly cpu: number;
  readonly memoryMiB: number;
}

export const toShape = (config: CloudRunConfig, { image, cpu, memoryMiB }: Run): Shape => ({
  image: image ?? config.image,
  cpu: cpu ?? config.cpu,
  memoryMiB: memoryMiB ?? config.memoryMiB,
});

/** Names the installation to people and on the bill; runs are told apart by their mark (executions.ts). */
export const INSTALLATION_LABEL = 'errand-installation';

export interface NamedJob {
  readonly id: string;
  readonly job: Job;
}

/**
 * The job of a shape. Its id is a digest of all that makes it, so that it is the same in whichever process, and another
 * as soon as anything of it is another: jobs are never changed.
 */
export const jobOf = (config: CloudRunConfig, installation: string, shape: Shape): NamedJob => {
  const job = toJob(config, installation, shape);
  const digest = createHash('sha256').update(JSON.stringify(job)).digest('hex').slice(0, 20);
  return { id: `${installation}-${digest}`, job };
};

const toJob = (config: CloudRunConfig, installation: string, shape: Shape): Job => {
  const labels = { [INSTALLATION_LABEL]: installation };
  return { labels, template: { labels, taskCount: 1, template: toTask(config, shape) } };
};

const toTask = ({ runnerBucket, serviceAccount, vpc }: CloudRunConfig, shape: Shape): TaskTemplate => ({
  containers: [
    {
      image: shape.image,
      command: [...RUNNER_COMMAND],
      resources: { limits: { cpu: String(shape.cpu), memory: `${shape.memoryMiB}Mi` } },
      ...(runnerBucket === undefined ? {} : { volumeMounts: [{ name: 'errand', mountPath: '/errand' }] }),
    },
  ],
  ...(runnerBucket === undefined ? {} : { volumes: [runnerVolume(runnerBucket)] }),
  ...(vpc === undefined ? {} : { vpcAccess: toVpcAccess(vpc) }),
  serviceAccount,
  executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2',
  // By default a task that fails is run three times more.
  maxRetries: 0,
  // Each start sets its own.
  timeout: { seconds: LONGEST_TASK_SECONDS },
});

/** Folders that are only parts of objects' names have to be asked for, and so does what may be executed. */
const runnerVolume = (bucket: string) => ({
  name: 'errand',
  gcs: { bucket, readOnly: true, mountOptions: ['implicit-dirs', 'file-mode=755', 'dir-mode=755'] },
});

const toVpcAccess = ({ network, subnetwork, egress }: NonNullable<CloudRunConfig['vpc']>) => ({
  egress: egress === 'all-traffic' ? ('ALL_TRAFFIC' as const) : ('PRIVATE_RANGES_ONLY' as const),
  networkInterfaces: [
    { ...(network === undefined ? {} : { network }), ...(subnetwork === undefined ? {} : { subnetwork }) },
  ],
});
