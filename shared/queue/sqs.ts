import { SendMessageCommand, SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import type { Priority } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { tenantOf } from '../store/schema.ts';
import type { Queue } from './queue.ts';

/** The longest that SQS delays a message. */
const LONGEST_DELAY_SECONDS = 900;
const CONNECT_MS = 1_000;
/** SQS answers in some 20 ms. */
const ANSWER_MS = 2_000;
const TRIES = 3;

export interface SqsClientOptions {
  readonly region: string;
  /** Where SQS is, if not where AWS has it in that region: a VPC endpoint, or an emulator. */
  readonly endpoint?: string;
  /** @default those that the SDK finds: the role of the function */
  readonly credentials?: NonNullable<SQSClientConfig['credentials']>;
}

/** A client that gives up: a send takes 7 s at the most, its retries included, however SQS fails. */
export const sqsClient = (options: SqsClientOptions): SQSClient =>
  new SQSClient({
    ...options,
    maxAttempts: TRIES,
    // The queue's URL names a host too; where requests go is the endpoint's to say, for all queues alike.
    useQueueUrlAsEndpoint: false,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: ANSWER_MS,
      socketTimeout: ANSWER_MS,
      // Without it the SDK writes a warning, and goes on waiting.
      throwOnRequestTimeout: true,
    },
  });

export interface SqsQueueOptions {
  readonly client: SQSClient;
  /** A standard queue for each priority: SQS itself knows none, so each has consumers of its own. */
  readonly queueUrls: Readonly<Record<Priority, string>>;
}

/**
 * Wake-ups as SQS messages.
 *
 * The tenant is the message group, which on a standard queue makes it a fair one: while one tenant's messages pile
 * up, those of the others go before them. It is no limit: a tenant alone on the queue takes all workers there are. So
 * fairness orders what waits, and whoever wants to cap what runs must count it in the store.
 *
 * SQS delays by whole seconds and by 15 minutes at most, so a delay is rounded up and cut off there. Nobody is harmed by
 * a wake-up that comes too early: who looks asks the engine, which answers "not yet" and has another one sent. What
 * never comes, the sweeper finds.
 *
 * A failure that may pass is an AppError 'unavailable'; its detail holds no address, account or role, since callers of
 * the API may see it: the cause does.
 */
export const sqsQueue = ({ client, queueUrls }: SqsQueueOptions): Queue => ({
  async send({ v, id }, { priority, delaySeconds = 0 }) {
    const message = new SendMessageCommand({
      QueueUrl: queueUrls[priority],
      MessageBody: JSON.stringify({ v, id }),
      MessageGroupId: tenantOf(id),
      DelaySeconds: Math.min(LONGEST_DELAY_SECONDS, Math.max(0, Math.ceil(delaySeconds))),
    });
    try {
      await client.send(message);
    } catch (error) {
      throw unavailable(error);
    }
  },
});

const PERMIT =
  'Allow this role sqs:SendMessage on the queues, and the use of their key if they are encrypted with one.';
const SLOW_DOWN = 'Too many requests: try again later.';
const SIGN_IN = 'Give this process valid AWS credentials.';

/**
 * By the name of the SDK's error
 * (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
 */
const ADVICE: Readonly<Record<string, string>> = {
  AccessDenied: PERMIT,
  AccessDeniedException: PERMIT,
  KmsAccessDenied: PERMIT,
  QueueDoesNotExist: 'Deploy the queues, or correct their URLs and the region.',
  RequestThrottled: SLOW_DOWN,
  ThrottlingException: SLOW_DOWN,
  KmsThrottled: SLOW_DOWN,
  CredentialsProviderError: SIGN_IN,
  ExpiredToken: SIGN_IN,
  InvalidClientTokenId: SIGN_IN,
  SignatureDoesNotMatch: SIGN_IN,
};

const unavailable = (cause: unknown): AppError => {
  const name = cause instanceof Error ? cause.name : 'unknown error';
  const advice = ADVICE[name] ?? 'Try again; if it stays so, see whether SQS can be reached from here.';
  return new AppError('unavailable', `The queue does not take the wake-up (${name}). ${advice}`, { cause });
};
