import type { Instant } from '../domain/clock.ts';
import {
  type CommandId,
  isCommandId,
  isTenantId,
  isWorkflowId,
  type TenantId,
  type WorkflowId,
} from '../domain/ids.ts';
import type { ScheduleId } from '../domain/schedules.ts';
import type { TriggerId } from '../domain/triggers.ts';
import type { WebhookId } from '../domain/webhooks.ts';
import type { IndexName, Key } from './store.ts';

/** The table's own attributes, as every adapter and the CDK stack name them. */
export const TABLE = {
  partitionKey: 'pk',
  sortKey: 'sk',
  expiresAt: 'expiresAt',
  indexes: {
    due: { partitionKey: 'duePk', sortKey: 'dueSk' },
    list: { partitionKey: 'listPk', sortKey: 'listSk' },
  } satisfies Record<IndexName, { partitionKey: string; sortKey: string }>,
} as const;

/** The due index is spread over so many partitions, so that none of them takes all writes. */
const DUE_SHARDS = 16;
/** Schedules are written less often than commands, and read by everyone who waits for the next of them. */
const DUE_SCHEDULE_SHARDS = 4;
const DUE_WORKFLOW_SHARDS = 4;

/** Names a command across tenants: `<tenant>/<command id>`. Also the partition of all that belongs to it. */
export type Reference = `${TenantId}/${CommandId}`;
export const referenceOf = (tenant: TenantId, id: CommandId): Reference => `${tenant}/${id}`;
export const splitReference = (reference: Reference): { readonly tenant: TenantId; readonly id: CommandId } => {
  const at = reference.lastIndexOf('/');
  return { tenant: reference.slice(0, at) as TenantId, id: reference.slice(at + 1) as CommandId };
};

/** For text that came from outside, such as a message. */
export const isReference = (text: string): text is Reference => {
  const [tenant = '', id = '', ...more] = text.split('/');
  return isTenantId(tenant) && isCommandId(id) && more.length === 0;
};

/** Names a schedule across tenants, and is its partition. */
export type ScheduleReference = `${TenantId}/${ScheduleId}`;
export const scheduleReferenceOf = (tenant: TenantId, id: ScheduleId): ScheduleReference => `${tenant}/${id}`;

/** Names a workflow across tenants, and is its partition. */
export type WorkflowReference = `${TenantId}/${WorkflowId}`;
export const workflowReferenceOf = (tenant: TenantId, id: WorkflowId): WorkflowReference => `${tenant}/${id}`;
/** Whose a command, or a workflow, is. */
export const tenantOf = (reference: Reference | WorkflowReference): TenantId =>
  reference.slice(0, reference.lastIndexOf('/')) as TenantId;

/** For text that came from outside, such as a message. */
export const isWorkflowReference = (text: string): text is WorkflowReference => {
  const [tenant = '', id = '', ...more] = text.split('/');
  return isTenantId(tenant) && isWorkflowId(id) && more.length === 0;
};

/** Whole numbers as text that sorts as the numbers do. @throws TypeError for any other, which would sort anywhere */
const sortable = (value: number, digits: number): string => {
  if (!Number.isSafeInteger(value)) throw new TypeError(`Not a whole number: ${value}`);
  return String(value).padStart(digits, '0');
};

