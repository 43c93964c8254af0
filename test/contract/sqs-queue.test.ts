import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { PRIORITIES } from '../../shared/domain/command.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { WakeUp } from '../../shared/queue/queue.ts';
import { sqsClient, sqsQueue } from '../../shared/queue/sqs.ts';
import { consumeSqsBatch } from '../../shared/queue/sqs-batch.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { commandId } from '../support/commands.ts';
import { type Fault, faultProxy } from '../support/fault-proxy.ts';
import { AWS, type QueueOptions, type Queues, startFauxqs } from '../support/fauxqs.ts';
import { failedOf, sqsEventSource } from '../support/sqs-event-source.ts';
import { numberOf, queueContract, wakeUp } from './queue-contract.ts';

const fauxqs = await startFauxqs();
const client = sqsClient({ ...AWS, endpoint: fauxqs.endpoint });
afterAll(() => client.destroy());

const until = (isSo: () => boolean): Promise<void> =>
  vi.waitFor(() => expect(isSo()).toBe(true), { timeout: 20_000, interval: 20 });

const clientOf = (endpoint: string): SQSClient => {
  const own = sqsClient({ ...AWS, endpoint });
  onTestFinished(() => own.destroy());
  return own;
};

/** The worker's side, until the test ends. */
const consumeBy = ({ queueUrls }: Queues, handler: (event: SQSEvent) => Promise<SQSBatchResponse>): void => {
  const source = sqsEventSource({ client, queueUrls, handler });
  onTestFinished(source.close);
};

const open = (options?: QueueOptions) => {
  const queues = fauxqs.createQueues(options);
  return {
    ...queues,
    queue: sqsQueue({ client, queueUrls: queues.queueUrls }),
    consume: (handle: (wakeUp: WakeUp) => Promise<void>) =>
      consumeBy(queues, (event) => consumeSqsBatch(event, handle, { log: silentLog })),
    isEmpty: () => Object.values(queues.queueUrls).every((url) => fauxqs.bodiesIn(url).length === 0),
    deadLetters: () => fauxqs.bodiesIn(queues.deadLetterUrl),
  };
};

queueContract('SQS', async () => ({ ...open(), now: Date.now, until }));

describe('what the SQS queue sends', () => {
  test('each priority has its own queue', async () => {
    const { queue, queueUrls } = open();
    for (const [n, priority] of PRIORITIES.entries()) await queue.send(wakeUp(n), { priority });
    for (const [n, priority] of PRIORITIES.entries()) {
      expect(fauxqs.bodiesIn(queueUrls[priority])).toEqual([JSON.stringify(wakeUp(n))]);
    }
  });

  test('a message is the version, the reference and the tenant as its group, and nothing else', async () => {
    const proxy = await faultProxy(fauxqs.endpoint);
    const { queueUrls } = fauxqs.createQueues();
    const queue = sqsQueue({ client: clientOf(proxy.endpoint), queueUrls });
    const id = referenceOf(toTenantId(`0-${'t'.repeat(61)}`), commandId(7));
    const more = { v: 1, id, argv: ['secret'] } as const;
    await queue.send(more, { priority: 'low' });
    expect(JSON.parse(String(proxy.seen[0]?.body))).toEqual({
      QueueUrl: queueUrls.low,
      MessageBody: `{"v":1,"id":"${id}"}`,
      MessageGroupId: `0-${'t'.repeat(61)}`,
      DelaySeconds: 0,
    });
  });

  test.for([
    [-5, 0],
    [0, 0],
    [0.001, 1],
    [1, 1],
    [1.2, 2],
    [899.5, 900],
    [901, 900],
    [24 * 3_600, 900],
    [Number.POSITIVE_INFINITY, 900],
  ] as const)('a delay of %d s is sent as %d s', async ([delaySeconds, sent]) => {
    const proxy = await faultProxy(fauxqs.endpoint);
    const { queueUrls } = fauxqs.createQueues();
    const queue = sqsQueue({ client: clientOf(proxy.endpoint), queueUrls });
    await queue.send(wakeUp(1), { priority: 'normal', delaySeconds });
    expect(JSON.parse(String(proxy.seen[0]?.body))).toMatchObject({ DelaySeconds: sent });
  });
});

