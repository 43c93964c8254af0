import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { afterAll, describe, expect, test } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { makeStacks } from '../../infra/stacks.ts';
import { CLOUD_RUN, CONTAINER_INSTANCES, LAMBDA_MICROVM, targetsFile } from './targets-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}
type Roles = Readonly<Record<string, readonly string[]>>;

/** What every role of an installation may do, by the name of its function: a line for each action and resource. */
const rolesOf = (targets: readonly object[] = []): Roles => {
  const context = targets.length > 0 ? { targets: targetsFile(folder, { targets }, 'roles.json') } : {};
  const app = new App({ context: { ...cdkJson.context, ...context } });
  const stacks = makeStacks(app, { bundles: join(folder, 'bundles') });
  const roles: Record<string, string[]> = {};
  for (const stack of Object.values(stacks)) {
    if (!stack) continue;
    const template = Template.fromStack(stack);
    // Nothing is granted on top of what stands in the role itself.
    template.resourceCountIs('AWS::IAM::Policy', 0);
    template.resourceCountIs('AWS::IAM::ManagedPolicy', 0);
    for (const { Properties } of Object.values(template.findResources('AWS::IAM::Role'))) {
      expect(Properties.ManagedPolicyArns).toBeUndefined();
      const statements: Statement[] = Properties.Policies.flatMap(
        (one: { PolicyDocument: { Statement: Statement[] } }) => one.PolicyDocument.Statement,
      );
      roles[Properties.RoleName.replace('errand-development-', '')] = statements.flatMap(toLines).toSorted();
    }
  }
  return roles;
};

const toLines = ({ Effect, Action, Resource, Condition }: Statement): string[] =>
  [Action].flat().flatMap((action) =>
    [Resource].flat().map((resource) => {
      const condition = Condition === undefined ? '' : ` if ${JSON.stringify(Condition)}`;
      return `${Effect === 'Deny' ? 'deny ' : ''}${action} ${named(resource)}${condition}`;
    }),
  );

/** A resource by what it is called here, whatever CDK calls it. */
const named = (resource: unknown): string => {
  if (typeof resource === 'string') return resource;
  const {
    'Fn::Join': join_,
    'Fn::ImportValue': imported,
    'Fn::GetAtt': attribute,
    Ref: reference,
  } = resource as Record<string, never>;
  if (join_) return (join_ as [string, unknown[]])[1].map(named).join('');
  if (reference) return `<${reference}>`;
  const text = String(imported ?? (attribute as unknown as string[])[0]);
  const names: readonly (readonly [RegExp, string])[] = [
    [/GetAttTable/, 'table'],
    [/objects-arn/, 'objects'],
    [/checkpoints-arn/, 'checkpoints'],
    [/RefKey/, 'key'],
    [/RefAuditKey/, 'audit key'],
    [/GetAttHigh/, 'high'],
    [/GetAttNormal/, 'normal'],
    [/GetAttLow/, 'low'],
    [/GetAttEvents/, 'events'],
    [/Log[0-9A-F]{8}$/, 'own log'],
    [/^executeFunction/, 'execute'],
  ];
  return names.find(([pattern]) => pattern.test(text))?.[1] ?? text;
};

const lines = (...of: readonly (readonly string[])[]): string[] => of.flat().toSorted();
const LOG = ['logs:CreateLogStream own log', 'logs:PutLogEvents own log'];
const READ = ['dynamodb:GetItem table', 'dynamodb:Query table'];
const WRITE = ['dynamodb:PutItem table', 'dynamodb:DeleteItem table'];
const REMOVE_INPUT = [
  's3:DeleteObject objects/*/stdin/*',
  's3:ListBucket objects if {"StringLike":{"s3:prefix":"*/stdin/"}}',
];
const SIGN = ['secretsmanager:GetSecretValue audit key'];
const NOTE = ['dynamodb:PutItem table if {"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"*/audit"}}'];
const KEY = ['secretsmanager:GetSecretValue key'];
const SECRETS = 'arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:errand/errand-development/*';
const WEBHOOK_SECRETS = `${SECRETS}/webhooks/*`;
const QUEUES = ['high', 'normal', 'low'];
const WAKE = QUEUES.map((queue) => `sqs:SendMessage ${queue}`);
const TAKE = ['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes', 'ChangeMessageVisibility'].flatMap((action) =>
  QUEUES.map((queue) => `sqs:${action} ${queue}`),
);
const EXECUTE = ['lambda:InvokeFunction execute'];
const AZURE = [
  'sts:GetWebIdentityToken * if {"ForAllValues:StringEquals":{"sts:IdentityTokenAudience":"api://AzureADTokenExchange"},' +
    '"Null":{"sts:IdentityTokenAudience":"false"},"NumericLessThanEquals":{"sts:DurationSeconds":"300"}}',
];

