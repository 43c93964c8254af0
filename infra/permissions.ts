import type { DataStack } from './data-stack.ts';
import type { Permission } from './errand-function.ts';
import type { QueueStack } from './queue-stack.ts';

/*
 * What functions may be allowed, each by the calls that the code makes: shared/store/dynamodb, shared/queue/sqs.ts,
 * shared/objects/s3.ts.
 */

export const mayRead = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query'],
  resources: [table.tableArn, `${table.tableArn}/index/due`, `${table.tableArn}/index/list`],
});

/** Transactions are of these too. */
export const mayWrite = ({ table }: DataStack): Permission => ({
  actions: ['dynamodb:PutItem', 'dynamodb:DeleteItem', 'dynamodb:ConditionCheckItem'],
  resources: [table.tableArn],
});

/** Objects are named by the commands that they belong to. */
const allObjects = ({ objectsArn, objectsArnExport }: DataStack): Pick<Permission, 'resources' | 'wildcard'> => ({
  resources: [`${objectsArn}/*`],
  wildcard: {
    finding: `Resource::${objectsArnExport}/*`,
    reason: 'Objects are named by the commands that they belong to, and nothing else is in the bucket.',
  },
});

export const mayReadObjects = (data: DataStack): Permission => ({
  actions: ['s3:GetObject'],
  ...allObjects(data),
});

export const mayWriteObjects = (data: DataStack): Permission => ({
  actions: ['s3:PutObject', 's3:DeleteObject'],
  ...allObjects(data),
});

/** To remove what a command left: it is found by its prefix. */
export const mayListObjects = ({ objectsArn }: DataStack): Permission => ({
  actions: ['s3:ListBucket'],
  resources: [objectsArn],
});

export const mayReadKey = ({ key }: DataStack): Permission => ({
  actions: ['secretsmanager:GetSecretValue'],
  resources: [key.secretArn],
});

export const mayWake = ({ queues }: QueueStack): Permission => ({
  actions: ['sqs:SendMessage'],
  resources: Object.values(queues).map(({ queueArn }) => queueArn),
});
