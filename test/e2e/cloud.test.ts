import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { type Installation, KEY, openInstallation } from '../support/clouds/aws/installation.ts';
import { missingForDynamodb } from '../support/dynamodb-local.ts';

const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';

describe.skipIf(missingForDynamodb.length > 0)(`Errand as deployed to AWS${needs}`, () => {
  let cloud: Installation;
  let client: Client;
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  beforeAll(async () => {
    cloud = await openInstallation({ folder });
    client = makeClient({ url: cloud.url, apiKey: KEY });
  });
  afterAll(async () => {
    await cloud?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('runs a command on Lambda and brings back what it said', async () => {
    const ended = await client.run({ argv: ['sh', '-c', 'echo out; echo err >&2; exit 7'], target: 'lambda' });
    expect(ended).toMatchObject({ status: 'failed', stdout: 'out\n', stderr: 'err\n', result: { exitCode: 7 } });
  });
});
