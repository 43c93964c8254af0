import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import * as z from 'zod';
import { isReference, isWorkflowReference } from '../store/schema.ts';
import type { Log } from '../telemetry/log.ts';
import type { WakeUp } from './queue.ts';

/** Another version, or anything more than this, is a message of somebody who knows better than this worker. */
const Body = z.strictObject({
  v: z.literal(1),
  id: z.custom<WakeUp['id']>(
    (value) => typeof value === 'string' && (isReference(value) || isWorkflowReference(value)),
  ),
});

export interface SqsBatchOptions {
  readonly log: Log;
}

/**
 * Handles all wake-ups of a batch at once and tells SQS which of them failed, so that only those come again and, after
 * as many times as the queue's redrive policy says, go to the dead-letter queue. A message that is no wake-up fails too:
 * no retry will help it, but in the dead-letter queue a person can look at it.
 * A command that is in the batch twice is handled once, and its messages succeed or fail together.
 * Never rejects: that would fail the whole batch. Needs `ReportBatchItemFailures` on the event source, without which the
 * answer is not read and what failed is lost until the sweeper finds it.
 */
export const consumeSqsBatch = async (
  { Records }: SQSEvent,
  handle: (wakeUp: WakeUp) => Promise<void>,
  { log }: SqsBatchOptions,
): Promise<SQSBatchResponse> => {
  const handled = new Map<WakeUp['id'], Promise<boolean>>();

  const handleOnce = (wakeUp: WakeUp, record: SQSRecord): Promise<boolean> => {
    const known = handled.get(wakeUp.id);
    if (known) return known;
    const succeeded = succeeds(handle, wakeUp, (error) =>
      log.error('A wake-up could not be handled', { ...describe(record), reference: wakeUp.id, error }),
    );
    handled.set(wakeUp.id, succeeded);
    return succeeded;
  };

  const succeeded = await Promise.all(
    Records.map((record) => {
      const wakeUp = parse(record.body);
      if (wakeUp) return handleOnce(wakeUp, record);
      log.error('A message is no wake-up', describe(record));
      return false;
    }),
  );
  const failed = Records.filter((_, index) => !succeeded[index]);
  return { batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) };
};

const parse = (body: string): WakeUp | undefined => {
  try {
    return Body.parse(JSON.parse(body));
  } catch {
    // What it says of the fault would quote the body.
    return undefined;
  }
};

/** Also when `handle` throws before it has a promise to give. */
const succeeds = async (
  handle: (wakeUp: WakeUp) => Promise<void>,
  wakeUp: WakeUp,
  onError: (error: unknown) => void,
): Promise<boolean> => {
  try {
    await handle(wakeUp);
    return true;
  } catch (error) {
    onError(error);
    return false;
  }
};

/** Never the body: it may hold anything. */
const describe = ({ messageId, eventSourceARN, attributes }: SQSRecord) => ({
  messageId,
  queue: eventSourceARN,
  receiveCount: attributes.ApproximateReceiveCount,
});
