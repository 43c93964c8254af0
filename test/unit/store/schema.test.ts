import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CommandId, toTenantId, type WorkflowId } from '../../../shared/domain/ids.ts';
import type { ScheduleId } from '../../../shared/domain/schedules.ts';
import type { TriggerId } from '../../../shared/domain/triggers.ts';
import type { WebhookId } from '../../../shared/domain/webhooks.ts';
import {
  dueBy,
  duePartitions,
  indexKeys,
  keys,
  partitionsOf,
  referenceOf,
  scheduleReferenceOf,
  workflowReferenceOf,
} from '../../../shared/store/schema.ts';
import type { Key } from '../../../shared/store/store.ts';
import { commandId } from '../../support/commands.ts';

const id = 'cmd_01jd8m0000000000000000000a' as CommandId;
const acme = toTenantId('acme');
const reference = referenceOf(acme, id);
const schedule = 'sch_0123456789abcdef' as ScheduleId;
const trigger = 'trg_0123456789abcdef' as TriggerId;
const webhook = 'whk_0123456789abcdef' as WebhookId;
const scheduled = scheduleReferenceOf(acme, schedule);
const workflow = 'wfl_0123456789abcdef' as WorkflowId;
const ascending = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What is stored is found by its key for ever: a row here changes only with a migration. */
test.for<[string, Key, string, string]>([
  ['a command', keys.command(reference), `acme/${id}`, 'command'],
  ['a chunk of output', keys.output(reference, 2, 65_536), `acme/${id}`, 'output/0002/000000000065536'],
  ['a part of stdin', keys.stdinPart(reference, 7), `acme/${id}`, 'stdin/000000000000007'],
  ['the state of stdin', keys.stdinState(reference), `acme/${id}`, 'stdin'],
  ['an idempotency record', keys.idempotency(acme, 'f00d'), 'acme/idempotency/f00d', 'record'],
  ['a place in the list', indexKeys.list(acme, id), 'acme/commands', id],
  ['a place among what is due', indexKeys.due(reference, 1_900_000_000_000), 'due/0', `001900000000000/acme/${id}`],
  ['a schedule', keys.schedule(scheduled), `acme/${schedule}`, 'schedule'],
  ['a place among schedules', indexKeys.listSchedule(acme, schedule), 'acme/schedules', schedule],
  [
    'a place among schedules that are due',
    indexKeys.dueSchedule(scheduled, 1_900_000_000_000),
    'due/schedules/3',
    `001900000000000/acme/${schedule}`,
  ],
  ['a trigger', keys.trigger(acme, trigger), 'acme/triggers', trigger],
  ['whose a trigger is', keys.hook(trigger), `/hooks/${trigger}`, 'trigger'],
  [
    'a delivery',
    keys.triggerDelivery(acme, 1_900_000_000_000, trigger, 'f00d'),
    'acme/deliveries',
    `${trigger}/001900000000000-f00d`,
  ],
  ['a webhook', keys.webhook(acme, webhook), 'acme/webhooks', `webhook/${webhook}`],
  [
    'a delivery that was given up',
    keys.webhookDelivery(acme, 198, webhook, 'dead'),
    'acme/webhooks',
    `dead/${webhook}/000000000198`,
  ],
  ['a place among webhooks', indexKeys.enabledWebhook(acme, webhook), 'due/webhooks', `acme/${webhook}`],
  ['a workflow', keys.workflow(workflowReferenceOf(acme, workflow)), `acme/${workflow}`, 'workflow'],
  ['what a workflow is', keys.workflowPlan(workflowReferenceOf(acme, workflow)), `acme/${workflow}`, 'plan'],
  [
    'a place among workflows',
    indexKeys.listWorkflow(acme, workflow, 1_900_000_000_000),
    'acme/workflows',
    `001900000000000-${workflow}`,
  ],
  [
    'a place among workflows that are due',
    indexKeys.dueWorkflow(workflowReferenceOf(acme, workflow), 1_900_000_000_000),
    'due/workflows/0',
    `001900000000000/acme/${workflow}`,
  ],
])('the key of %s', ([, key, pk, sk]) => {
  expect(key).toEqual({ pk, sk });
});