const COMMANDS = lines(LOG, READ, WRITE, REMOVE_INPUT, WAKE, KEY, [
  'dynamodb:BatchGetItem table',
  'dynamodb:Query table/index/list',
  's3:GetObject objects/*/output/*',
  's3:PutObject objects/*/stdin/*',
]);

const STORE_SECRETS = ['CreateSecret', 'PutSecretValue', 'UpdateSecretVersionStage', 'DeleteSecret'].map(
  (action) => `secretsmanager:${action} ${SECRETS}`,
);

const ROLES: Roles = {
  access: lines(LOG, READ, WRITE, KEY, SIGN),
  commands: COMMANDS,
  // It reads what deliveries are signed with, and no secret of a tenant's own.
  hooks: lines(LOG, WRITE, WAKE, [
    'dynamodb:GetItem table',
    `secretsmanager:GetSecretValue ${SECRETS.replace(/\*$/, '*/hooks/*')}`,
  ]),
  // What its tools stand for, and no more: no secret, no signature.
  mcp: COMMANDS,
  output: lines(LOG, READ, NOTE, KEY, ['s3:GetObject objects/*/output/*', 'dynamodb:BatchGetItem table']),
  providers: lines(LOG, NOTE, KEY, ['dynamodb:GetItem table']),
  schedules: lines(LOG, WRITE, WAKE, KEY, [
    'dynamodb:GetItem table',
    'dynamodb:BatchGetItem table',
    'dynamodb:Query table/index/list',
  ]),
  workflows: lines(LOG, WRITE, WAKE, KEY, [
    'dynamodb:GetItem table',
    'dynamodb:BatchGetItem table',
    'dynamodb:Query table/index/list',
  ]),
  // Who stores secrets cannot read them.
  secrets: lines(LOG, READ, WRITE, KEY, STORE_SECRETS),
  triggers: lines(LOG, READ, WRITE, KEY, STORE_SECRETS),
  // Of secrets it reaches those of webhooks alone.
  webhooks: lines(
    LOG,
    READ,
    WRITE,
    KEY,
    ['dynamodb:BatchGetItem table'],
    ['CreateSecret', 'PutSecretValue', 'UpdateSecretVersionStage', 'DeleteSecret', 'GetSecretValue'].map(
      (action) => `secretsmanager:${action} ${WEBHOOK_SECRETS}`,
    ),
  ),
  system: lines(LOG, ['dynamodb:GetItem table']),
  runner: lines(LOG, READ, WRITE, REMOVE_INPUT, WAKE, [
    's3:GetObject objects/*/stdin/*',
    's3:PutObject objects/*/output/*',
    `secretsmanager:GetSecretValue ${SECRETS}`,
  ]),
  'run-commands': lines(LOG, READ, WRITE, REMOVE_INPUT, WAKE, TAKE, EXECUTE, [
    's3:PutObject objects/*/output/*',
    // For nodes of workflows.
    's3:GetObject objects/*/output/*',
    'dynamodb:BatchGetItem table',
  ]),
  // It removes tenants: whatever objects and secrets they have, without reading a secret.
  sweep: lines(
    LOG,
    READ,
    WRITE,
    [
      's3:DeleteObject objects/*',
      's3:ListBucket objects if {"StringLike":{"s3:prefix":"*/"}}',
      `secretsmanager:DeleteSecret ${SECRETS}`,
      'secretsmanager:ListSecrets *',
    ],
    WAKE,
    EXECUTE,
    [
      'dynamodb:Query table/index/due',
      'dynamodb:Query table/index/list',
      'dynamodb:BatchGetItem table',
      's3:PutObject checkpoints/*',
      // For nodes of workflows.
      's3:GetObject objects/*/output/*',
      'events:PutEvents events',
    ],
    SIGN,
  ),
  // It submits commands, and ends those that another takes the place of; it runs none.
  'fire-schedules': lines(LOG, READ, WRITE, REMOVE_INPUT, WAKE, [
    'dynamodb:Query table/index/due',
    'dynamodb:Query table/index/list',
    'dynamodb:BatchGetItem table',
  ]),
  // It runs and submits nothing.
  'deliver-webhooks': lines(LOG, READ, WRITE, [
    'dynamodb:Query table/index/due',
    'dynamodb:BatchGetItem table',
    `secretsmanager:GetSecretValue ${WEBHOOK_SECRETS}`,
  ]),
  execute: ['deny * *'],
};

