import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { bundleFunction } from '../../../../infra/bundle.ts';
import { s3Client } from '../../../../shared/objects/s3.ts';
import { sqsClient } from '../../../../shared/queue/sqs.ts';
import { leaksInWords, plantSecret } from '../../canaries/leaks.ts';
import { CANARIES } from '../../canaries/values.ts';
import { FAKE_CREDENTIALS, startDynamodbLocal } from '../../dynamodb-local.ts';
import { AWS, startFauxqs } from '../../fauxqs.ts';
import { sqsEventSource } from '../../sqs-event-source.ts';
import { executorFunction } from '../lambda/executor-function.ts';
import { type LambdaCloud, startLambdaCloud } from '../lambda/lambda-cloud.ts';
import { functionUrl, httpApi } from './api-gateway.ts';
import { itemsIn, objectsIn } from './contents.ts';
import { eventBridgeServer, type PutEntry } from './event-bridge.ts';
import { metered, type Usage } from './metered.ts';
import { secretsManager } from './secrets-manager.ts';

/** The owner's. */
export const KEY = `owner-${randomBytes(24).toString('hex')}`;
const AUDIT_KEY = randomBytes(32).toString('hex');

export interface InstallationOptions {
  /** Where it may write. */
  readonly folder: string;
  /** Targets beside `lambda`, as in targets.json. */
  readonly targets?: readonly object[];
  /** More variables for each function, as whoever deploys may set them. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** Errand as it is deployed to AWS, on this machine: the bundles, and a server for each service that they use. */
export interface Installation {
  /** The HTTP API. */
  readonly url: string;
  /** The function URL where live output comes as it is written. */
  readonly streamUrl: string;
  /** The function URL for AI agents. */
  readonly mcpUrl: string;
  readonly lambda: LambdaCloud;
  /** What the schedule does each minute. */
  sweep(time?: Date): Promise<void>;
  /** As each minute. Resolves when nothing is due any more within the minute. */
  fireSchedules(): Promise<void>;
  /** As each minute. Resolves when that is over. */
  deliverWebhooks(): Promise<void>;
  /** Kills the environments of a function, in the middle of whatever they do. */
  kill(functionName: string): Promise<void>;
  /** What was used of each service since the last reading, by the functions. */
  usage(): { readonly dynamodb: Usage; readonly sqs: Usage; readonly invocations: Readonly<Record<string, number>> };
  /** What was put onto the installation's bus of EventBridge. */
  events(): readonly PutEntry[];
  /** All that functions logged. */
  logs(): string;
  /** What of the planted secrets is in the table, the buckets, the queues or the logs. */
  leaks(): Promise<readonly string[]>;
  close(): Promise<void>;
}

const FUNCTIONS = [
  'access',
  'commands',
  'hooks',
  'mcp',
  'output',
  'providers',
  'schedules',
  'secrets',
  'system',
  'triggers',
  'runner',
  'workflows',
  'run-commands',
  'sweep',
  'fire-schedules',
  'webhooks',
  'deliver-webhooks',
] as const;
/** As the stacks say. */
const TIMEOUT_SECONDS: Readonly<Record<string, number>> = {
  'run-commands': 900,
  mcp: 900,
  output: 900,
  sweep: 300,
  'fire-schedules': 180,
  'deliver-webhooks': 180,
};

export const openInstallation = async ({
  folder,
  targets = [],
  variables = {},
}: InstallationOptions): Promise<Installation> => {
  const [dynamodb, fauxqs] = await Promise.all([startDynamodbLocal(), startFauxqs()]);
  plantSecret('key of the owner', Buffer.from(KEY));
  plantSecret('key of the audit log', Buffer.from(AUDIT_KEY));
  const secrets = await secretsManager({ key: KEY, 'audit-key': AUDIT_KEY });
  const eventBridge = await eventBridgeServer(['errand-events']);
  const meters = { dynamodb: await metered(dynamodb.endpoint), sqs: await metered(fauxqs.endpoint) };
  const { queueUrls, deadLetterUrl } = fauxqs.createQueues({ maxReceiveCount: 5, visibilitySeconds: 60 });
  let client: LambdaClient | undefined;
  const lambdaClient = (): LambdaClient => {
    if (!client) throw new Error('Lambda is not there yet');
    return client;
  };
  const runner = await functionUrl(lambdaClient, 'runner', { stream: false });
  const stream = await functionUrl(lambdaClient, 'output', { stream: true });
  const agents = await functionUrl(lambdaClient, 'mcp', { stream: true });
  const table = await dynamodb.makeTable();
  const buckets = [fauxqs.createBucket(), fauxqs.createBucket()] as const;
  // Lambda's own address is known only once it has its functions, and they are told of it.
  const environment: Record<string, string> = {
    ...variables,
    ...FAKE_CREDENTIALS,
    AWS_SECRET_ACCESS_KEY: CANARIES.ASCII.toString(),
    AWS_REGION: AWS.region,
    AWS_SESSION_TOKEN: '',
    AWS_ENDPOINT_URL_DYNAMODB: meters.dynamodb.endpoint,
    AWS_ENDPOINT_URL_SQS: meters.sqs.endpoint,
    AWS_ENDPOINT_URL_S3: fauxqs.endpoint,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.url,
    AWS_ENDPOINT_URL_EVENTBRIDGE: eventBridge.url,
    ERRAND_EVENT_BUS: 'errand-events',
    ERRAND_TABLE: table,
    ERRAND_BUCKET: buckets[0],
    ERRAND_CHECKPOINTS: buckets[1],
    ERRAND_QUEUE_HIGH: queueUrls.high,
    ERRAND_QUEUE_NORMAL: queueUrls.normal,
    ERRAND_QUEUE_LOW: queueUrls.low,
    ERRAND_KEY_SECRET: 'key',
    ERRAND_AUDIT_SECRET: 'audit-key',
    ERRAND_ISSUERS: JSON.stringify({
      issuers: [{ issuer: 'https://login.invalid/', audience: 'errand', tenant: 'acme' }],
    }),
  };
  const rootOf = (name: string): string => bundleFunction(name, join(folder, 'functions')).directory;
  const lambda = await startLambdaCloud({
    folder: join(folder, 'environments'),
    functions: {
      ...Object.fromEntries(
        FUNCTIONS.map((name) => [
          name,
          {
            root: rootOf(name),
            handler: 'index.handler',
            timeoutSeconds: TIMEOUT_SECONDS[name] ?? 29,
            memoryMiB: 256,
            environment,
          },
        ]),
      ),
      execute: executorFunction({ root: rootOf('execute'), handler: 'index.handler' }),
    },
  });
  environment['ERRAND_TARGETS'] = JSON.stringify({
    installation: 'errand-trial',
    runnerUrl: runner.url,
    targets: [
      {
        name: 'lambda',
        provider: 'lambda',
        config: { functionName: 'execute', region: AWS.region, endpoint: lambda.endpoint },
      },
      ...targets,
    ],
  });
  client = new LambdaClient({
    ...AWS,
    endpoint: lambda.endpoint,
    maxAttempts: 1,
    requestHandler: { requestTimeout: 0, connectionTimeout: 2_000 },
  });
  const api = await httpApi(lambdaClient, { output: stream.url, mcp: agents.url });
  const sqs = sqsClient({ ...AWS, endpoint: fauxqs.endpoint });
  const invoke = async (name: string, event: unknown): Promise<string> => {
    const { Payload, FunctionError } = await lambdaClient().send(
      new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(event) }),
    );
    const text = Buffer.from(Payload ?? []).toString();
    if (FunctionError) throw new Error(`${name} failed: ${text}`);
    return text;
  };
  const source = sqsEventSource({
    client: sqs,
    queueUrls,
    handler: async (event: SQSEvent) => JSON.parse(await invoke('run-commands', event)) as SQSBatchResponse,
  });

  let counted: Readonly<Record<string, number>> = {};
  const logs = (): string => lambda.environments.map((one) => one.log()).join('\n');

  return {
    url: api.url,
    streamUrl: stream.url,
    mcpUrl: agents.url,
    lambda,
    async sweep(time = new Date()) {
      // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
      await invoke('sweep', {
        version: '0',
        id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
        'detail-type': 'Scheduled Event',
        source: 'aws.events',
        account: '123456789012',
        time: time.toISOString().replace(/\.\d+Z$/, 'Z'),
        region: AWS.region,
        resources: [`arn:aws:events:${AWS.region}:123456789012:rule/errand-sweep`],
        detail: {},
      });
    },
    async fireSchedules() {
      await invoke('fire-schedules', {});
    },
    async deliverWebhooks() {
      await invoke('deliver-webhooks', {});
    },
    async kill(functionName) {
      const own = lambda.environments.filter(({ name }) => name === functionName);
      await Promise.all(own.map((one) => one.close()));
    },
    usage() {
      const now = countByFunction(lambda);
      const invocations = Object.fromEntries(Object.entries(now).map(([name, n]) => [name, n - (counted[name] ?? 0)]));
      counted = now;
      return { dynamodb: meters.dynamodb.read(), sqs: meters.sqs.read(), invocations };
    },
    events: () => eventBridge.taken,
    logs,
    async leaks() {
      const s3 = s3Client({ ...AWS, endpoint: fauxqs.endpoint });
      const urls = [...Object.values(queueUrls), deadLetterUrl];
      const said = await Promise.all([itemsIn(dynamodb.client, table), ...buckets.map((one) => objectsIn(s3, one))]);
      s3.destroy();
      return leaksInWords([
        ...said.flat(),
        ...urls.flatMap((url) => fauxqs.bodiesIn(url)).map((body) => ({ where: 'a queue', bytes: Buffer.from(body) })),
        ...eventBridge.taken.map(({ Detail = '' }) => ({ where: 'the bus', bytes: Buffer.from(Detail) })),
        { where: 'the logs', bytes: Buffer.from(logs()) },
      ]);
    },
    async close() {
      await Promise.all([api.close(), stream.close(), agents.close(), runner.close()]);
      await source.close().catch(() => {});
      await lambda.close();
      client?.destroy();
      sqs.destroy();
      await Promise.all([meters.dynamodb.close(), meters.sqs.close()]);
      await Promise.all([secrets.close(), eventBridge.close(), dynamodb.close()]);
    },
  };
};

const countByFunction = ({ invocations }: LambdaCloud): Readonly<Record<string, number>> =>
  Object.fromEntries(invocations);
