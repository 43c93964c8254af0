import { describe, expect, test, vi } from 'vitest';
import { exportAudit, readAudit, verifyAudit } from '../../../shared/app/audit.ts';
import { cancelCommand } from '../../../shared/app/cancel-command.ts';
import { logOvertaken } from '../../../shared/app/log-overtaken.ts';
import { sealAudit, sealTenant } from '../../../shared/app/seal-audit.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import type { AuditEntry } from '../../../shared/domain/audit.ts';
import { toTimestamp } from '../../../shared/domain/clock.ts';
import { makeCommandIds } from '../../../shared/domain/ids.ts';
import type { Stored } from '../../../shared/store/commands.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';

const submit = async (deps: TestWorker, count = 1) => {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    ids.push((await submitCommand(deps, owner, { body: { argv: ['true', String(i)] } })).command.id);
  }
  await deps.clock.advance(1);
  return ids;
};
const entriesOf = async (deps: TestWorker): Promise<AuditEntry[]> => {
  const all: AuditEntry[] = [];
  for await (const { entry } of deps.auditLog.read(owner.tenant, 1)) all.push(entry);
  return all;
};
const told = (entries: readonly AuditEntry[]) => entries.map(({ type, subject }) => `${type} ${subject}`);

describe('the audit log', () => {
  test('tells of each command once, however often and by however many at once it is made', async () => {
    const store = sqliteStore({ file: ':memory:' });
    const deps = await testWorker({ store, work: false });
    const other = await testWorker({ store, work: false, clock: deps.clock, name: 'worker-2' });
    const ids = await submit(deps, 130);
    await Promise.all([sealAudit(deps), sealAudit(other), sealAudit(deps), sealAudit(other)]);
    await sealAudit(deps);
    expect(told(await entriesOf(deps)).toSorted()).toEqual(ids.map((id) => `command.submitted ${id}`).toSorted());
    expect(await verifyAudit(deps, owner)).toMatchObject({ intact: true, entries: 130 });
  });

  test('tells of an end when it has come, in whatever order', async () => {
    const deps = await testWorker({ work: false });
    const ids = await submit(deps, 60);
    await sealTenant(deps, owner.tenant);
    for (const id of [ids[50], ids[3], ids[59]]) await cancelCommand(deps, owner, id as never);
    await sealTenant(deps, owner.tenant);
    await sealTenant(deps, owner.tenant);
    const entries = await entriesOf(deps);
    const ends = entries.filter(({ type }) => type === 'command.ended').map(({ subject }) => subject);
    expect(ends.toSorted()).toEqual([ids[3], ids[50], ids[59]].toSorted());
    const canceled = entries.filter(({ type }) => type === 'command.cancel-requested');
    expect(canceled).toHaveLength(3);
    expect(canceled[0]).toMatchObject({
      actor: { id: 'owner', role: 'owner', credential: { kind: 'installation-key' } },
    });
    expect(await verifyAudit(deps, owner)).toMatchObject({ intact: true, entries: 66 });
  });

  test('waits for what may still come before, where commands are stored without a fence', async () => {
    const store = { ...sqliteStore({ file: ':memory:' }), atomicWrites: 'costly' } as const;
    const deps = { ...(await testWorker({ work: false, store })), auditSettleSeconds: 60 };
    await submit(deps);
    await sealTenant(deps, owner.tenant);
    expect(await entriesOf(deps)).toEqual([]);
    await deps.clock.advance(61_000);
    await sealTenant(deps, owner.tenant);
    expect(await entriesOf(deps)).toHaveLength(1);
  });

  test('has a command that was stored after its reader went past it, as it was held up, with its submission first', async () => {
    const store = { ...sqliteStore({ file: ':memory:' }), atomicWrites: 'costly' } as const;
    const deps = { ...(await testWorker({ work: false, store })), auditSettleSeconds: 60 };
    const heldUp = deps.clock.now() - 200_000;
    await submit(deps);
    await deps.clock.advance(61_000);
    await sealTenant(deps, owner.tenant);
    const { command } = await submitCommand(
      {
        ...deps,
        order: { ...deps.order, next: async () => makeCommandIds({ now: () => heldUp }, deps.random).next() },
      },
      owner,
      { body: { argv: ['true'] } },
    );
    await sealTenant(deps, owner.tenant);
    expect(await entriesOf(deps)).toHaveLength(1);
    await cancelCommand(deps, owner, command.id);
    await sealTenant(deps, owner.tenant);
    await sealTenant(deps, owner.tenant);
    const own = (await entriesOf(deps)).filter(({ subject }) => subject === command.id);
    expect(own.map(({ type }) => type)).toEqual(['command.submitted', 'command.cancel-requested', 'command.ended']);
    expect(await verifyAudit(deps, owner)).toMatchObject({ intact: true });
  });

  test.for([
    { what: 'went past it meanwhile', hasOther: true },
    { what: 'comes upon it later', hasOther: false },
  ])(
    'has a command once that was stored late and that an index does not show yet, if its reader $what',
    async ({ hasOther }) => {
      const store = { ...sqliteStore({ file: ':memory:' }), atomicWrites: 'costly' } as const;
      const deps = { ...(await testWorker({ work: false, store })), auditSettleSeconds: 60 };
      const ids = makeCommandIds(deps.clock, deps.random);
      const early = ids.next();
      await deps.clock.advance(1);
      if (hasOther) await submit(deps);
      await deps.clock.advance(62_000);
      const heldUp = { ...deps, order: { ...deps.order, next: async () => early } };
      const { command } = await submitCommand(heldUp, owner, { body: { argv: ['true'] } });
      await cancelCommand(deps, owner, command.id);
      const since: typeof deps.commands.since = async (...range) =>
        (await deps.commands.since(...range)).filter(({ id }) => id !== command.id);
      const lagging = { ...deps, commands: { ...deps.commands, since } };
      for (let pass = 0; pass < 3; pass++) await sealTenant(lagging, owner.tenant);
      const late = { at: toTimestamp(deps.clock.now()), actor: { id: 'owner' }, subject: command.id, details: {} };
      await deps.auditLog.note(owner.tenant, { type: 'command.signaled', ...late });
      for (let pass = 0; pass < 3; pass++) await sealTenant(deps, owner.tenant);
      const own = (await entriesOf(deps)).filter(({ subject }) => subject === command.id);
      const types = ['command.submitted', 'command.cancel-requested', 'command.ended', 'command.signaled'];
      expect(own.map(({ type }) => type)).toEqual(types);
      expect(await verifyAudit(deps, owner)).toMatchObject({ intact: true });
    },
  );

  test('is not given a command again by who read it before it ended', async () => {
    const store = { ...sqliteStore({ file: ':memory:' }), atomicWrites: 'costly' } as const;
    const deps = { ...(await testWorker({ work: false, store })), auditSettleSeconds: 60 };
    const [id] = (await submit(deps)) as [never];
    const stale = await deps.commands.find(referenceOf(owner.tenant, id));
    await cancelCommand(deps, owner, id);
    await deps.clock.advance(61_000);
    await sealTenant(deps, owner.tenant);
    await sealTenant(deps, owner.tenant);
    const before = await entriesOf(deps);
    await logOvertaken(deps, stale as Stored);
    await sealTenant(deps, owner.tenant);
    expect(await entriesOf(deps)).toEqual(before);
    expect(told(before)).toContain(`command.ended ${id}`);
  });

  test('holds hashes of what was asked for and what came of it, and nothing of either', async () => {
    const deps = await testWorker({ work: false });
    const { command } = await submitCommand(deps, owner, {
      body: {
        argv: ['echo', 'canary-argument'],
        env: { X: 'canary-value' },
        stdin: 'canary-input',
        labels: { a: 'canary-label' },
      },
    });
    await cancelCommand(deps, owner, command.id);
    await deps.clock.advance(1);
    const { text } = await exportAudit(deps, owner, {});
    expect(text).toMatch(/"commandHash":"[0-9a-f]{64}"/);
    expect(text).not.toContain('canary');
  });

  test('is read newest first, by type, actor and subject, page by page', async () => {
    const deps = await testWorker({ work: false });
    const ids = await submit(deps, 25);
    const seen: number[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await readAudit(deps, owner, { limit: 7, cursor });
      seen.push(...page.items.map(({ entry }) => entry.sequence));
      if (page.nextCursor === undefined) break;
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => 25 - i));
    const { items } = await readAudit(deps, owner, { subject: ids[4] as string });
    expect(items).toMatchObject([{ entry: { subject: ids[4], type: 'command.submitted' } }]);
    expect((await readAudit(deps, owner, { actor: 'nobody' })).items).toEqual([]);
  });

  test('that was changed in the store is not intact', async () => {
    const deps = await testWorker({ work: false });
    await submit(deps, 5);
    await sealTenant(deps, owner.tenant, { checkpoint: true });
    const key = { pk: 'default/audit', sk: 'segment/000000000001' };
    const item = await deps.store.get(key);
    const data = structuredClone(item?.data) as { entry: { subject: string } }[];
    (data[2] as (typeof data)[number]).entry.subject = 'cmd_other';
    await deps.store.write([{ put: { ...key, version: 2, data }, ifVersion: 1 }]);
    expect(await verifyAudit(deps, owner)).toMatchObject({ intact: false, fault: { sequence: 3 } });
    await deps.store.write([{ remove: key }]);
    expect((await verifyAudit(deps, owner)).intact).toBe(false);
  });
});

