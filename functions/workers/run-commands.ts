import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { advance } from '../../shared/app/advance.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { consumeSqsBatch } from '../../shared/queue/sqs-batch.ts';

/** Takes wake-ups from SQS and does what is to be done about each command or workflow. */
export const runCommands =
  (deps: Deps) =>
  async (event: SQSEvent): Promise<SQSBatchResponse> => {
    const response = await consumeSqsBatch(event, async (wakeUp) => void (await advance(deps, wakeUp)), deps);
    await deps.tracing.flush();
    return response;
  };