/** The kinds of item and their keys. Every partition key begins with the tenant. */
export const keys = {
  command: (reference: Reference): Key => ({ pk: reference, sk: 'command' }),
  /** A chunk of an attempt's output, by the bytes of both streams before it. */
  output: (reference: Reference, attempt: number, offset: number): Key => ({
    pk: reference,
    sk: `output/${sortable(attempt, 4)}/${sortable(offset, 15)}`,
  }),
  /** A part of open stdin, by the bytes before it. */
  stdinPart: (reference: Reference, offset: number): Key => ({ pk: reference, sk: `stdin/${sortable(offset, 15)}` }),
  /** How much open stdin there is, and whether it has ended. */
  stdinState: (reference: Reference): Key => ({ pk: reference, sk: 'stdin' }),
  idempotency: (tenant: TenantId, keyHash: string): Key => ({ pk: `${tenant}/idempotency/${keyHash}`, sk: 'record' }),
  /** Which command was asked this question last. */
  answer: (tenant: TenantId, question: string): Key => ({ pk: `${tenant}/answers/${question}`, sk: 'command' }),
  /** How a target is; of the whole installation. */
  targetHealth: (target: string): Key => ({ pk: `targets/${target}`, sk: 'health' }),
  member: (tenant: TenantId, id: string): Key => ({ pk: `${tenant}/members`, sk: id }),
  /** Which member an access token speaks for, by a digest of its issuer and subject. */
  identity: (tenant: TenantId, digest: string): Key => ({ pk: `${tenant}/identities`, sk: digest }),
  /** A role that the tenant made up. */
  role: (tenant: TenantId, name: string): Key => ({ pk: `${tenant}/roles`, sk: name }),
  apiKey: (tenant: TenantId, id: string): Key => ({ pk: `${tenant}/api-keys`, sk: id }),
  sessionToken: (tenant: TenantId, id: string): Key => ({ pk: `${tenant}/session-tokens`, sk: id }),
  /** What is known of a secret; its value is in the vault. */
  secret: (tenant: TenantId, name: string): Key => ({ pk: `${tenant}/secrets`, sk: name }),
  /** Which version of the tenant's policy holds. */
  policy: (tenant: TenantId): Key => ({ pk: `${tenant}/policy`, sk: 'present' }),
  policyVersion: (tenant: TenantId, version: number): Key => ({
    pk: `${tenant}/policy`,
    sk: `version/${sortable(version, 8)}`,
  }),
  /** A warm shell. */
  session: (tenant: TenantId, id: string): Key => ({ pk: `${tenant}/sessions`, sk: id }),
  schedule: (reference: ScheduleReference): Key => ({ pk: reference, sk: 'schedule' }),
  trigger: (tenant: TenantId, id: TriggerId): Key => ({ pk: `${tenant}/triggers`, sk: id }),
  /** What became of a delivery, by when it came. */
  triggerDelivery: (tenant: TenantId, at: Instant, id: TriggerId, unique: string): Key => ({
    pk: `${tenant}/deliveries`,
    sk: `${id}/${sortable(at, 15)}-${unique}`,
  }),
  /** Whose a trigger is: whoever sends it something names no tenant. Of the whole installation. */
  hook: (id: TriggerId): Key => ({ pk: `/hooks/${id}`, sk: 'trigger' }),
  webhook: (tenant: TenantId, id: WebhookId): Key => ({ pk: `${tenant}/webhooks`, sk: `webhook/${id}` }),
  /** A delivery that came to its end, by the number of its event. */
  webhookDelivery: (tenant: TenantId, sequence: number, id: WebhookId, outcome: 'delivered' | 'dead'): Key => ({
    pk: `${tenant}/webhooks`,
    sk: `${outcome}/${id}/${sortable(sequence, 12)}`,
  }),
  /** Where a workflow stands. */
  workflow: (reference: WorkflowReference): Key => ({ pk: reference, sk: 'workflow' }),
  /** What was submitted, which never changes. */
  workflowPlan: (reference: WorkflowReference): Key => ({ pk: reference, sk: 'plan' }),
  approval: (tenant: TenantId, id: string): Key => ({ pk: `${tenant}/approvals`, sk: id }),
  /** Where the tenant's audit log stands. */
  auditHead: (tenant: TenantId): Key => ({ pk: `${tenant}/audit`, sk: 'head' }),
  /** Entries of it, by the number of the first. */
  auditSegment: (tenant: TenantId, sequence: number): Key => ({
    pk: `${tenant}/audit`,
    sk: `segment/${sortable(sequence, 12)}`,
  }),
  /** By how many entries it covers. */
  auditCheckpoint: (tenant: TenantId, size: number): Key => ({
    pk: `${tenant}/audit`,
    sk: `checkpoint/${sortable(size, 12)}`,
  }),
  /** What one of the tenant's actors usually does. */
  auditProfile: (tenant: TenantId, actor: string): Key => ({ pk: `${tenant}/audit`, sk: `profile/${actor}` }),
  /** An event that has no place in the log yet. */
  auditPending: (tenant: TenantId, at: Instant, unique: string): Key => ({
    pk: `${tenant}/audit`,
    sk: `pending/${sortable(at, 15)}-${unique}`,
  }),
  /** A command whose submission is in the log and whose end is not. */
  auditOpen: (tenant: TenantId, id: CommandId): Key => ({ pk: `${tenant}/audit`, sk: `open/${id}` }),
  /** How far a subscription was told of the tenant's events. */
  eventCursor: (tenant: TenantId, subscription: string): Key => ({
    pk: `${tenant}/events`,
    sk: `cursor/${subscription}`,
  }),
  /** Up to which id no new command of the tenant is stored any more. */
  commandFence: (tenant: TenantId): Key => ({ pk: `${tenant}/audit`, sk: 'fence' }),
  /** What the tenant used today, and how many of its commands have not ended. */
  usage: (tenant: TenantId): Key => ({ pk: `${tenant}/usage`, sk: 'now' }),
  /** What it used on a day before. */
  usageOf: (tenant: TenantId, day: string): Key => ({ pk: `${tenant}/usage`, sk: `day/${day}` }),
  /** Of the whole installation, as its slash tells: no tenant's id begins with one. */
  tenant: (tenant: TenantId): Key => ({ pk: '/tenants', sk: tenant }),
  /** That a tenant is being removed, and how far it has come. */
  removal: (tenant: TenantId): Key => ({ pk: '/removals', sk: tenant }),
  /** Objects hold what is too large for an item. */
  objects: (reference: Reference, kind: 'output' | 'stdin'): string => `${reference}/${kind}/`,
  /** All objects of a tenant. */
  objectsOf: (tenant: TenantId): string => `${tenant}/`,
};

