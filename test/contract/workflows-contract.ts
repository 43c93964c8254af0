import { describe, expect, onTestFinished, test } from 'vitest';
import { systemRandom } from '../../machine/system-clock.ts';
import { type CommandId, toTenantId } from '../../shared/domain/ids.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import type { Workflow } from '../../shared/domain/workflows.ts';
import { workflowReferenceOf } from '../../shared/store/schema.ts';
import { makeWorkflows, type StoredWorkflow } from '../../shared/store/workflows.ts';
import { commandId, T0 } from '../support/commands.ts';
import type { OpenStore } from '../support/items.ts';
import { aNode, aPlan, aWorkflow, workflowId } from '../support/workflows.ts';

/** Workflows above a store: what is due, what is a tenant's, who wins, and that the largest fits. */
export const workflowsContract = (name: string, openStore: OpenStore): void => {
  const open = async () => {
    const store = await openStore();
    onTestFinished(() => store.close());
    return { store, workflows: makeWorkflows(store, systemRandom) };
  };
  const tenant = toTenantId('default');
  const referenceOf = (n = 1) => workflowReferenceOf(tenant, workflowId(n));
  const plan = aPlan({ a: aNode(), b: aNode({ needs: ['a'] }) });
  const none = { idempotency: undefined, now: T0, alongside: [] };
  const idempotency = (bodyHash: string) => ({ keyHash: 'key', bodyHash, expiresAt: T0 + 1_000 });

  describe(`workflows in ${name}`, () => {
    test('one that was added is found as it was, with its plan, and saved by who saw its version alone', async () => {
      const { workflows } = await open();
      const workflow = aWorkflow(plan);
      expect(await workflows.find(referenceOf())).toBeUndefined();
      expect(await workflows.add(workflow, plan, none)).toEqual({ kind: 'added' });
      expect(await workflows.findPlan(referenceOf())).toEqual(JSON.parse(JSON.stringify(plan)));
      const stored = (await workflows.find(referenceOf())) as StoredWorkflow;
      expect(stored).toEqual({ workflow: JSON.parse(JSON.stringify(workflow)), version: 1 });
      const run = { status: 'running', command: commandId(1) } as const;
      const next: Workflow = { ...workflow, nodes: { ...workflow.nodes, a: { status: 'running', runs: [run] } } };
      const results = await Promise.all([workflows.save(stored, next), workflows.save(stored, next)]);
      expect(results.filter((one) => one !== undefined)).toEqual([{ workflow: next, version: 2 }]);
      expect((await workflows.find(referenceOf()))?.workflow.nodes['a']).toEqual(next.nodes['a']);
    });

    test('of many that are added with one key one is, and the others are told of it', async () => {
      const { workflows } = await open();
      const add = (n: number, bodyHash: string, now = T0) =>
        workflows.add(aWorkflow(plan, { id: workflowId(n) }), plan, {
          ...{ idempotency: idempotency(bodyHash), now, alongside: [] },
        });
      const results = await Promise.all([add(1, 'same'), add(2, 'same'), add(3, 'same')]);
      const added = results.findIndex(({ kind }) => kind === 'added') + 1;
      expect(results.filter(({ kind }) => kind === 'added')).toHaveLength(1);
      const repeated = { kind: 'repeated', id: workflowId(added) };
      expect(results).toContainEqual({ ...repeated, sameBody: true });
      expect(await add(4, 'other')).toEqual({ ...repeated, sameBody: false });
      expect((await workflows.list(tenant, { limit: 10 })).workflows.map(({ id }) => id)).toEqual([workflowId(added)]);
      // The key's time is over.
      expect(await add(5, 'other', T0 + 1_000)).toEqual({ kind: 'added' });
    });

    test('those that are due come the most overdue first, and one that has ended does not', async () => {
      const { workflows } = await open();
      for (const n of [7, 3, 9, 1, 5, 2, 8, 4, 6]) {
        await workflows.add(aWorkflow(plan, { id: workflowId(n), dueAt: T0 + n }), plan, none);
      }
      expect(await workflows.due(T0 + 4, 100)).toEqual([1, 2, 3, 4].map(referenceOf));
      expect(await workflows.due(T0 + 100, 2)).toEqual([1, 2].map(referenceOf));
      const stored = (await workflows.find(referenceOf(1))) as StoredWorkflow;
      await workflows.save(stored, { ...stored.workflow, status: 'succeeded', dueAt: undefined, endedAt: T0 });
      expect(await workflows.due(Number.MAX_SAFE_INTEGER, 2)).toEqual([2, 3].map(referenceOf));
    });

    test('a tenant’s are listed the newest first, page after page; no other tenant’s', async () => {
      const { workflows } = await open();
      for (const n of [2, 1, 3]) {
        await workflows.add(aWorkflow(plan, { id: workflowId(n), submittedAt: T0 + n }), plan, none);
      }
      await workflows.add(aWorkflow(plan, { id: workflowId(4), tenant: toTenantId('other') }), plan, none);
      const first = await workflows.list(tenant, { limit: 2 });
      expect(first.workflows.map(({ id }) => id)).toEqual([3, 2].map(workflowId));
      const second = await workflows.list(tenant, { limit: 2, after: first.places.at(-1) });
      expect(second.workflows.map(({ id }) => id)).toEqual([workflowId(1)]);
    });

    test('the largest that is taken fits, where it stands at its worst', async () => {
      const { workflows } = await open();
      const random = () => systemRandom.hex(13) as CommandId;
      const nodes = Object.fromEntries(
        Array.from({ length: LIMITS.workflowNodes }, (_, n) => [
          `${'n'.repeat(59)}-${n}`,
          {
            ...{
              status: 'failed',
              reason: 'invalid-request',
              detail: systemRandom.hex(100),
              startedAt: T0,
              endedAt: T0,
            },
            runs: Array.from({ length: LIMITS.workflowRuns / LIMITS.workflowNodes }, () => ({
              ...{ status: 'failed', command: `cmd_${random()}` },
            })),
          } as const,
        ]),
      );
      const large = aPlan(
        Object.fromEntries(
          Object.keys(nodes).map((one) => [one, aNode({ command: { argv: ['true', systemRandom.hex(200)] } })]),
        ),
      );
      const workflow = { ...aWorkflow(plan), nodes } as unknown as Workflow;
      expect(await workflows.add(workflow, large, none)).toEqual({ kind: 'added' });
      expect((await workflows.find(referenceOf()))?.workflow.nodes).toEqual(nodes);
    });
  });
};