describe('when SQS fails', () => {
  const TRY_AGAIN = 'see whether SQS can be reached';

  const sendThrough = async (endpoint: string, queueUrls = fauxqs.createQueues().queueUrls): Promise<void> =>
    sqsQueue({ client: clientOf(endpoint), queueUrls }).send(wakeUp(1), { priority: 'normal' });

  test.for<Fault>(['reset', 'lost', 'hang', 'dawdle', 'error', 'garbage', 'cut', 'stall'])(
    '%s: a send says so in bounded time',
    async (fault) => {
      const proxy = await faultProxy(fauxqs.endpoint);
      proxy.fail(fault);
      const before = performance.now();
      await expect(sendThrough(proxy.endpoint)).rejects.toMatchObject({
        name: 'AppError',
        code: 'unavailable',
        message: expect.stringContaining(TRY_AGAIN),
      });
      expect(performance.now() - before).toBeLessThan(10_000);
    },
  );

  test.for<Fault>(['reset', 'error'])('%s: a send goes through when it was for once', async (fault) => {
    const proxy = await faultProxy(fauxqs.endpoint);
    const { queueUrls } = fauxqs.createQueues();
    proxy.fail(fault, 1);
    await sendThrough(proxy.endpoint, queueUrls);
    expect(proxy.seen).toHaveLength(2);
    expect(fauxqs.bodiesIn(queueUrls.normal)).toHaveLength(1);
  });

  test('a send whose answer is lost is sent again: twice does no harm', async () => {
    const proxy = await faultProxy(fauxqs.endpoint);
    const { queueUrls } = fauxqs.createQueues();
    proxy.fail('lost', 1);
    await sendThrough(proxy.endpoint, queueUrls);
    expect(fauxqs.bodiesIn(queueUrls.normal)).toEqual([JSON.stringify(wakeUp(1)), JSON.stringify(wakeUp(1))]);
  });

  test('nobody listens: a send says so in bounded time', async () => {
    await expect(sendThrough('http://localhost:1')).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('a queue that is not there is told with what to do, and without its address', async () => {
    const normal = 'http://sqs.us-east-1.localhost/123456789012/none';
    const error = await sendThrough(fauxqs.endpoint, { high: normal, normal, low: normal }).catch((thrown) => thrown);
    expect(error).toMatchObject({ name: 'AppError', code: 'unavailable', cause: { name: 'QueueDoesNotExist' } });
    expect(error.message).toContain('Deploy the queues');
    expect(error.message).not.toContain('123456789012');
  });
});

describe('from the queue to the worker and back', () => {
  test('what fails comes again, and is gone once it succeeds', async () => {
    const { queue, consume, isEmpty, deadLetters } = open();
    let tries = 0;
    consume(async () => {
      if (++tries === 1) throw new Error('not yet');
    });
    await queue.send(wakeUp(1), { priority: 'high' });
    await until(() => tries === 2);
    await until(isEmpty);
    expect(deadLetters()).toEqual([]);
  });

  test('what always fails is tried as often as the queue says and ends among the dead letters', async () => {
    const { queue, consume, isEmpty, deadLetters } = open({ maxReceiveCount: 2 });
    let tries = 0;
    consume(async () => {
      tries++;
      throw new Error('never');
    });
    await queue.send(wakeUp(1), { priority: 'low' });
    await until(() => deadLetters().length > 0);
    expect({ tries, dead: deadLetters(), empty: isEmpty() }).toEqual({
      tries: 2,
      dead: [JSON.stringify(wakeUp(1))],
      empty: true,
    });
  });

  test('poison ends among the dead letters, and what is in its batch is handled once', async () => {
    const { queue, queueUrls, consume, isEmpty, deadLetters } = open({ maxReceiveCount: 2, visibilitySeconds: 2 });
    const poison = ['{', JSON.stringify({ ...wakeUp(3), v: 2 }), JSON.stringify({ ...wakeUp(4), argv: ['x'] })];
    await queue.send(wakeUp(1), { priority: 'normal' });
    for (const MessageBody of poison) {
      await client.send(new SendMessageCommand({ QueueUrl: queueUrls.normal, MessageBody }));
    }
    await queue.send(wakeUp(2), { priority: 'normal' });
    const seen: number[] = [];
    consume(async (message) => void seen.push(numberOf(message)));
    await until(() => deadLetters().length === poison.length);
    expect(deadLetters().toSorted()).toEqual(poison.toSorted());
    expect(seen.toSorted()).toEqual([1, 2]);
    expect(isEmpty()).toBe(true);
  });
});

describe("Lambda's part, as the tests play it", () => {
  test('an event has the shape that AWS documents', async () => {
    const queues = fauxqs.createQueues();
    const events: SQSEvent[] = [];
    const sentAt = Date.now();
    await client.send(
      new SendMessageCommand({
        QueueUrl: queues.queueUrls.high,
        MessageBody: 'a',
        MessageAttributes: { kind: { DataType: 'String', StringValue: 'b' } },
      }),
    );
    consumeBy(queues, async (event) => {
      events.push(event);
      return { batchItemFailures: [] };
    });
    await until(() => events.length > 0);
    expect(events[0]?.Records).toEqual([
      {
        messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        receiptHandle: expect.stringMatching(/./),
        body: 'a',
        attributes: {
          ApproximateReceiveCount: '1',
          SentTimestamp: expect.stringMatching(/^\d{13}$/),
          SenderId: expect.any(String),
          ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
        },
        messageAttributes: {
          kind: { dataType: 'String', stringValue: 'b', stringListValues: [], binaryListValues: [] },
        },
        md5OfBody: '0cc175b9c0f1b6a831c399e269772661',
        eventSource: 'aws:sqs',
        eventSourceARN: expect.stringMatching(/^arn:aws:sqs:us-east-1:\d{12}:wake-ups-high-\d+$/),
        awsRegion: 'us-east-1',
      },
    ]);
    expect(Number(events[0]?.Records[0]?.attributes.SentTimestamp)).toBeGreaterThanOrEqual(sentAt);
  });

  test('a batch holds no more than it may', async () => {
    const { queue, queueUrls } = open();
    for (let n = 1; n <= 25; n++) await queue.send(wakeUp(n), { priority: 'normal' });
    const sizes: number[] = [];
    const source = sqsEventSource({
      client,
      queueUrls,
      batchSize: 7,
      handler: async ({ Records }) => {
        sizes.push(Records.length);
        return { batchItemFailures: [] };
      },
    });
    onTestFinished(source.close);
    await until(() => sizes.reduce((sum, size) => sum + size, 0) === 25);
    expect(Math.max(...sizes)).toBe(7);
  });

  test('close waits for the batch being handled, whose messages are then gone', async () => {
    const { queue, queueUrls, isEmpty } = open();
    await queue.send(wakeUp(1), { priority: 'normal' });
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const source = sqsEventSource({
      client,
      queueUrls,
      handler: async () => {
        begin();
        await ended;
        return { batchItemFailures: [] };
      },
    });
    await begun;
    const closing = source.close();
    expect(isEmpty()).toBe(false);
    end();
    await closing;
    expect(isEmpty()).toBe(true);
  });

  test.for<[unknown, string[]]>([
    [{ batchItemFailures: [] }, []],
    [{ batchItemFailures: null }, []],
    [{}, []],
    [null, []],
    [undefined, []],
    [{ batchItemFailures: [{ itemIdentifier: 'b' }] }, ['b']],
    [{ batchItemFailures: [{ itemIdentifier: 'b' }, { itemIdentifier: 'c' }] }, ['a', 'b']],
    [{ batchItemFailures: [{ itemIdentifier: '' }] }, ['a', 'b']],
    [{ batchItemFailures: [{ itemIdentifier: null }] }, ['a', 'b']],
    [{ batchItemFailures: [{ itemId: 'a' }] }, ['a', 'b']],
    [{ batchItemFailures: 'a' }, ['a', 'b']],
    ['ok', ['a', 'b']],
  ])('of the batch a, b the answer %j fails %j', ([response, failed]) => {
    expect([...failedOf(response, ['a', 'b'])].toSorted()).toEqual(failed);
  });
});
