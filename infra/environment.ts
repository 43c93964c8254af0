import type { Stack } from 'aws-cdk-lib';
import { ENVIRONMENT } from '../functions/environment.ts';
import type { Pool } from '../shared/domain/pools.ts';
import type { TargetConfig } from '../shared/providers/targets.ts';
import type { DataStack } from './data-stack.ts';
import type { Options } from './options.ts';
import type { QueueStack } from './queue-stack.ts';

/** Marks what an installation makes at providers: 32 characters at most. */
export const installationOf = (stage: string): string => `errand-${stage}`.slice(0, 32);

/** The name of a function, of its role, and of its log group below /aws/lambda. */
export const functionNameOf = (stage: string, entry: string): string => `errand-${stage}-${entry}`;

/** What functions/wire.ts reads: names and addresses, never a secret. */
export const environmentOf = (
  stack: Stack,
  {
    stage,
    data,
    queue,
    targets,
    pools,
    runnerUrl,
    issuers,
    telemetry,
  }: {
    readonly stage: string;
    readonly data: DataStack;
    readonly queue: QueueStack;
    readonly targets: readonly TargetConfig[];
    readonly pools: readonly Pool[];
    /** Only those that start runs have to know. */
    readonly runnerUrl?: string;
    /** Only those that callers reach have to know. */
    readonly issuers?: string | undefined;
    readonly telemetry: Options['telemetry'];
  },
): Record<string, string> => ({
  [ENVIRONMENT.table]: data.table.tableName,
  [ENVIRONMENT.bucket]: data.objects.bucketName,
  [ENVIRONMENT.checkpoints]: data.checkpoints.bucketName,
  [ENVIRONMENT.queueHigh]: queue.queues.high.queueUrl,
  [ENVIRONMENT.queueNormal]: queue.queues.normal.queueUrl,
  [ENVIRONMENT.queueLow]: queue.queues.low.queueUrl,
  [ENVIRONMENT.eventBus]: queue.events.eventBusName,
  [ENVIRONMENT.keySecret]: data.key.secretArn,
  ...(issuers === undefined ? {} : { [ENVIRONMENT.issuers]: issuers }),
  ...(telemetry.emf ? { [ENVIRONMENT.metrics]: 'emf' } : {}),
  ...(telemetry.otlpEndpoint === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: telemetry.otlpEndpoint }),
  [ENVIRONMENT.auditSecret]: data.auditKey.secretArn,
  [ENVIRONMENT.targets]: stack.toJsonString({
    installation: installationOf(stage),
    ...(runnerUrl === undefined ? {} : { runnerUrl }),
    targets,
    ...(pools.length > 0 ? { pools } : {}),
  }),
});
