import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { PRIORITIES, type Priority } from '../shared/domain/command.ts';

/** The longest that a worker handles a batch. */
export const WORKER_MINUTES = 15;
const MOST_RECEIVES = 5;

/**
 * A queue for each priority, with what none of its workers gets rid of in a queue beside it: hints only, nothing is lost with them. And
 * the bus that tells others of events: their rules hang on it, so it outlives what puts events onto it.
 */
export class QueueStack extends Stack {
  readonly queues: Readonly<Record<Priority, Queue>>;
  readonly events: EventBus;

  constructor(scope: Construct, id: string, props: StackProps = {}) {
    super(scope, id, props);
    const made = PRIORITIES.map((priority) => [priority, this.makeQueue(priority)] as const);
    this.queues = Object.fromEntries(made) as Record<Priority, Queue>;
    this.events = new EventBus(this, 'Events', { description: 'What happens in this installation of Errand' });
    new CfnOutput(this, 'EventBus', {
      value: this.events.eventBusName,
      description: 'Where events are: docs/events.md',
    });
  }

  private makeQueue(priority: Priority): Queue {
    const name = priority[0]?.toUpperCase() + priority.slice(1);
    const safe = { encryption: QueueEncryption.SQS_MANAGED, enforceSSL: true };
    const deadLetters = new Queue(this, `${name}DeadLetters`, { ...safe, retentionPeriod: Duration.days(14) });
    const queue = new Queue(this, name, {
      ...safe,
      // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: six times the function's own time.
      visibilityTimeout: Duration.minutes(6 * WORKER_MINUTES),
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: MOST_RECEIVES },
    });
    const shared = { evaluationPeriods: 1, treatMissingData: TreatMissingData.NOT_BREACHING };
    new Alarm(this, `${name}DeadLettersAlarm`, {
      ...shared,
      alarmDescription: `Wake-ups of priority ${priority} could not be handled: look at the worker's log.`,
      metric: deadLetters.metricApproximateNumberOfMessagesVisible(),
      threshold: 0,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
    });
    new Alarm(this, `${name}AgeAlarm`, {
      ...shared,
      alarmDescription: `Wake-ups of priority ${priority} wait for too long: workers are throttled or fail.`,
      metric: queue.metricApproximateAgeOfOldestMessage(),
      threshold: Duration.minutes(30).toSeconds(),
    });
    return queue;
  }
}
