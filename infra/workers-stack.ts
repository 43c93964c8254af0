import { Duration, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { Alarm, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { type CfnFunction, TenancyConfig } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import type { TargetConfig } from '../shared/providers/targets.ts';
import type { DataStack } from './data-stack.ts';
import { environmentOf } from './environment.ts';
import { denyAll, ErrandFunction, type Permission } from './errand-function.ts';
import { mayListObjects, mayRead, mayReadObjects, mayWake, mayWrite, mayWriteObjects } from './permissions.ts';
import { type QueueStack, WORKER_MINUTES } from './queue-stack.ts';
import { executorNameOf } from './targets.ts';

export interface WorkersStackProps extends StackProps {
  readonly stage: string;
  readonly data: DataStack;
  readonly queue: QueueStack;
  readonly targets: readonly TargetConfig[];
  /** Where runners reach the control plane. */
  readonly runnerUrl: string;
  readonly bundles: string;
  /** The executor's memory, and with it its share of processors. @default 1769, one processor */
  readonly executorMemoryMiB?: number;
}

const BATCH = 10;
const MOST_WORKERS = 100;
const SWEEP_MINUTES = 5;

/** What does the work: the worker, the sweeper, and the executor in which commands run. */
export class WorkersStack extends Stack {
  readonly functions: Readonly<Record<'run-commands' | 'sweep' | 'execute', ErrandFunction>>;

  constructor(scope: Construct, id: string, props: WorkersStackProps) {
    super(scope, id, props);
    const { data, queue, bundles } = props;
    const executor = this.makeExecutor(props);
    const environment = environmentOf(this, props);
    const changing = [
      mayRead(data),
      mayWrite(data),
      mayReadObjects(data),
      mayWriteObjects(data),
      mayListObjects(data),
      mayWake(queue),
    ];
    const running = [...changing, mayExecute(executor), ...maySignInElsewhere(props.targets)];
    const take: Permission = {
      actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ChangeMessageVisibility'],
      resources: Object.values(queue.queues).map(({ queueArn }) => queueArn),
    };
    const worker = new ErrandFunction(this, 'run-commands', {
      entry: 'run-commands',
      environment,
      permissions: [...running, take],
      timeout: Duration.minutes(WORKER_MINUTES),
      bundles,
    });
    for (const one of Object.values(queue.queues)) {
      worker.function.addEventSource(
        new SqsEventSource(one, { batchSize: BATCH, reportBatchItemFailures: true, maxConcurrency: MOST_WORKERS }),
      );
    }
    const sweeper = new ErrandFunction(this, 'sweep', {
      entry: 'sweep',
      environment,
      permissions: running,
      timeout: Duration.minutes(SWEEP_MINUTES),
      bundles,
    });
    this.schedule(sweeper);
    this.functions = { 'run-commands': worker, sweep: sweeper, execute: executor };
  }

  private schedule(sweeper: ErrandFunction): void {
    const deadLetterQueue = new Queue(this, 'SweepDeadLetters', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    Validations.of(deadLetterQueue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is a dead-letter queue itself.',
    });
    new Rule(this, 'EachMinute', {
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaFunction(sweeper.function, { deadLetterQueue, retryAttempts: 1 })],
    });
    new Alarm(this, 'SweepAlarm', {
      alarmDescription: 'The sweep does not run: what was lost on its way is not found again.',
      metric: sweeper.function.metricInvocations({ period: Duration.minutes(5) }),
      threshold: 1,
      comparisonOperator: 'LessThanThreshold' as never,
      evaluationPeriods: 2,
      treatMissingData: TreatMissingData.BREACHING,
    });
    new Alarm(this, 'SweepErrors', {
      alarmDescription: 'The sweep fails: look at its log.',
      metric: sweeper.function.metricErrors({ period: Duration.minutes(5) }),
      threshold: 3,
      evaluationPeriods: 1,
    });
  }

  /** Commands of strangers run in it: its role may do nothing at all, and no two tenants share a machine. */
  private makeExecutor({ stage, bundles, executorMemoryMiB = 1_769 }: WorkersStackProps): ErrandFunction {
    const executor = new ErrandFunction(this, 'execute', {
      entry: 'execute',
      environment: { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/exec-wrapper.sh', ERRAND_OWN_MACHINE: 'yes' },
      permissions: [],
      timeout: Duration.minutes(15),
      memoryMiB: executorMemoryMiB,
      bundles,
      tenancy: TenancyConfig.PER_TENANT,
      // Its credentials are a command's to find, and a log is a place to write to.
      logs: false,
    });
    executor.role.addToPolicy(denyAll());
    Validations.of(executor.role).acknowledge({
      id: 'AwsSolutions-IAM5',
      reason: 'It denies everything; it allows nothing.',
    });
    (executor.function.node.defaultChild as CfnFunction).functionName = executorNameOf(stage);
    return executor;
  }
}

const mayExecute = ({ function: executor }: ErrandFunction): Permission => ({
  actions: ['lambda:InvokeFunction'],
  resources: [executor.functionArn],
});

/** A token that tells Entra who this is; Google takes a signed request instead, for which no right is needed. */
const maySignInElsewhere = (targets: readonly TargetConfig[]): readonly Permission[] =>
  targets.some(({ provider }) => provider === 'azure-container-instances')
    ? [
        {
          actions: ['sts:GetWebIdentityToken'],
          resources: ['*'],
          wildcard: {
            finding: 'Resource::*',
            reason: 'The token is of the role itself; there is no resource to name.',
          },
        },
      ]
    : [];