describe('what looks wrong', () => {
  /** An actor that ran the same program a hundred times, a minute apart. */
  const withHabits = async () => {
    const warned: unknown[] = [];
    const log = { ...silentLog, warn: (_: string, fields?: object) => void warned.push(fields) };
    const deps = await testWorker({ work: false, log });
    for (let i = 0; i < 100; i++) {
      await submitCommand(deps, owner, { body: { argv: ['git', 'status'] } });
      await deps.clock.advance(60_000);
    }
    await sealTenant(deps, owner.tenant);
    return { deps, warned };
  };

  test('is an entry of the log and a line of the operator’s, once, with the command and why', async () => {
    const { deps, warned } = await withHabits();
    expect(warned).toEqual([]);
    const { command } = await submitCommand(deps, owner, { body: { script: 'cd /; git log | nmap canary-argument' } });
    await deps.clock.advance(1);
    await Promise.all([sealTenant(deps, owner.tenant), sealTenant(deps, owner.tenant)]);
    await sealTenant(deps, owner.tenant);
    const alerts = (await entriesOf(deps)).filter(({ type }) => type === 'security.alert');
    expect(alerts).toMatchObject([{ subject: command.id, details: { kind: 'new-program' } }]);
    expect(JSON.stringify(alerts)).not.toContain('canary');
    expect(warned).toMatchObject([
      { kind: 'new-program', subject: command.id, because: expect.stringContaining('"nmap"') },
    ]);
    expect(await verifyAudit(deps, owner)).toMatchObject({ intact: true });
  });

  test('is a program that was not seen before this process began, too', async () => {
    const { deps } = await withHabits();
    const next = await testWorker({ work: false, store: deps.store, clock: deps.clock });
    await submitCommand(next, owner, { body: { argv: ['nmap'] } });
    await deps.clock.advance(1);
    await sealTenant(next, owner.tenant);
    expect(told(await entriesOf(next)).filter((one) => one.startsWith('security.alert'))).toHaveLength(1);
  });

  test('is a tenth refusal within ten minutes', async () => {
    const deps = await testWorker({ work: false });
    const policy = { default: 'deny' as const, rules: [] };
    await deps.policies.apply(owner.tenant, { policy, appliedAt: 0, appliedBy: 'owner' }, undefined, () => []);
    for (let i = 0; i < 25; i++) await submitCommand(deps, owner, { body: { argv: ['true'] } }).catch(() => {});
    await sealTenant(deps, owner.tenant);
    const entries = await entriesOf(deps);
    expect(entries.filter(({ type }) => type === 'command.denied')).toHaveLength(25);
    expect(entries.filter(({ type }) => type === 'security.alert')).toMatchObject([{ details: { kind: 'refusals' } }]);
  });
});

