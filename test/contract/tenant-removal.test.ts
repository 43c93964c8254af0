import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { dynamodbStore } from '../../shared/store/dynamodb/dynamodb.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { type DynamodbLocal, missingForDynamodb, startDynamodbLocal } from '../support/dynamodb-local.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { tenantRemovalContract } from './tenant-removal-contract.ts';

tenantRemovalContract(
  'SQLite',
  async () => {
    const file = join(tempDirectory(), 'a.db');
    const store = sqliteStore({ file });
    onTestFinished(() => store.close());
    return {
      store,
      async scan() {
        const database = new DatabaseSync(file, { readOnly: true });
        const rows = database.prepare('SELECT * FROM items ORDER BY pk, sk').all();
        database.close();
        return rows.map((row) => ({ pk: String(row['pk']), sk: String(row['sk']), text: JSON.stringify(row) }));
      },
    };
  },
  Array.from({ length: 8 }, (_, i) => [i + 1, 8] as const),
);

const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';

describe.skipIf(missingForDynamodb.length > 0)(`with DynamoDB Local${needs}`, () => {
  let dynamodb: DynamodbLocal;
  beforeAll(async () => {
    dynamodb = await startDynamodbLocal();
  });
  afterAll(() => dynamodb.close());

  tenantRemovalContract('DynamoDB', async () => {
    const { client } = dynamodb;
    const tableName = await dynamodb.makeTable();
    return {
      store: dynamodbStore({ client, tableName, clock: systemClock, random: systemRandom }),
      async scan() {
        const { Items = [] } = await client.send(new ScanCommand({ TableName: tableName, ConsistentRead: true }));
        return Items.map((item) => ({
          pk: item['pk']?.S ?? '',
          sk: item['sk']?.S ?? '',
          text: JSON.stringify(item),
        })).toSorted((a, b) => (a.pk + a.sk < b.pk + b.sk ? -1 : 1));
      },
    };
  }, [
    [5, 1_000],
    [17, 1_000],
    [29, 1_000],
    [41, 1_000],
  ]);
});
