import { ArnFormat, type Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LambdaMicrovmConfig } from '../shared/providers/lambda-microvm/config.ts';
import type { TargetConfig } from '../shared/providers/targets.ts';
import type { IndexName } from '../shared/store/store.ts';
import type { DataStack } from './data-stack.ts';
import { installationOf } from './environment.ts';
import type { QueueStack } from './queue-stack.ts';

/** What a function's role may do: actions on resources, and nothing else. */
export interface Permission {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly conditions?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Why some of it cannot be named one by one, and how the check calls that. */
  readonly wildcards?: readonly { readonly finding: string; readonly reason: string }[];
}

export const toStatement = ({ actions, resources, conditions }: Permission): PolicyStatement =>
  new PolicyStatement({ actions: [...actions], resources: [...resources], ...(conditions ? { conditions } : {}) });

/** Takes away whatever else should ever be granted. */
export const DENY_ALL = new PolicyStatement({ effect: Effect.DENY, actions: ['*'], resources: ['*'] });

/*
 * What functions may be allowed, each by the calls that the code makes: shared/store/dynamodb, shared/queue/sqs.ts,
 * shared/objects/s3.ts, shared/secrets/secrets-manager.ts, shared/events/event-bridge.ts.
 */

export const mayGet = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:GetItem'],
  resources: [table.tableArn],
});

export const mayRead = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:GetItem', 'dynamodb:Query'],
  resources: [table.tableArn],
});

/** To look at several things at once, by their keys. */
export const mayGetMany = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:BatchGetItem'],
  resources: [table.tableArn],
});

/** An index holds keys only: what they name is got afterwards. */
export const maySearch = (data: DataStack, index: IndexName): readonly Permission[] => [
  { actions: ['dynamodb:Query'], resources: [`${data.table.tableArn}/index/${index}`] },
  ...(index === 'list' ? [mayGetMany(data)] : []),
];

/** Transactions are of these too. */
export const mayWrite = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:PutItem', 'dynamodb:DeleteItem'],
  resources: [table.tableArn],
});

/** To write down what was refused, and nothing else. */
export const mayNote = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:PutItem'],
  resources: [table.tableArn],
  conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': '*/audit' } },
});

/** Objects are named `<tenant>/<command>/<kind>/…`: whoever handles one kind need not reach the other. */
const objects = (
  { objectsArn, objectsArnExport }: DataStack,
  action: string,
  kind: 'output' | 'stdin',
): Permission => ({
  actions: [action],
  resources: [`${objectsArn}/*/${kind}/*`],
  wildcards: [
    {
      finding: `Resource::${objectsArnExport}/*/${kind}/*`,
      reason: 'Objects are named by the tenants and commands that they belong to.',
    },
  ],
});

export const mayReadOutput = (data: DataStack): Permission => objects(data, 's3:GetObject', 'output');
export const mayStoreOutput = (data: DataStack): Permission => objects(data, 's3:PutObject', 'output');
export const mayReadInput = (data: DataStack): Permission => objects(data, 's3:GetObject', 'stdin');
export const mayStoreInput = (data: DataStack): Permission => objects(data, 's3:PutObject', 'stdin');

/** Whoever stores the end of a command removes its input, which is found by its prefix. */
export const mayRemoveInput = (data: DataStack): readonly Permission[] => [
  objects(data, 's3:DeleteObject', 'stdin'),
  {
    actions: ['s3:ListBucket'],
    resources: [data.objectsArn],
    conditions: { StringLike: { 's3:prefix': '*/stdin/' } },
  },
];

/** Whoever removes a tenant removes all of its objects, which are found by its name. */
export const mayEraseObjects = ({ objectsArn, objectsArnExport }: DataStack): readonly Permission[] => [
  {
    actions: ['s3:DeleteObject'],
    resources: [`${objectsArn}/*`],
    wildcards: [
      {
        finding: `Resource::${objectsArnExport}/*`,
        reason: 'Objects are named by the tenants that they belong to.',
      },
    ],
  },
  { actions: ['s3:ListBucket'], resources: [objectsArn], conditions: { StringLike: { 's3:prefix': '*/' } } },
];

export const mayReadKey = ({ key }: DataStack): Permission => ({
  actions: ['secretsmanager:GetSecretValue'],
  resources: [key.secretArn],
});

/** Checkpoints are named by their tenants. */
export const mayKeepCheckpoints = ({ checkpointsArn, checkpointsArnExport }: DataStack): Permission => ({
  actions: ['s3:PutObject'],
  resources: [`${checkpointsArn}/*`],
  wildcards: [
    {
      finding: `Resource::${checkpointsArnExport}/*`,
      reason: 'Checkpoints are named by the tenants that they belong to.',
    },
  ],
});

/** Who may sign for the installation. */
export const maySign = ({ auditKey }: DataStack): Permission => ({
  actions: ['secretsmanager:GetSecretValue'],
  resources: [auditKey.secretArn],
});