describe('a role may do what the code of its function calls, on what it calls it on, and nothing else', () => {
  const plain = rolesOf();

  test('there is one for each function and no other', () => {
    expect(Object.keys(plain).toSorted()).toEqual(Object.keys(ROLES).toSorted());
  });

  test.for(Object.keys(ROLES))('%s', (name) => {
    expect(plain[name]).toEqual(ROLES[name]);
  });

  test('with a target on Google Cloud, nothing more: it is signed in to without a right', () => {
    expect(rolesOf([CLOUD_RUN])).toEqual({ ...ROLES, 'prepare-target': LOG.toSorted() });
  });

  test('with a target on Azure, who starts and removes commands there may say who it is, to Azure alone', () => {
    expect(rolesOf([CONTAINER_INSTANCES])).toEqual({
      ...ROLES,
      'run-commands': lines(ROLES['run-commands'] ?? [], AZURE),
      sweep: lines(ROLES['sweep'] ?? [], AZURE),
      'prepare-target': lines(LOG, AZURE),
    });
  });

  test('with MicroVMs, who starts and ends commands may do so with their images alone, and no other stack is needed', () => {
    const named = 'arn:aws:lambda:eu-west-1:123456789012:microvm';
    const images = ['errand', 'errand-large'].flatMap((name) => [`${named}-image:${name}`, `${named}-image:${name}:*`]);
    const microvms = [
      ...images.map((image) => `lambda:RunMicrovm ${image}`),
      ...['GetMicrovm', 'TerminateMicrovm'].flatMap((action) =>
        [...images, `${named}:*`].map((resource) => `lambda:${action} ${resource}`),
      ),
      'lambda:ListMicrovms *',
      'lambda:PassNetworkConnector *',
    ];
    const passed = 'iam:PassRole arn:aws:iam::123456789012:role/commands';
    expect(rolesOf([LAMBDA_MICROVM])).toEqual({
      ...ROLES,
      'run-commands': lines(ROLES['run-commands'] ?? [], microvms, [passed]),
      sweep: lines(ROLES['sweep'] ?? [], microvms, [passed]),
    });
    const { executionRole: _, images: __, ...config } = LAMBDA_MICROVM.config;
    const { sweep = [] } = rolesOf([{ ...LAMBDA_MICROVM, config }]);
    expect(sweep.filter((line) => line.startsWith('iam:') || line.includes('errand-large'))).toEqual([]);
  });

  test('with another executor, that function may be invoked too', () => {
    const config = { functionName: 'a-large-one', region: 'eu-west-1', qualifier: 'live' };
    const { sweep } = rolesOf([{ name: 'large', provider: 'lambda', config }]);
    expect(sweep).toEqual(
      lines(ROLES['sweep'] ?? [], [
        'lambda:InvokeFunction arn:<AWS::Partition>:lambda:eu-west-1:<AWS::AccountId>:function:a-large-one:live',
      ]),
    );
  });
});
