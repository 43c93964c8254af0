import type { Stack } from 'aws-cdk-lib';
import type { TargetConfig } from '../shared/providers/targets.ts';
import type { DataStack } from './data-stack.ts';
import type { QueueStack } from './queue-stack.ts';

/** Marks what an installation makes at providers: 32 characters at most. */
export const installationOf = (stage: string): string => `errand-${stage}`.slice(0, 32);

/** What functions/wire.ts reads: names and addresses, never a secret. */
export const environmentOf = (
  stack: Stack,
  {
    stage,
    data,
    queue,
    targets,
    runnerUrl,
  }: {
    readonly stage: string;
    readonly data: DataStack;
    readonly queue: QueueStack;
    readonly targets: readonly TargetConfig[];
    /** Only those that start runs have to know. */
    readonly runnerUrl?: string;
  },
): Record<string, string> => ({
  ERRAND_TABLE: data.table.tableName,
  ERRAND_BUCKET: data.objects.bucketName,
  ERRAND_QUEUE_HIGH: queue.queues.high.queueUrl,
  ERRAND_QUEUE_NORMAL: queue.queues.normal.queueUrl,
  ERRAND_QUEUE_LOW: queue.queues.low.queueUrl,
  ERRAND_KEY_SECRET: data.key.secretArn,
  ERRAND_TARGETS: stack.toJsonString({
    installation: installationOf(stage),
    ...(runnerUrl === undefined ? {} : { runnerUrl }),
    targets,
  }),
});
