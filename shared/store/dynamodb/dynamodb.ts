import {
  BatchGetItemCommand,
  type BatchGetItemCommandInput,
  type BatchGetItemCommandOutput,
  type CancellationReason,
  type ConsumedCapacity,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import type { Clock, Random } from '../../domain/clock.ts';
import { TABLE } from '../schema.ts';
import {
  assertWrites,
  type IndexName,
  type Item,
  type Key,
  type Range,
  type Store,
  type Write,
  type Written,
} from '../store.ts';
import {
  type Attributes,
  fromIndexKey,
  fromKey,
  toAttributes,
  toItem,
  toKey,
  versionAttribute,
  writeIdOf,
} from './attributes.ts';
import { busy, isBusy, isBusyReason, toStoreError } from './failures.ts';

/** What a call used of the table, in the units that are billed. */
export interface Consumed {
  readonly readUnits: number;
  readonly writeUnits: number;
}

export interface DynamodbOptions {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each call; without it DynamoDB is not asked to count. */
  readonly onConsumed?: (operation: string, consumed: Consumed) => void;
}

/** Tries beyond those of the SDK, for what others hold only for a moment. */
const TRIES = 6;
const BASE_MS = 40;
const CAP_MS = 1_000;
const MOST_PER_BATCH = 100;
/** Sorts after every sort key: the last code point is no character. */
const LAST = '\u{10ffff}';

/**
 * The cloud's store: one DynamoDB table (infra/data-stack.ts makes it).
 * Each put carries a random id of its write, so that a failed condition that shows one's own is a success whose answer
 * was lost: the SDK repeats requests by itself.
 */
export const dynamodbStore = ({ client, tableName, clock, random, onConsumed }: DynamodbOptions): Store => {
  const counted = onConsumed ? ({ ReturnConsumedCapacity: 'TOTAL' } as const) : {};
  const count = (
    operation: string,
    consumed: readonly (ConsumedCapacity | undefined)[] | undefined,
    isWrite: boolean,
  ) => {
    const units = (consumed ?? []).reduce((sum, one) => sum + (one?.CapacityUnits ?? 0), 0);
    onConsumed?.(operation, { readUnits: isWrite ? 0 : units, writeUnits: isWrite ? units : 0 });
  };

  /** Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). */
  const pause = (tries: number): Promise<void> =>
    clock.sleep(random.fraction() * Math.min(CAP_MS, BASE_MS * 2 ** tries));

  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (tries >= TRIES || !isBusy(error)) throw toStoreError(tableName, error);
      }
      await pause(tries);
    }
  };

  const condition = (ifVersion: number) =>
    ifVersion === 0
      ? {
          ConditionExpression: 'attribute_not_exists(#pk)',
          ExpressionAttributeNames: { '#pk': TABLE.partitionKey },
        }
      : {
          ConditionExpression: '#version = :version',
          ExpressionAttributeNames: { '#version': versionAttribute },
          ExpressionAttributeValues: { ':version': { N: String(ifVersion) } },
        };

  const writeOne = async (write: Exclude<Write, { check: Key }>): Promise<Written> => {
    if ('remove' in write) {
      const command = new DeleteItemCommand({ TableName: tableName, Key: toKey(write.remove), ...counted });
      const { ConsumedCapacity } = await call(() => client.send(command));
      count('DeleteItem', [ConsumedCapacity], true);
      return { ok: true };
    }
    const writeId = random.hex(8);
    return call(async () => {
      try {
        const { ConsumedCapacity } = await client.send(
          new PutItemCommand({
            TableName: tableName,
            Item: toAttributes(write.put, writeId),
            ...condition(write.ifVersion),
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            ...counted,
          }),
        );
        count('PutItem', [ConsumedCapacity], true);
        return { ok: true };
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'ConditionalCheckFailedException') throw error;
        const { Item: actual } = error as { Item?: Attributes };
        if (writeIdOf(actual) === writeId) return { ok: true };
        return { ok: false, index: 0, actual: actual && toItem(actual) };
      }
    });
  };

  const writeAll = async (writes: readonly Write[]): Promise<Written> => {
    const writeId = random.hex(8);
    const TransactItems = writes.map((write): TransactWriteItem => {
      if ('remove' in write) return { Delete: { TableName: tableName, Key: toKey(write.remove) } };
      const ReturnValuesOnConditionCheckFailure = 'ALL_OLD';
      if ('check' in write) {
        const Key = toKey(write.check);
        const ConditionCheck = { TableName: tableName, Key, ...condition(write.ifVersion) };
        return { ConditionCheck: { ...ConditionCheck, ReturnValuesOnConditionCheckFailure } };
      }
      const Item = toAttributes(write.put, writeId);
      return {
        Put: { TableName: tableName, Item, ...condition(write.ifVersion), ReturnValuesOnConditionCheckFailure },
      };
    });
    // The same for each try: one whose answer was lost is not done twice.
    const ClientRequestToken = random.hex(16);
    return call(async () => {
      try {
        const command = new TransactWriteItemsCommand({ TransactItems, ClientRequestToken, ...counted });
        const { ConsumedCapacity } = await client.send(command);
        count('TransactWriteItems', ConsumedCapacity, true);
        return { ok: true };
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'TransactionCanceledException') throw error;
        const { CancellationReasons: reasons = [] } = error as { CancellationReasons?: CancellationReason[] };
        const index = reasons.findIndex(({ Code }) => Code === 'ConditionalCheckFailed');
        if (index < 0) throw reasons.some(({ Code }) => isBusyReason(Code)) ? busy() : error;
        const actual = reasons[index]?.Item;
        if (writeIdOf(actual) === writeId) return { ok: true };
        return { ok: false, index, actual: actual && toItem(actual) };
      }
    });
  };

  /** All pages up to `limit`. */
  const query = async (index: IndexName | undefined, pk: string, range: Range): Promise<Attributes[]> => {
    const { partitionKey, sortKey } = index ? TABLE.indexes[index] : TABLE;
    const { from, to = LAST, limit, reverse = false } = range;
    const found: Attributes[] = [];
    // Which DynamoDB refuses to be asked.
    if (from !== undefined && Buffer.compare(Buffer.from(from), Buffer.from(to)) > 0) return found;
    let ExclusiveStartKey: Attributes | undefined;
    while (found.length < limit) {
      const page = await call(() =>
        client.send(
          new QueryCommand({
            TableName: tableName,
            ...(index ? { IndexName: index } : { ConsistentRead: true }),
            // No sort key is empty, and none may be asked for.
            KeyConditionExpression: from ? '#pk = :pk AND #sk BETWEEN :from AND :to' : '#pk = :pk AND #sk <= :to',
            ExpressionAttributeNames: { '#pk': partitionKey, '#sk': sortKey },
            ExpressionAttributeValues: {
              ':pk': { S: pk },
              ':to': { S: to },
              ...(from ? { ':from': { S: from } } : {}),
            },
            ScanIndexForward: !reverse,
            Limit: limit - found.length,
            ...(ExclusiveStartKey ? { ExclusiveStartKey } : {}),
            ...counted,
          }),
        ),
      );
      count('Query', [page.ConsumedCapacity], false);
      found.push(...(page.Items ?? []));
      ExclusiveStartKey = page.LastEvaluatedKey;
      if (!ExclusiveStartKey) break;
    }
    return found;
  };

  /** @returns what was found, by key */
  const getBatch = async (keys: readonly Key[]): Promise<Map<string, Item>> => {
    const found = new Map<string, Item>();
    let Keys: Attributes[] | undefined = keys.map(toKey);
    for (let tries = 1; Keys && Keys.length > 0; tries++) {
      const RequestItems: BatchGetItemCommandInput['RequestItems'] = { [tableName]: { Keys, ConsistentRead: true } };
      const command: BatchGetItemCommand = new BatchGetItemCommand({ RequestItems, ...counted });
      const answer: BatchGetItemCommandOutput = await call(() => client.send(command));
      count('BatchGetItem', answer.ConsumedCapacity, false);
      for (const attributes of answer.Responses?.[tableName] ?? []) {
        found.set(nameOf(fromKey(attributes)), toItem(attributes));
      }
      const unprocessed: Attributes[] | undefined = answer.UnprocessedKeys?.[tableName]?.Keys;
      if (unprocessed && unprocessed.length === Keys.length) {
        if (tries >= TRIES)
          throw toStoreError(tableName, Object.assign(new Error('busy'), { name: 'ThrottlingException' }));
        await pause(tries);
      }
      Keys = unprocessed;
    }
    return found;
  };

  const get = async (key: Key): Promise<Item | undefined> => {
    const command = new GetItemCommand({ TableName: tableName, Key: toKey(key), ConsistentRead: true, ...counted });
    const { Item: attributes, ConsumedCapacity } = await call(() => client.send(command));
    count('GetItem', [ConsumedCapacity], false);
    return attributes && toItem(attributes);
  };

  return {
    atomicWrites: 'costly',
    get,

    async getAll(keys) {
      const names = [...new Map(keys.map((key) => [nameOf(key), key])).values()];
      const batches: Promise<Map<string, Item>>[] = [];
      for (let at = 0; at < names.length; at += MOST_PER_BATCH)
        batches.push(getBatch(names.slice(at, at + MOST_PER_BATCH)));
      const found = new Map((await Promise.all(batches)).flatMap((batch) => [...batch]));
      return keys.map((key) => found.get(nameOf(key)));
    },

    async write(writes) {
      assertWrites(writes);
      const [first, ...others] = writes;
      if (!first) return { ok: true };
      return others.length === 0 && !('check' in first) ? writeOne(first) : writeAll(writes);
    },

    query: async (pk, range) => (await query(undefined, pk, range)).map(toItem),

    async queryIndex(index, pk, range) {
      const found = await query(index, pk, range);
      return found.map((attributes) => ({
        key: fromKey(attributes),
        indexKey: fromIndexKey(index, attributes) ?? { pk, sk: '' },
      }));
    },

    // DynamoDB does so by itself, by the table's time to live.
    removeExpired: async () => {},

    /**
     * A read, though a write is asked about: an on-demand table takes both or neither, apart from throttles that pass, and a
     * write for each probe would be billed.
     */
    async check() {
      await get({ pk: 'targets', sk: 'check' });
    },

    async close() {
      client.destroy();
    },
  };
};

const nameOf = ({ pk, sk }: Key): string => JSON.stringify([pk, sk]);
