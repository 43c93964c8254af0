import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { advanceCommand } from '../../shared/app/advance-command.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { consumeSqsBatch } from '../../shared/queue/sqs-batch.ts';

/** Takes wake-ups from SQS and does what is to be done about each command. */
export const runCommands =
  (deps: Deps) =>
  async (event: SQSEvent): Promise<SQSBatchResponse> => {
    const response = await consumeSqsBatch(event, ({ id }) => advanceCommand(deps, id), deps);
    await deps.tracing.flush();
    return response;
  };
