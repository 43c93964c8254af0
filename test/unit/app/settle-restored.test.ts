import { describe, expect, test } from 'vitest';
import { sweepOnSchedule } from '../../../functions/workers/sweep.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { sweepWorkflows } from '../../../shared/app/sweep-workflows.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { aNode, read, submit } from '../../support/workflows.ts';

const BACKED_UP_AT = '2026-11-28T12:00:00.000Z';

/** A worker that runs nothing, with commands that wait. */
const withWaiting = async (count: number) => {
  const deps = await testWorker({ work: false });
  const commands: Command[] = [];
  for (let n = 0; n < count; n++) {
    commands.push((await submitCommand(deps, owner, { body: { argv: ['true'] } })).command);
  }
  const statuses = async () =>
    Promise.all(
      commands.map(async ({ tenant, id }) => (await deps.commands.find(referenceOf(tenant, id)))?.command.status),
    );
  return { deps, statuses };
};

const auditTypes = async (deps: Awaited<ReturnType<typeof testWorker>>) => {
  const events = await deps.auditLog.pending(owner.tenant, 100);
  return events.map(({ event }) => [event.type, event.details]);
};

describe('a restored store', () => {
  test('runs nothing that waited when the backup was made, and its audit log says so', async () => {
    const { deps, statuses } = await withWaiting(3);
    const settled = await sweepOnSchedule(deps)({ restoredTo: BACKED_UP_AT, queued: 'lost' });
    expect(settled).toEqual({ lost: 3, retried: 0, waiting: 0 });
    expect(await statuses()).toEqual(['lost', 'lost', 'lost']);
    expect(await auditTypes(deps)).toContainEqual([
      'installation.restored',
      { backedUpAt: BACKED_UP_AT, lost: 3, retried: 0, waiting: 0 },
    ]);
  });

  test('settled twice, finds nothing to do', async () => {
    const { deps } = await withWaiting(2);
    const settle = () => sweepOnSchedule(deps)({ restoredTo: BACKED_UP_AT, queued: 'lost' });
    await settle();
    expect(await settle()).toEqual({ lost: 0, retried: 0, waiting: 0 });
  });

  test('goes on with no workflow that ran when the backup was made: it may have gone on since', async () => {
    const deps = await testWorker({ work: false });
    const made = await submit(deps, { nodes: { a: aNode(), b: aNode({ needs: ['a'], if: 'always' }) } } as never);
    await sweepWorkflows(deps);
    await sweepOnSchedule(deps)({ restoredTo: BACKED_UP_AT, queued: 'lost' });
    await sweepWorkflows(deps);
    const { status, nodes } = await read(deps, made);
    expect([status, nodes.map((node) => node.status)]).toEqual(['canceled', ['failed', 'canceled']]);
    const { commands } = await deps.commands.list(owner.tenant, {}, { limit: 10 });
    expect(commands.map((command) => command.status)).toEqual(['lost']);
  });

  test('leaves what waited in the queue for whoever takes that on', async () => {
    const { deps, statuses } = await withWaiting(2);
    const settled = await sweepOnSchedule(deps)({ restoredTo: BACKED_UP_AT, queued: 'run' });
    expect(settled).toEqual({ lost: 0, retried: 0, waiting: 2 });
    expect(await statuses()).toEqual(['queued', 'queued']);
  });

  test.for([
    { restoredTo: 'yesterday', queued: 'lost' },
    { restoredTo: BACKED_UP_AT, queued: 'hold' },
  ])('is not settled by %j, which may be a slip', async (event) => {
    const { deps, statuses } = await withWaiting(1);
    await expect(sweepOnSchedule(deps)(event as never)).rejects.toThrow();
    expect(await statuses()).toEqual(['queued']);
  });
});
