import { createHash } from 'node:crypto';
import type { protos } from '@google-cloud/run';
import type { AttemptKey, TenantId } from '../../domain/ids.ts';
import { RUNNER_COMMAND, runnerEnvironment } from '../../runner/program.ts';
import type { HeldRun, Run } from '../provider.ts';
import { type CloudRunConfig, CPU_STEPS, MEMORY_MIB } from './config.ts';

export type Job = protos.google.cloud.run.v2.IJob;
export type Execution = protos.google.cloud.run.v2.IExecution;
type EnvVar = protos.google.cloud.run.v2.IEnvVar;

/** What a job fixes, and a run cannot change: one job for each of these. */
export interface Shape {
  readonly image: string;
  readonly cpu: number;
  readonly memoryMiB: number;
}

/** Names of variables by which a run is found again. They hold nothing of the command. */
const ATTEMPT = 'ERRAND_RUN';
const INSTALLATION = 'ERRAND_INSTALLATION';
const INSTALLATION_LABEL = 'errand-installation';

/** From the end of the command's time to the end of its container: the grace, and the runner's last word. */
const END_SECONDS = 120;
const LONGEST_SECONDS = 7 * 24 * 3_600;

/** @returns what is wrong, for a person, when Cloud Run has no such machine */
export const toShape = (config: CloudRunConfig, { image, cpu, memoryMiB }: Run): Shape | { readonly fault: string } => {
  const shape = { image: image ?? config.image, cpu: cpu ?? config.cpu, memoryMiB: memoryMiB ?? config.memoryMiB };
  const memory = MEMORY_MIB[shape.cpu];
  if (!memory) return { fault: `Cloud Run gives ${CPU_STEPS.join(', ')} processors, not ${shape.cpu}.` };
  if (shape.memoryMiB >= memory.min && shape.memoryMiB <= memory.max) return shape;
  const range = `${memory.min} to ${memory.max} MiB of memory`;
  return { fault: `With ${shape.cpu} processors Cloud Run gives ${range}, not ${shape.memoryMiB}.` };
};

/** The same shape has the same name, in whichever process. */
export const jobIdOf = (config: CloudRunConfig, installation: string, shape: Shape): string => {
  const { serviceAccount = '', runnerBucket = '' } = config;
  const all = [shape.image, shape.cpu, shape.memoryMiB, serviceAccount, runnerBucket, ...RUNNER_COMMAND];
  return `${installation}-${createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, 20)}`;
};

export const toJob = (config: CloudRunConfig, installation: string, shape: Shape): Job => ({
  labels: { [INSTALLATION_LABEL]: installation },
  template: {
    taskCount: 1,
    template: {
      containers: [
        {
          image: shape.image,
          command: [...RUNNER_COMMAND],
          resources: { limits: { cpu: String(shape.cpu), memory: `${shape.memoryMiB}Mi` } },
          ...(config.runnerBucket ? { volumeMounts: [{ name: 'errand', mountPath: '/errand' }] } : {}),
        },
      ],
      ...(config.runnerBucket
        ? { volumes: [{ name: 'errand', gcs: { bucket: config.runnerBucket, readOnly: true } }] }
        : {}),
      ...(config.serviceAccount ? { serviceAccount: config.serviceAccount } : {}),
      executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2',
      // The default would run a command that fails four times.
      maxRetries: 0,
      timeout: { seconds: LONGEST_SECONDS },
    },
  },
});

/** Of the command itself, nothing: executions can be read by whoever may list them. */
export const toOverrides = (run: Run, { installation, runnerUrl }: { installation: string; runnerUrl: string }) => ({
  containerOverrides: [
    {
      env: toEnv({
        ...runnerEnvironment({ url: runnerUrl, token: run.token }),
        [ATTEMPT]: `${run.tenant}/${run.key}`,
        [INSTALLATION]: installation,
      }),
    },
  ],
  taskCount: 1,
  timeout: { seconds: Math.min(LONGEST_SECONDS, run.timeoutSeconds + END_SECONDS) },
});

const toEnv = (env: Readonly<Record<string, string>>): EnvVar[] =>
  Object.entries(env).map(([name, value]) => ({ name, value }));

/** Which run an execution carries; undefined when it is none of this installation's. */
export const heldRunOf = (execution: Execution, installation: string): HeldRun | undefined => {
  const env = new Map(execution.template?.containers?.[0]?.env?.map(({ name, value }) => [name, value]));
  const [tenant, key] = (env.get(ATTEMPT) ?? '').split('/');
  if (env.get(INSTALLATION) !== installation || !tenant || !key || !execution.name) return undefined;
  const seconds = execution.createTime?.seconds;
  return {
    tenant: tenant as TenantId,
    key: key as AttemptKey,
    worker: '',
    ref: execution.name,
    createdAt: seconds === undefined || seconds === null ? undefined : Number(seconds) * 1_000,
  };
};
