import { startFauxqs as start } from 'fauxqs';
import { afterAll } from 'vitest';
import { PRIORITIES, type Priority } from '../../shared/domain/command.ts';

/** What every client of it is given. */
export const AWS = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };

export interface QueueOptions {
  /** How often a message is handed out before it goes to the dead-letter queue. @default 3 */
  readonly maxReceiveCount?: number;
  /** How long a message that was handed out and not deleted stays away. @default 1 */
  readonly visibilitySeconds?: number;
}

export interface Queues {
  readonly queueUrls: Readonly<Record<Priority, string>>;
  readonly deadLetterUrl: string;
}

export interface Fauxqs {
  readonly endpoint: string;
  /** Three queues, and the one where what none of them gets rid of ends. */
  createQueues(options?: QueueOptions): Queues;
  createBucket(): string;
  /** The bodies of the messages in a queue, whatever state they are in. */
  bodiesIn(queueUrl: string): readonly string[];
}

/**
 * SQS and S3 in this process, on a port of their own until the test file ends.
 * It knows the wire and the time-outs, not all of AWS: it takes any signature and any delay, and forgets the message
 * group of a standard queue.
 */
export const startFauxqs = async (): Promise<Fauxqs> => {
  const server = await start({ port: 0, host: 'localhost', logger: false, defaultRegion: AWS.region });
  afterAll(() => server.stop());
  let made = 0;
  return {
    endpoint: `http://localhost:${server.port}`,

    createQueues({ maxReceiveCount = 3, visibilitySeconds = 1 } = {}) {
      const set = ++made;
      const deadLetters = server.createQueue(`dead-letters-${set}`);
      const attributes = {
        VisibilityTimeout: String(visibilitySeconds),
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadLetters.queueArn, maxReceiveCount }),
      };
      const urls = PRIORITIES.map((priority) => [
        priority,
        server.createQueue(`wake-ups-${priority}-${set}`, { attributes }).queueUrl,
      ]);
      return { queueUrls: Object.fromEntries(urls), deadLetterUrl: deadLetters.queueUrl };
    },

    createBucket: () => server.createBucket(`objects-${++made}`).bucketName,

    bodiesIn(queueUrl) {
      const found = server.inspectQueue(new URL(queueUrl).pathname.split('/').at(-1) ?? '');
      if (!found) throw new Error(`There is no queue ${queueUrl}`);
      const { ready, delayed, inflight } = found.messages;
      return [...ready, ...delayed, ...inflight.map(({ message }) => message)].map(({ body }) => body);
    },
  };
};