/**
 * The partitions that a tenant has, beside one for each command, its audit log, and one for each idempotency record and each cached answer, which
 * are known by their hashes alone and expire.
 */
export const partitionsOf = (tenant: TenantId): readonly string[] =>
  [
    keys.member(tenant, ''),
    keys.identity(tenant, ''),
    keys.role(tenant, ''),
    keys.apiKey(tenant, ''),
    keys.sessionToken(tenant, ''),
    keys.session(tenant, ''),
    keys.secret(tenant, ''),
    keys.policy(tenant),
    keys.webhook(tenant, '' as WebhookId),
    keys.approval(tenant, ''),
    keys.trigger(tenant, '' as TriggerId),
    keys.triggerDelivery(tenant, 0, '' as TriggerId, ''),
    keys.eventCursor(tenant, ''),
    keys.usage(tenant),
  ].map(({ pk }) => pk);

/** The sparse indexes and their keys. */
export const indexKeys = {
  /** Commands that must be looked at, the most overdue first. Holds all tenants: it is read by the sweeper alone. */
  due: (reference: Reference, dueAt: Instant): Key => ({
    pk: duePartition(shardOf(reference, DUE_SHARDS)),
    sk: dueSortKey(reference, dueAt),
  }),
  /** Schedules that must be fired: of their own partitions, so that neither of those who look finds what is the other's. */
  dueSchedule: (reference: ScheduleReference, dueAt: Instant): Key => ({
    pk: dueSchedulePartition(shardOf(reference, DUE_SCHEDULE_SHARDS)),
    sk: dueSortKey(reference, dueAt),
  }),
  /** Webhooks that are to be told of events, of all tenants. */
  enabledWebhook: (tenant: TenantId, id: WebhookId): Key => ({ pk: 'due/webhooks', sk: `${tenant}/${id}` }),
  /** Workflows that must be looked at, of their own partitions too. */
  dueWorkflow: (reference: WorkflowReference, dueAt: Instant): Key => ({
    pk: dueWorkflowPartition(shardOf(reference, DUE_WORKFLOW_SHARDS)),
    sk: dueSortKey(reference, dueAt),
  }),
  /** A tenant's commands by id, which is by time of submission. */
  list: (tenant: TenantId, id: CommandId): Key => ({ pk: `${tenant}/commands`, sk: id }),
  listSchedule: (tenant: TenantId, id: ScheduleId): Key => ({ pk: `${tenant}/schedules`, sk: id }),
  /** By the time of submission. */
  listWorkflow: (tenant: TenantId, id: WorkflowId, submittedAt: Instant): Key => ({
    pk: `${tenant}/workflows`,
    sk: `${sortable(submittedAt, 15)}-${id}`,
  }),
};

const dueSortKey = (reference: string, dueAt: Instant): string => `${sortable(dueAt, 15)}/${reference}`;
const duePartition = (shard: number): string => `due/${shard}`;
const dueSchedulePartition = (shard: number): string => `due/schedules/${shard}`;
const dueWorkflowPartition = (shard: number): string => `due/workflows/${shard}`;
export const dueWorkflowPartitions: readonly string[] = Array.from({ length: DUE_WORKFLOW_SHARDS }, (_, shard) =>
  dueWorkflowPartition(shard),
);
export const duePartitions: readonly string[] = Array.from({ length: DUE_SHARDS }, (_, shard) => duePartition(shard));
export const dueSchedulePartitions: readonly string[] = Array.from({ length: DUE_SCHEDULE_SHARDS }, (_, shard) =>
  dueSchedulePartition(shard),
);
/** The time in a key of the due index. */
export const dueAtOf = ({ sk }: Key): Instant => Number(sk.slice(0, 15));
/** Sorts after every item that is due by `now`. */
export const dueBy = (now: Instant): string => `${sortable(Math.min(now, 1e15 - 1), 15)}/\uffff`;

/** FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/): stable across versions and machines. */
const shardOf = (text: string, shards: number): number => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % shards;
};
