import { ArnFormat, Duration, Size, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { RecursiveLoop, TenancyConfig } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { PRIORITIES, type Priority } from '../shared/domain/command.ts';
import type { Pool } from '../shared/domain/pools.ts';
import { LambdaConfig } from '../shared/providers/lambda/config.ts';
import type { TargetConfig } from '../shared/providers/targets.ts';
import type { DataStack } from './data-stack.ts';
import { environmentOf } from './environment.ts';
import { ErrandFunction } from './errand-function.ts';
import type { Options } from './options.ts';
import {
  mayEraseObjects,
  mayEraseSecrets,
  mayExecute,
  mayGetMany,
  mayKeepCheckpoints,
  mayPublish,
  mayRead,
  mayReadOutput,
  mayReadWebhookSecrets,
  mayRemoveInput,
  mayRunMicrovms,
  maySearch,
  maySign,
  maySignInToAzure,
  mayStoreOutput,
  mayTake,
  mayWake,
  mayWrite,
} from './permissions.ts';
import { type QueueStack, WORKER_MINUTES } from './queue-stack.ts';
import { executorNameOf } from './targets.ts';

export interface WorkersStackProps extends StackProps {
  readonly stage: string;
  readonly data: DataStack;
  readonly queue: QueueStack;
  readonly targets: readonly TargetConfig[];
  readonly pools: readonly Pool[];
  /** Where runners reach the control plane. */
  readonly runnerUrl: string;
  readonly bundles: string;
  readonly executor: Options['executor'];
  readonly reserved: Options['reserved'];
  readonly telemetry: Options['telemetry'];
}

const BATCH = 10;
/**
 * So that low ones never stand in the way of high ones, and that all of them with the executors of their commands, 10 for
 * each, fit into the 1,000 invocations at once of an account.
 */
const MOST_WORKERS: Readonly<Record<Priority, number>> = { high: 40, normal: 40, low: 10 };
const SWEEP_MINUTES = 5;
const FIRING_MINUTES = 3;
const DELIVERING_MINUTES = 3;

/** What does the work: the worker, the sweeper, and the executor in which commands run. */
export class WorkersStack extends Stack {
  readonly functions: Readonly<
    Record<'run-commands' | 'sweep' | 'fire-schedules' | 'deliver-webhooks' | 'execute', ErrandFunction>
  >;

  constructor(scope: Construct, id: string, props: WorkersStackProps) {
    super(scope, id, props);
    const { data, queue, bundles, stage, targets, reserved } = props;
    const executor = this.makeExecutor(props);
    const environment = environmentOf(this, props);
    const running = [
      mayRead(data),
      mayWrite(data),
      mayWake(queue),
      mayExecute([executor.function.functionArn, ...this.executorsBeside(targets, stage)]),
      ...mayRunMicrovms(targets),
      ...(targets.some(({ provider }) => provider === 'azure-container-instances') ? [maySignInToAzure] : []),
    ];
    const worker = new ErrandFunction(this, 'run-commands', {
      entry: 'run-commands',
      stage,
      environment,
      permissions: [
        ...running,
        ...mayRemoveInput(data),
        mayStoreOutput(data),
        mayTake(queue),
        // What nodes of workflows are given of others' output, and which of their commands have ended.
        mayGetMany(data),
        mayReadOutput(data),
      ],
      timeout: Duration.minutes(WORKER_MINUTES),
      bundles,
      // It puts wake-ups into the queues that it is called from, many for a command that runs elsewhere. Lambda would take
      // that for a loop that got out of hand, and stop it; ours ends with the command, whose time is limited.
      recursiveLoop: RecursiveLoop.ALLOW,
    });
    for (const priority of PRIORITIES) {
      const maxConcurrency = MOST_WORKERS[priority];
      worker.function.addEventSource(
        new SqsEventSource(queue.queues[priority], { batchSize: BATCH, reportBatchItemFailures: true, maxConcurrency }),
      );
    }
    const sweeper = new ErrandFunction(this, 'sweep', {
      entry: 'sweep',
      stage,
      environment,
      permissions: [
        ...running,
        ...maySearch(data, 'due'),
        ...maySearch(data, 'list'),
        maySign(data),
        mayKeepCheckpoints(data),
        mayPublish(queue),
        ...mayEraseObjects(data),
        ...mayEraseSecrets(this, stage),
        // What nodes of workflows are given of others' output.
        mayReadOutput(data),
      ],
      timeout: Duration.minutes(SWEEP_MINUTES),
      bundles,
      // The next minute is the retry.
      retryAttempts: 0,
      reservedConcurrency: reserved.sweep,
    });
    const firing = new ErrandFunction(this, 'fire-schedules', {
      entry: 'fire-schedules',
      stage,
      environment,
      permissions: [
        mayRead(data),
        mayWrite(data),
        ...mayRemoveInput(data),
        mayWake(queue),
        ...maySearch(data, 'due'),
        ...maySearch(data, 'list'),
      ],
      // It waits for what is due within a minute, and then fires it.
      timeout: Duration.minutes(FIRING_MINUTES),
      bundles,
      // The next minute is the retry.
      retryAttempts: 0,
    });
    const delivering = new ErrandFunction(this, 'deliver-webhooks', {
      entry: 'deliver-webhooks',
      stage,
      environment,
      permissions: [
        mayRead(data),
        mayGetMany(data),
        mayWrite(data),
        ...maySearch(data, 'due'),
        mayReadWebhookSecrets(this, stage),
      ],
      // Until the next minute, and then for what is on its way.
      timeout: Duration.minutes(DELIVERING_MINUTES),
      bundles,
      // The next minute is the retry.
      retryAttempts: 0,
    });
    this.callEachMinute(sweeper, firing, delivering);
    this.functions = {
      'run-commands': worker,
      sweep: sweeper,
      'fire-schedules': firing,
      'deliver-webhooks': delivering,
      execute: executor,
    };
  }

  /** Executors of targets that somebody else deployed, such as one with more memory. */
  private executorsBeside(targets: readonly TargetConfig[], stage: string): readonly string[] {
    return targets
      .filter(({ provider, config }) => provider === 'lambda' && nameOf(config) !== executorNameOf(stage))
      .map(({ config }) => this.functionArn(LambdaConfig.parse(config)));
  }

  private functionArn({ functionName, qualifier, region }: LambdaConfig): string {
    const name = { service: 'lambda', resource: 'function', resourceName: functionName, region };
    const arn = functionName.startsWith('arn:')
      ? functionName
      : this.formatArn({ ...name, arnFormat: ArnFormat.COLON_RESOURCE_NAME });
    return qualifier === undefined ? arn : `${arn}:${qualifier}`;
  }

  private callEachMinute(sweeper: ErrandFunction, firing: ErrandFunction, delivering: ErrandFunction): void {
    const deadLetterQueue = new Queue(this, 'SweepDeadLetters', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    Validations.of(deadLetterQueue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is a dead-letter queue itself.',
    });
    new Alarm(this, 'SweepDeadLettersAlarm', {
      alarmDescription:
        'EventBridge could not start the sweep, the firing of schedules or the delivering of webhooks: look at its permission and at Lambda’s concurrency.',
      metric: deadLetterQueue.metricApproximateNumberOfMessagesVisible(),
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    new Rule(this, 'EachMinute', {
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [sweeper, firing, delivering].map(
        (one) => new LambdaFunction(one.function, { deadLetterQueue, retryAttempts: 0 }),
      ),
    });
    new Alarm(this, 'SweepAlarm', {
      alarmDescription: 'The sweep does not run: what was lost on its way is not found again.',
      metric: sweeper.function.metricInvocations({ period: Duration.minutes(5) }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 2,
      treatMissingData: TreatMissingData.BREACHING,
    });
    new Alarm(this, 'DeliveringAlarm', {
      alarmDescription: 'No webhook is told of anything: what happens waits until this runs again.',
      metric: delivering.function.metricInvocations({ period: Duration.minutes(5) }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 2,
      treatMissingData: TreatMissingData.BREACHING,
    });
    new Alarm(this, 'FiringAlarm', {
      alarmDescription: 'No schedule is fired: what is due waits until this runs again.',
      metric: firing.function.metricInvocations({ period: Duration.minutes(5) }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 2,
      treatMissingData: TreatMissingData.BREACHING,
    });
  }

  /**
   * Commands of strangers run in it. Its credentials are taken to be theirs, so its role may do nothing, not even write a
   * log; and no two tenants share a machine. What it has to say goes onto its response, to the worker. The platform's own
   * lines (a time-out, a lack of memory) are lost with that: how the response ends tells them.
   */
  private makeExecutor({ stage, bundles, executor }: WorkersStackProps): ErrandFunction {
    const made = new ErrandFunction(this, 'execute', {
      entry: 'execute',
      stage,
      environment: { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/exec-wrapper.sh', ERRAND_OWN_MACHINE: 'yes' },
      permissions: 'none',
      timeout: Duration.minutes(15),
      memoryMiB: executor.memoryMiB,
      storage: Size.mebibytes(executor.storageMiB),
      bundles,
      tenancy: TenancyConfig.PER_TENANT,
      // Nobody invokes it without waiting. Were it done by mistake, no command must run twice.
      retryAttempts: 0,
    });
    return made;
  }
}

const nameOf = (config: unknown): string => (config as { readonly functionName: string }).functionName;
