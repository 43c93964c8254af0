import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { dynamodbClient } from '../../shared/store/dynamodb/client.ts';
import { createTable } from '../../shared/store/dynamodb/create-table.ts';
import { freePort } from './free-port.ts';

/** Amazon's own engine; tools/fetch-dynamodb-local.sh brings it. Its licence forbids to pass it on. */
const FOLDER =
  process.env['ERRAND_DYNAMODB_LOCAL'] ?? fileURLToPath(new URL('../../.cache/dynamodb-local', import.meta.url));

const hasJava = (): boolean => {
  try {
    execFileSync('java', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** What is missing for DynamoDB Local to run here; empty when nothing is. */
export const missingForDynamodb: readonly string[] = [
  existsSync(join(FOLDER, 'DynamoDBLocal.jar')) ? '' : 'DynamoDB Local (tools/fetch-dynamodb-local.sh)',
  hasJava() ? '' : 'java',
].filter(Boolean);

export interface DynamodbLocal {
  readonly endpoint: string;
  readonly client: DynamoDBClient;
  /** A table with a name of its own. */
  makeTable(): Promise<string>;
  close(): Promise<void>;
}

export const REGION = 'eu-central-1';
/** Any that look like some: there is nobody to check them. */
export const FAKE_CREDENTIALS = { AWS_ACCESS_KEY_ID: 'LOCALTRIAL', AWS_SECRET_ACCESS_KEY: 'localtrial' } as const;

let tables = 0;

export const startDynamodbLocal = async (): Promise<DynamodbLocal> => {
  Object.assign(process.env, FAKE_CREDENTIALS);
  const port = await freePort();
  const java = spawn(
    'java',
    [
      ...['-Xmx512m', '-Djava.library.path=./DynamoDBLocal_lib', '-jar', 'DynamoDBLocal.jar'],
      ...['-inMemory', '-port', `${port}`, '-disableTelemetry', '-sharedDb'],
    ],
    { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  await untilItAnswers(endpoint, java);
  const client = dynamodbClient({ region: REGION, endpoint });
  return {
    endpoint,
    client,
    async makeTable() {
      const name = `errand-${process.pid}-${++tables}`;
      await createTable(client, name);
      return name;
    },
    async close() {
      client.destroy();
      java.kill('SIGKILL');
      await once(java, 'close');
    },
  };
};

const untilItAnswers = async (endpoint: string, java: ChildProcess): Promise<void> => {
  for (;;) {
    if (java.exitCode !== null) throw new Error(`DynamoDB Local ended with ${java.exitCode}`);
    const answers = await fetch(endpoint).then(
      () => true,
      () => false,
    );
    if (answers) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
