import {
  DeleteMessageCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSMessageAttribute, SQSRecord } from 'aws-lambda';

/** How many batches of one queue are handled at once: as many as AWS begins with. */
const MOST_AT_ONCE = 5;
/** Less than the silence after which a client gives up. */
const POLL_SECONDS = 1;

export interface SqsEventSourceOptions {
  readonly client: SQSClient;
  readonly queueUrls: Readonly<Record<string, string>>;
  /** The function: in this process, or whatever invokes it. */
  readonly handler: (event: SQSEvent) => Promise<SQSBatchResponse>;
  /** The most messages in one event, 10 at most. @default 10 */
  readonly batchSize?: number;
}

export interface SqsEventSource {
  /** Takes no more messages and waits for the batches being handled. Rejects when SQS failed meanwhile. */
  close(): Promise<void>;
}

/**
 * What AWS does between SQS and a Lambda function whose event source mapping has `ReportBatchItemFailures`: polls, hands
 * over batches, and deletes what did not fail. What failed is left alone, so that it comes again when its visibility
 * time-out is over (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
 */
export const sqsEventSource = ({
  client,
  queueUrls,
  handler,
  batchSize = 10,
}: SqsEventSourceOptions): SqsEventSource => {
  const closing = new AbortController();
  let failure: unknown;
  const fail = (error: unknown): void => {
    if ((error as Error).name !== 'AbortError') failure ??= error;
    closing.abort();
  };

  const receive = async (queueUrl: string): Promise<readonly Message[]> => {
    const command = new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: batchSize,
      WaitTimeSeconds: POLL_SECONDS,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    });
    return (await client.send(command, { abortSignal: closing.signal })).Messages ?? [];
  };

  const invoke = async (queueUrl: string, records: readonly SQSRecord[]): Promise<void> => {
    const ids = records.map(({ messageId }) => messageId);
    const failed = await handler({ Records: [...records] }).then(
      (response) => failedOf(response, ids),
      () => new Set(ids),
    );
    for (const { messageId, receiptHandle } of records) {
      if (failed.has(messageId)) continue;
      await client.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle: receiptHandle }));
    }
  };

  const poll = async (queueUrl: string): Promise<void> => {
    const region = await client.config.region();
    const invocations = new Set<Promise<void>>();
    try {
      while (!closing.signal.aborted) {
        const messages = await receive(queueUrl);
        if (messages.length === 0) continue;
        const records = messages.map((message) => toRecord(queueUrl, message, region));
        const invocation = invoke(queueUrl, records)
          .catch(fail)
          .finally(() => invocations.delete(invocation));
        invocations.add(invocation);
        if (invocations.size >= MOST_AT_ONCE) await Promise.race(invocations);
      }
    } finally {
      await Promise.all(invocations);
    }
  };

  const polling = Promise.all(Object.values(queueUrls).map((queueUrl) => poll(queueUrl).catch(fail)));
  return {
    async close() {
      closing.abort();
      await polling;
      if (failure) throw failure;
    },
  };
};

/** The messages of a batch that failed: all of them, when the answer is not one that AWS understands. */
export const failedOf = (response: unknown, messageIds: readonly string[]): ReadonlySet<string> => {
  const all = new Set(messageIds);
  if (response === undefined || response === null) return new Set();
  if (typeof response !== 'object') return all;
  const { batchItemFailures: failures = null } = response as { batchItemFailures?: unknown };
  if (failures === null) return new Set();
  if (!Array.isArray(failures)) return all;
  const ids = failures.map((failure: { itemIdentifier?: unknown } | null) => failure?.itemIdentifier);
  return ids.every((id) => typeof id === 'string' && all.has(id)) ? new Set(ids as string[]) : all;
};

/** https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event */
const toRecord = (queueUrl: string, message: Message, awsRegion: string): SQSRecord => {
  const [account, name] = new URL(queueUrl).pathname.split('/').slice(-2);
  return {
    messageId: message.MessageId ?? '',
    receiptHandle: message.ReceiptHandle ?? '',
    body: message.Body ?? '',
    // All that SQS gave.
    attributes: message.Attributes as unknown as SQSRecord['attributes'],
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(([key, value]) => [key, toAttribute(value)]),
    ),
    md5OfBody: message.MD5OfBody ?? '',
    eventSource: 'aws:sqs',
    eventSourceARN: `arn:aws:sqs:${awsRegion}:${account}:${name}`,
    awsRegion,
  };
};

const toAttribute = ({ DataType, StringValue, BinaryValue }: MessageAttributeValue): SQSMessageAttribute => ({
  ...(StringValue === undefined ? {} : { stringValue: StringValue }),
  ...(BinaryValue === undefined ? {} : { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
  stringListValues: [],
  binaryListValues: [],
  dataType: DataType ?? 'String',
});