/** Secrets of tenants are named `errand/<installation>/<tenant>/<name>`, and AWS adds six characters. */
const secrets = (stack: Stack, stage: string, actions: readonly string[], names = '*'): Permission => {
  const resourceName = `errand/${installationOf(stage)}/${names}`;
  const resource = stack.formatArn({
    service: 'secretsmanager',
    resource: 'secret',
    resourceName,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  return {
    actions: [...actions],
    resources: [resource],
    wildcards: [
      {
        finding: `Resource::arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:${resourceName}`,
        reason: 'Secrets are named by the tenants that they belong to.',
      },
    ],
  };
};

/** Who stores secrets need not read them. */
export const mayStoreSecrets = (stack: Stack, stage: string): Permission =>
  secrets(stack, stage, [
    'secretsmanager:CreateSecret',
    'secretsmanager:PutSecretValue',
    'secretsmanager:UpdateSecretVersionStage',
    'secretsmanager:DeleteSecret',
  ]);

/** Whoever removes a tenant removes its secrets, and reads none. IAM knows no resource for listing names. */
export const mayEraseSecrets = (stack: Stack, stage: string): readonly Permission[] => [
  secrets(stack, stage, ['secretsmanager:DeleteSecret']),
  {
    actions: ['secretsmanager:ListSecrets'],
    resources: ['*'],
    wildcards: [{ finding: 'Resource::*', reason: 'IAM knows no resource for listing the names of secrets.' }],
  },
];

/** Those of webhooks are named `webhooks/<id>` below their tenant, as those of triggers `hooks/<id>`: no tenant’s own name has a slash. */
const OF_WEBHOOKS = '*/webhooks/*';

export const mayReadWebhookSecrets = (stack: Stack, stage: string): Permission =>
  secrets(stack, stage, ['secretsmanager:GetSecretValue'], OF_WEBHOOKS);

/** Makes, replaces and removes them, and signs what is sent to try a webhook out. */
export const mayKeepWebhookSecrets = (stack: Stack, stage: string): readonly Permission[] => [
  secrets(
    stack,
    stage,
    [
      'secretsmanager:CreateSecret',
      'secretsmanager:PutSecretValue',
      'secretsmanager:UpdateSecretVersionStage',
      'secretsmanager:DeleteSecret',
      'secretsmanager:GetSecretValue',
    ],
    OF_WEBHOOKS,
  ),
];

/** What gives secrets to runners. */
export const mayReadSecrets = (stack: Stack, stage: string): Permission =>
  secrets(stack, stage, ['secretsmanager:GetSecretValue']);

/** What checks who sends a delivery: of the secrets those of triggers alone, named `hooks/<id>`. */
export const mayReadHookSecrets = (stack: Stack, stage: string): Permission =>
  secrets(stack, stage, ['secretsmanager:GetSecretValue'], '*/hooks/*');

const arnsOf = ({ queues }: QueueStack): string[] => Object.values(queues).map(({ queueArn }) => queueArn);

export const mayWake = (queue: QueueStack): Permission => ({
  actions: ['sqs:SendMessage'],
  resources: arnsOf(queue),
});

/** Onto the installation's own bus alone. */
export const mayPublish = ({ events }: QueueStack): Permission => ({
  actions: ['events:PutEvents'],
  resources: [events.eventBusArn],
});

/** What Lambda does in the name of the function that takes the messages. */
export const mayTake = (queue: QueueStack): Permission => ({
  actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ChangeMessageVisibility'],
  resources: arnsOf(queue),
});

export const mayExecute = (functionArns: readonly string[]): Permission => ({
  actions: ['lambda:InvokeFunction'],
  resources: functionArns,
});

/**
 * What starting, looking at and ending MicroVMs takes, none of it without a target there. A machine is told of by its image
 * or by its own name, whichever Lambda goes by; its name is made up by Lambda.
 */
export const mayRunMicrovms = (targets: readonly TargetConfig[]): readonly Permission[] => {
  const configs = targets
    .filter(({ provider }) => provider === 'lambda-microvm')
    .map(({ config }) => LambdaMicrovmConfig.parse(config));
  if (configs.length === 0) return [];
  const images = distinct(configs.flatMap(({ image, images = {} }) => [image, ...Object.values(images).map(imageOf)]));
  const versions = images.map((image) => `${image}:*`);
  const machines = distinct(images.map((image) => image.replace(/:microvm-image:.*$/, ':microvm:*')));
  const roles = distinct(configs.flatMap(({ executionRole }) => executionRole ?? []));
  return [
    {
      actions: ['lambda:RunMicrovm'],
      resources: [...images, ...versions],
      wildcards: versions.map(wildcard('A version is part of its image.')),
    },
    {
      actions: ['lambda:GetMicrovm', 'lambda:TerminateMicrovm'],
      resources: [...images, ...versions, ...machines],
      wildcards: machines.map(wildcard('The names of MicroVMs are made up by Lambda when they are run.')),
    },
    {
      actions: ['lambda:ListMicrovms', 'lambda:PassNetworkConnector'],
      resources: ['*'],
      wildcards: [wildcard('IAM knows no resources for these actions.')('*')],
    },
    ...(roles.length > 0 ? [{ actions: ['iam:PassRole'], resources: roles }] : []),
  ];
};

const distinct = (values: readonly string[]): readonly string[] => [...new Set(values)];
const imageOf = ({ image }: { readonly image: string }): string => image;
const wildcard = (reason: string) => (resource: string) => ({ finding: `Resource::${resource}`, reason });

/**
 * A token that tells Entra which role this is, and nobody else: what limits it is whom it is for. Google takes a signed
 * request instead, for which no right is needed.
 */
export const maySignInToAzure: Permission = {
  actions: ['sts:GetWebIdentityToken'],
  resources: ['*'],
  conditions: {
    'ForAllValues:StringEquals': { 'sts:IdentityTokenAudience': 'api://AzureADTokenExchange' },
    // All of no values would be good too.
    Null: { 'sts:IdentityTokenAudience': 'false' },
    NumericLessThanEquals: { 'sts:DurationSeconds': '300' },
  },
  wildcards: [{ finding: 'Resource::*', reason: 'The token is of the role itself; there is no resource to name.' }],
};