// Computed apart from this code: a command whose shard moves would leave its old entry behind.
test.for<[string, CommandId, string]>([
  ['default', id, 'due/15'],
  ['default', 'cmd_01jd8m0000000000000000000b' as CommandId, 'due/2'],
  ['acme', 'cmd_7zzzzzzzzzzzzzzzzzzzzzzzzz' as CommandId, 'due/4'],
])('%s/%s is due in %s', ([tenant, command, partition]) => {
  expect(indexKeys.due(referenceOf(toTenantId(tenant), command), 0).pk).toBe(partition);
});

test('every kind of item is in a partition that the removal of its tenant finds, or is meant to outlive it', () => {
  const ofCommands = ['command', 'output', 'stdinPart', 'stdinState', 'objects'];
  // One for each, found by the list (test/contract/tenant-removal.test.ts).
  const own = [...ofCommands, 'schedule', 'workflow', 'workflowPlan'];
  const kinds = Object.entries(keys).filter(([name]) => !own.includes(name));
  const pks = kinds.map(([, key]) => (key as (tenant: string, ...more: unknown[]) => Key | string)('acme', 1, 'y'));
  const erased = new Set(partitionsOf(acme));
  const left = pks.flatMap((key) => (typeof key === 'string' || erased.has(key.pk) ? [] : [key.pk]));
  expect([...new Set(left)].toSorted()).toEqual([
    // Removed with the triggers that they name.
    '/hooks/acme',
    '/removals',
    '/tenants',
    // Expires by itself.
    'acme/answers/1',
    'acme/audit',
    // Expires by itself.
    'acme/idempotency/1',
    'targets/acme',
  ]);
});

describe('keys sort as the numbers in them do', () => {
  test('and a number that would sort anywhere is refused', () => {
    expect(() => indexKeys.due(reference, 1_900_000_000_000.5)).toThrow(TypeError);
  });

  const offset = fc.nat({ max: 1e15 - 1 });

  test('chunks by attempt, then by offset', () => {
    fc.assert(
      fc.property(fc.nat({ max: 9_999 }), fc.nat({ max: 9_999 }), offset, offset, (attemptA, attemptB, a, b) => {
        const order = ascending(keys.output(reference, attemptA, a).sk, keys.output(reference, attemptB, b).sk);
        expect(order).toBe(Math.sign(attemptA - attemptB || a - b));
      }),
    );
  });

  test('parts of stdin by offset, and after the state of stdin', () => {
    fc.assert(
      fc.property(offset, offset, (a, b) => {
        const part = keys.stdinPart(reference, a).sk;
        expect(ascending(part, keys.stdinPart(reference, b).sk)).toBe(Math.sign(a - b));
        expect(ascending(part, keys.stdinState(reference).sk)).toBe(1);
      }),
    );
  });

  test('what is due by now, and nothing later, sorts before dueBy(now)', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1e15 - 2 }), fc.constantFrom(-1, 0, 1), (now, late) => {
        const dueAt = Math.max(0, now - late);
        expect(indexKeys.due(reference, dueAt).sk <= dueBy(now)).toBe(dueAt <= now);
      }),
    );
  });
});

test('due commands are spread over all partitions, and over no others', () => {
  const used = Array.from({ length: 1_000 }, (_, n) => indexKeys.due(referenceOf(acme, commandId(n)), 0).pk);
  const counts = duePartitions.map((partition) => used.filter((pk) => pk === partition).length);
  expect(counts.reduce((sum, count) => sum + count)).toBe(1_000);
  expect(Math.min(...counts)).toBeGreaterThan(30);
});
