import type { SQSEvent } from 'aws-lambda';
import { describe, expect, test } from 'vitest';
import { toTenantId } from '../../../shared/domain/ids.ts';
import type { WakeUp } from '../../../shared/queue/queue.ts';
import { consumeSqsBatch } from '../../../shared/queue/sqs-batch.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { jsonLog } from '../../../shared/telemetry/log.ts';
import { commandId } from '../../support/commands.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const wakeUp = (n: number): WakeUp => ({ v: 1, id: referenceOf(toTenantId('default'), commandId(n)) });
const ID = wakeUp(1).id;

/** Message `m0` has the first body, and so on. */
const eventOf = (...bodies: string[]): SQSEvent => ({
  Records: bodies.map((body, index) => ({
    messageId: `m${index}`,
    receiptHandle: `r${index}`,
    body,
    attributes: {
      ApproximateReceiveCount: '2',
      SentTimestamp: '1893456000000',
      SenderId: 'AIDA',
      ApproximateFirstReceiveTimestamp: '1893456000001',
    },
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:123456789012:wake-ups-normal',
    awsRegion: 'us-east-1',
  })),
});

const consume = async (event: SQSEvent, handle: (wakeUp: WakeUp) => Promise<void> = async () => {}) => {
  const lines: string[] = [];
  const handled: WakeUp[] = [];
  const { batchItemFailures } = await consumeSqsBatch(
    event,
    (one) => {
      handled.push(one);
      return handle(one);
    },
    { log: jsonLog(fakeClock(), (line) => lines.push(line)) },
  );
  return { handled, failed: batchItemFailures.map(({ itemIdentifier }) => itemIdentifier), lines };
};

const bodies = (...numbers: number[]): string[] => numbers.map((n) => JSON.stringify(wakeUp(n)));

describe('a batch of wake-ups', () => {
  test('all are handled, and none is answered', async () => {
    const { handled, failed, lines } = await consume(eventOf(...bodies(1, 2, 3)));
    expect({ handled, failed, lines }).toEqual({ handled: [wakeUp(1), wakeUp(2), wakeUp(3)], failed: [], lines: [] });
  });

  test('all are handled at once: none waits for another', async () => {
    const { promise: allBegun, resolve } = Promise.withResolvers<void>();
    let begun = 0;
    const { failed } = await consume(eventOf(...bodies(...Array(10).keys())), () => {
      if (++begun === 10) resolve();
      return allBegun;
    });
    expect(failed).toEqual([]);
  });

  test.for<[string, (wakeUp: WakeUp) => Promise<void>]>([
    ['rejects', () => Promise.reject(new Error('secret of mine'))],
    [
      'throws',
      () => {
        throw new Error('secret of mine');
      },
    ],
    // What is thrown need not be an Error.
    ['rejects with nothing', () => Promise.reject(undefined)],
  ])('only those fail whose handler %s', async ([, fail]) => {
    const { failed, lines } = await consume(eventOf(...bodies(1, 2, 3)), (one) =>
      one.id === wakeUp(2).id ? fail(one) : Promise.resolve(),
    );
    expect(failed).toEqual(['m1']);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        level: 'error',
        messageId: 'm1',
        tenant: 'default',
        command: commandId(2),
        receiveCount: '2',
        queue: expect.stringContaining('wake-ups-normal'),
      },
    ]);
  });

  test('a command that is there twice is handled once', async () => {
    const { handled, failed } = await consume(eventOf(...bodies(1, 2, 1)));
    expect({ handled, failed }).toEqual({ handled: [wakeUp(1), wakeUp(2)], failed: [] });
  });

  test('a command that is there twice and fails, fails in both its messages', async () => {
    const { handled, failed } = await consume(eventOf(...bodies(1, 1)), () => Promise.reject(new Error('no')));
    expect({ handled, failed }).toEqual({ handled: [wakeUp(1)], failed: ['m0', 'm1'] });
  });

  test('an empty batch is fine', async () => {
    expect(await consume(eventOf())).toEqual({ handled: [], failed: [], lines: [] });
  });

  test.for([
    '',
    'secret',
    '{',
    'null',
    '[]',
    '1',
    '"text"',
    '{}',
    JSON.stringify(ID),
    JSON.stringify([wakeUp(1)]),
    JSON.stringify({ id: ID }),
    JSON.stringify({ v: 1 }),
    JSON.stringify({ v: 2, id: ID }),
    JSON.stringify({ v: '1', id: ID }),
    JSON.stringify({ v: 1, id: ID, argv: ['secret'] }),
    JSON.stringify({ v: 1, id: null }),
    JSON.stringify({ v: 1, id: [ID] }),
    JSON.stringify({ v: 1, id: '' }),
    JSON.stringify({ v: 1, id: commandId(1) }),
    JSON.stringify({ v: 1, id: `/${commandId(1)}` }),
    JSON.stringify({ v: 1, id: `Default/${commandId(1)}` }),
    JSON.stringify({ v: 1, id: `${ID}/output` }),
    JSON.stringify({ v: 1, id: ` ${ID}` }),
    JSON.stringify({ v: 1, id: `${ID}\n` }),
    JSON.stringify({ v: 1, id: 'due/1' }),
    `{"v":1,"id":"${ID}"} secret`,
    `{"__proto__":{"v":1,"id":"${ID}"}}`,
  ])('%j fails, and is logged by its id only', async (body) => {
    const { handled, failed, lines } = await consume(eventOf(...bodies(5), body, ...bodies(6)));
    expect({ handled, failed }).toEqual({ handled: [wakeUp(5), wakeUp(6)], failed: ['m1'] });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '2030-01-01T00:00:00.000Z',
      level: 'error',
      message: 'A message is no wake-up',
      messageId: 'm1',
      queue: 'arn:aws:sqs:us-east-1:123456789012:wake-ups-normal',
      receiveCount: '2',
    });
  });
});
