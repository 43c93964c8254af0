import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

export interface DynamodbClientOptions {
  readonly region: string;
  /** For trials: where something else speaks DynamoDB's protocol. */
  readonly endpoint?: string;
  /** How long one request may take. @default 5000 */
  readonly requestMs?: number;
}

/** A client that never waits for ever: by itself the SDK has no time limits at all. */
export const dynamodbClient = ({ region, endpoint, requestMs = 5_000 }: DynamodbClientOptions): DynamoDBClient =>
  new DynamoDBClient({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    // Safe to repeat, all of them: writes are conditional, and know their own when its answer was lost.
    maxAttempts: 4,
    requestHandler: {
      connectionTimeout: 2_000,
      requestTimeout: requestMs,
      // Without it a request that takes too long is only warned about.
      throwOnRequestTimeout: true,
    },
  });