describe('a command in the log', () => {
  test('has a start for each attempt that began, between its submission and its end', async () => {
    const deps = await testWorker();
    const { command } = await submitCommand(deps, owner, {
      body: { argv: ['false'], retry: { maxAttempts: 2, on: ['nonzero-exit'] } },
    });
    await vi.waitFor(async () => {
      await deps.clock.advance(5_000);
      expect((await deps.commands.find(referenceOf(owner.tenant, command.id)))?.command.status).toBe('failed');
    });
    await sealTenant(deps, owner.tenant);
    const entries = await entriesOf(deps);
    expect(entries.map(({ type, details }) => [type, details['attempt']])).toEqual([
      ['command.submitted', undefined],
      ['command.started', 1],
      ['command.started', 2],
      ['command.ended', undefined],
    ]);
  });

  test('is told to have started while it runs, once', async () => {
    const deps = await testWorker();
    const { command } = await submitCommand(deps, owner, { body: { argv: ['sleep', '600'] } });
    const reference = referenceOf(owner.tenant, command.id);
    const isStatus = (status: string) =>
      vi.waitFor(async () => expect((await deps.commands.find(reference))?.command.status).toBe(status));
    await deps.clock.advance(1);
    await sealTenant(deps, owner.tenant);
    await isStatus('running');
    await sealTenant(deps, owner.tenant, { look: [command.id] });
    await sealTenant(deps, owner.tenant);
    expect(told(await entriesOf(deps))).toEqual([`command.submitted ${command.id}`, `command.started ${command.id}`]);
    await cancelCommand(deps, owner, command.id);
    await vi.waitFor(async () => {
      await deps.clock.advance(1_000);
      await isStatus('canceled');
    });
    await sealTenant(deps, owner.tenant);
    expect(told(await entriesOf(deps)).map((one) => one.split(' ')[0])).toEqual([
      'command.submitted',
      'command.started',
      'command.cancel-requested',
      'command.ended',
    ]);
  });

  test('is not passed over when one with a later id was stored before it', async () => {
    const deps = await testWorker({ work: false });
    let letIn: (() => void) | undefined;
    const slow: typeof deps = {
      ...deps,
      policies: {
        ...deps.policies,
        present: (tenant) => new Promise((resolve) => (letIn = () => resolve(deps.policies.present(tenant)))),
      },
    };
    const submitting = submitCommand(slow, owner, { body: { argv: ['true'] } });
    await vi.waitFor(() => expect(letIn).toBeDefined());
    await deps.clock.advance(10);
    const [later] = await submit(deps);
    await sealTenant(deps, owner.tenant);
    expect(await entriesOf(deps)).toEqual([]);
    letIn?.();
    const { command } = await submitting;
    await sealTenant(deps, owner.tenant);
    expect(told(await entriesOf(deps))).toEqual([`command.submitted ${command.id}`, `command.submitted ${later}`]);
  });
});
