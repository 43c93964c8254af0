import { describe, expect, test } from 'vitest';
import { advanceWorkflow } from '../../../shared/app/advance-workflow.ts';
import { cancelCommand } from '../../../shared/app/cancel-command.ts';
import { followWorkflow, type WorkflowEvent } from '../../../shared/app/follow-workflow.ts';
import { sweepWorkflows } from '../../../shared/app/sweep-workflows.ts';
import { toView } from '../../../shared/app/view.ts';
import { cancelWorkflow, resumeWorkflow, submitWorkflow } from '../../../shared/app/workflows.ts';
import type { WorkflowView } from '../../../shared/contract/workflow-schemas.ts';
import type { Actor } from '../../../shared/domain/actor.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { type CommandId, toTenantId } from '../../../shared/domain/ids.ts';
import { ROLES } from '../../../shared/domain/permissions.ts';
import type { Member } from '../../../shared/domain/principals.ts';
import { keys, referenceOf, workflowReferenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { dyingStore } from '../../support/dying-store.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { type NewWorkflow, read, submit, told } from '../../support/workflows.ts';

const sh = (script: string, ...args: unknown[]) => ({ argv: ['/bin/sh', '-c', script, 'sh', ...args] });
const node = (command: object, over: object = {}) => ({ command, ...over });
const run = node(sh('true'));

const ended = async (deps: TestWorker, made: WorkflowView): Promise<WorkflowView> => {
  await expect.poll(async () => (await read(deps, made)).status, { timeout: 20_000 }).not.toBe('running');
  return read(deps, made);
};
const toEnd = async (deps: TestWorker, nodes: object, over: Partial<NewWorkflow> = {}): Promise<WorkflowView> =>
  ended(deps, await submit(deps, { nodes, ...over } as NewWorkflow));
const commandsOf = async (deps: TestWorker): Promise<readonly Command[]> =>
  (await deps.commands.list(owner.tenant, {}, { limit: 1_000 })).commands;
const outputOf = async (deps: TestWorker, { nodes }: WorkflowView, name: string): Promise<string> => {
  const id = nodes.find((one) => one.name === name)?.command as CommandId;
  const stored = await deps.commands.find(referenceOf(owner.tenant, id));
  return (await toView(deps, stored?.command as Command)).stdout;
};
const idle = () => testWorker({ work: false });

describe('a workflow', () => {
  test('runs its commands one after another as they need each other, as commands of its own', async () => {
    const deps = await testWorker();
    const nodes = { a: run, b: node(sh('true'), { needs: ['a'] }), c: node(sh('exit 3'), { needs: ['b'] }), d: run };
    const workflow = await toEnd(deps, nodes, { labels: { team: 'a' } });
    expect([workflow.status, told(workflow)]).toEqual(['failed', 'a:succeeded d:succeeded b:succeeded c:failed']);
    const commands = await commandsOf(deps);
    expect(commands.map(({ workflow: of }) => of?.node).toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect(commands[0]).toMatchObject({
      submittedBy: 'owner',
      submittedWith: { credential: { kind: 'workflow', id: workflow.id } },
      workflow: { id: workflow.id },
      spec: { labels: { team: 'a' } },
    });
    expect(workflow.nodes.at(-1)).toMatchObject({ name: 'c', exitCode: 3, reason: 'failed' });
    expect(workflow.counts).toMatchObject({ succeeded: 3, failed: 1, waiting: 0 });
  });

  test('hands on what nodes wrote as data, whatever it is', async () => {
    const deps = await testWorker();
    const hostile = `$(touch /tmp/x) "; rm -rf '\`id\` --flag\n{{ nodes.a.stdout }} \\x \u{1f600}`;
    const workflow = await toEnd(deps, {
      say: node({ argv: ['printf', '%s\n\n', hostile] }),
      json: node({ argv: ['printf', '%s', JSON.stringify({ a: [{ b: hostile }], n: 7 })] }),
      argv: node(
        sh(
          'printf %s "$1|$2|$3"',
          { fromOutput: 'say' },
          { fromOutput: 'json', json: '/a/0/b', prefix: '--x=' },
          { fromOutput: 'json', json: '/n' },
        ),
        { needs: ['say', 'json'] },
      ),
      env: node({ ...sh('printf %s "$V"'), env: { V: { fromOutput: 'say', trim: false } } }, { needs: ['say'] }),
      stdin: node({ argv: ['cat'], stdin: { fromOutput: 'say' } }, { needs: ['say'] }),
      trimmed: node({ argv: ['cat'], stdin: { fromOutput: 'say', trim: true } }, { needs: ['say'] }),
      nothing: node(sh('printf "<%s>" "$1"', { fromOutput: 'say', stream: 'stderr' }), { needs: ['say'] }),
    });
    expect(workflow.status).toBe('succeeded');
    const outputs = await Promise.all(
      ['argv', 'env', 'stdin', 'trimmed', 'nothing'].map((name) => outputOf(deps, workflow, name)),
    );
    expect(outputs).toEqual([`${hostile}|--x=${hostile}|7`, `${hostile}\n\n`, `${hostile}\n\n`, hostile, '<>']);
  });

  test('runs a node once for each item that another lists, and hands on what all of them wrote', async () => {
    const deps = await testWorker();
    const workflow = await toEnd(deps, {
      list: node(sh('printf "one\\n\\ntwo words\\n3\\n"')),
      each: node(sh('printf "<%s>" "$1"', { fromItem: '' }), {
        needs: ['list'],
        forEach: { fromOutput: 'list', as: 'lines' },
      }),
      named: node(sh('printf %s "$1"', { fromItem: '/name' }), { forEach: { items: [{ name: 'x' }, { name: 7 }] } }),
      all: node(sh('printf "%s %s" "$1" "$2"', { fromOutput: 'each' }, { fromOutput: 'named' }), {
        needs: ['each', 'named'],
      }),
      again: node(sh('true'), { needs: ['all'], forEach: { fromOutput: 'all', as: 'json' }, allowFailure: true }),
    });
    expect(await outputOf(deps, workflow, 'all')).toBe('["<one>","<two words>","<3>"] ["x","7"]');
    const each = workflow.nodes.find(({ name }) => name === 'each');
    expect(each).toMatchObject({ command: null, items: { total: 3, succeeded: 3 } });
    expect(each?.runs).toHaveLength(3);
    expect((await commandsOf(deps)).map((one) => one.workflow?.item).filter((one) => one !== undefined)).toHaveLength(
      5,
    );
    // Two lists are none.
    expect(workflow.nodes.find(({ name }) => name === 'again')).toMatchObject({
      status: 'failed',
      reason: 'invalid-request',
    });
  });

  test.for<[what: string, wrote: object, used: object, reason: string]>([
    ['too much', sh('head -c 100 /dev/zero | tr "\\0" x'), { fromOutput: 'a', maxBytes: 99 }, 'too-large'],
    ['bytes that are no text', sh('printf "\\377"'), { fromOutput: 'a' }, 'invalid-request'],
    ['a NUL', sh('printf "a\\000b"'), { fromOutput: 'a' }, 'invalid-request'],
    ['no JSON', sh('echo {'), { fromOutput: 'a', json: '/x' }, 'invalid-request'],
    ['JSON without it', sh('echo {}'), { fromOutput: 'a', json: '/x' }, 'invalid-request'],
    ['more than is ever read', sh('head -c 2000000 /dev/zero'), { fromOutput: 'a', json: '' }, 'too-large'],
  ])('fails a node that was to be given %s, before it runs', async ([, wrote, used, reason]) => {
    const deps = await testWorker();
    const workflow = await toEnd(deps, { a: node(wrote), b: node({ argv: ['echo', used] }, { needs: ['a'] }) });
    expect(workflow.nodes[1]).toMatchObject({ status: 'failed', reason, command: null, detail: expect.any(String) });
    expect(await commandsOf(deps)).toHaveLength(1);
  });

  test('decides by what a node wrote and how it ended', async () => {
    const deps = await testWorker();
    const says = (equals: unknown) => ({ node: 'check', json: '/changed', equals });
    const workflow = await toEnd(deps, {
      check: node(sh(`echo '{"changed":true}'`)),
      yes: node(sh('exit 4'), { needs: ['check'], if: says(true), allowFailure: true }),
      no: node(sh('true'), { needs: ['check'], if: says(false) }),
      four: node(sh('true'), { needs: ['yes'], if: { node: 'yes', exitCode: 4 } }),
    });
    expect(told(workflow)).toBe('check:succeeded yes:failed no:skipped four:succeeded');
  });

  test('is canceled with all that runs of it', async () => {
    const deps = await testWorker();
    const made = await submit(deps, {
      nodes: { a: node(sh('sleep 60')), b: node(sh('true'), { needs: ['a'], if: 'always' }) },
    } as NewWorkflow);
    await expect.poll(async () => (await commandsOf(deps))[0]?.status).toBe('running');
    expect(await cancelWorkflow(deps, owner, made.id)).toMatchObject({ status: 'running', stopping: true });
    await cancelWorkflow(deps, owner, made.id);
    const workflow = await ended(deps, made);
    expect([workflow.status, told(workflow)]).toEqual(['canceled', 'a:canceled b:canceled']);
    expect((await commandsOf(deps)).map(({ status }) => status)).toEqual(['canceled']);
    await expect(cancelWorkflow(deps, owner, made.id)).rejects.toMatchObject({ code: 'already-final' });
    const events = (await deps.auditLog.pending(owner.tenant, 100)).map(({ event }) => event.type);
    // Of one moment, as the clock stands still.
    expect(events.filter((type) => type.startsWith('workflow.')).toSorted()).toEqual([
      'workflow.cancel-requested',
      'workflow.ended',
      'workflow.submitted',
    ]);
  });

  test('is resumed once for each generation, and keeps what had succeeded', async () => {
    const deps = await testWorker();
    const flag = `${tempDirectory()}/flag`;
    const made = await toEnd(deps, {
      a: run,
      b: node(sh('test -e "$1" || { touch "$1"; exit 1; }', flag), { needs: ['a'] }),
      c: node(sh('true'), { needs: ['b'] }),
    });
    expect(told(made)).toBe('a:succeeded b:failed c:skipped');
    const results = await Promise.allSettled([1, 2, 3].map(() => resumeWorkflow(deps, owner, made.id, 1)));
    expect(results.map((one) => one.status === 'fulfilled' && one.value.generation)).toEqual([2, 2, 2]);
    const workflow = await ended(deps, made);
    expect([told(workflow), workflow.generation]).toEqual(['a:succeeded b:succeeded c:succeeded', 2]);
    expect((await commandsOf(deps)).map((one) => one.workflow?.node).toSorted()).toEqual(['a', 'b', 'b', 'c']);
    expect((await resumeWorkflow(deps, owner, made.id, 1)).status).toBe('succeeded');
    await expect(resumeWorkflow(deps, owner, made.id)).rejects.toMatchObject({ code: 'conflict' });
    await expect(resumeWorkflow(deps, owner, made.id, 7)).rejects.toMatchObject({ code: 'conflict' });
  });

  test('that is submitted twice with one key is one', async () => {
    const deps = await idle();
    const nodes = { a: run } as NewWorkflow['nodes'];
    const [one, two] = [await submit(deps, { nodes }, 'key'), await submit(deps, { nodes }, 'key')];
    expect(two.id).toBe(one.id);
    await expect(submit(deps, { nodes, name: 'x' }, 'key')).rejects.toMatchObject({ code: 'idempotency-mismatch' });
  });

  test('is told live: all of it first, then each node that changes, and its end', async () => {
    const deps = await testWorker();
    const made = await submit(deps, { nodes: { a: run, b: node(sh('true'), { needs: ['a'] }) } } as NewWorkflow);
    const events: WorkflowEvent[] = [];
    const following = (async () => {
      for await (const event of await followWorkflow(deps, owner, made.id, {})) events.push(event);
    })();
    await following;
    expect(events[0]?.name).toMatch(/workflow|end/);
    expect(events.at(-1)).toMatchObject({ name: 'end', data: { status: 'succeeded' } });
    expect(events.every(({ name }) => name !== 'heartbeat')).toBe(true);
  });
});

describe('whatever crashes', () => {
  test.for(
    (['free', 'costly'] as const).flatMap((kind) => [1, 2, 3, 4, 5, 6, 7, 8].map((writes) => [kind, writes] as const)),
  )('with %s transactions, behind write %i: each node is submitted once', async ([atomicWrites, writes]) => {
    const clock = fakeClock();
    const store: Store = { ...sqliteStore({ file: ':memory:' }), atomicWrites };
    const survivor = await testWorker({ clock, store, work: false });
    let died = false;
    const mortal = dyingStore(store, writes, () => {
      died = true;
    });
    const victim = await testWorker({ clock, store: mortal, work: false, name: 'worker-2' });
    const each = node(sh('true', { fromItem: '' }), { forEach: { items: [1, 2, 3] } });
    const made = await submit(survivor, { nodes: { each, a: run } } as NewWorkflow);
    await sweepWorkflows(victim);
    await clock.advance(61_000);
    await sweepWorkflows(survivor);
    const commands = await commandsOf(survivor);
    expect(commands.map(({ workflow }) => `${workflow?.node} ${workflow?.item}`).toSorted()).toEqual([
      'a undefined',
      'each 0',
      'each 1',
      'each 2',
    ]);
    const { nodes } = await read(survivor, made);
    const known = nodes.flatMap(({ runs }) => runs.map(({ command }) => command));
    expect(known.toSorted()).toEqual(commands.map(({ id }) => id).toSorted());
    // Enough writes, and nobody dies.
    if (writes < 4) expect(died).toBe(true);
  });

  test('and however many look at once: each node is submitted once, and all of them end', async () => {
    const clock = fakeClock();
    const store = sqliteStore({ file: ':memory:' });
    const workers = await Promise.all(
      [1, 2, 3].map((n) => testWorker({ clock, store, work: false, name: `worker-${n}` })),
    );
    const [first] = workers as [TestWorker, ...TestWorker[]];
    const nodes = Object.fromEntries(
      Array.from({ length: 12 }, (_, n) => [`n${n}`, node(sh('true'), { needs: n < 4 ? [] : [`n${n - 4}`] })]),
    );
    const made = await submit(first, { nodes, concurrency: 3 } as NewWorkflow);
    const reference = workflowReferenceOf(owner.tenant, made.id);
    for (let turns = 0; (await read(first, made)).status === 'running'; turns++) {
      expect(turns).toBeLessThan(50);
      await Promise.all(workers.map((worker) => advanceWorkflow(worker, reference)));
      const running = (await commandsOf(first)).filter(({ status }) => status === 'queued');
      expect(running.length).toBeLessThanOrEqual(3);
      // Canceled from outside, which is an end as good as any; what needs it still runs.
      for (const { id } of running) await cancelCommand(first, owner, id);
    }
    expect((await commandsOf(first)).length).toBe(4);
    expect((await read(first, made)).counts).toMatchObject({ failed: 4, skipped: 8 });
  });

  test('a wake-up that is lost is made up for within a minute', async () => {
    const deps = await testWorker({ loses: () => true, work: false });
    const made = await submit(deps, { nodes: { a: run, b: node(sh('true'), { needs: ['a'] }) } } as NewWorkflow);
    expect(await sweepWorkflows(deps)).toBe(1);
    const [command] = await commandsOf(deps);
    await cancelCommand(deps, owner, command?.id as CommandId);
    expect(await sweepWorkflows(deps)).toBe(0);
    await deps.clock.advance(61_000);
    expect(await sweepWorkflows(deps)).toBe(1);
    expect(told(await read(deps, made))).toBe('a:failed b:skipped');
    expect(await deps.workflows.due(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
  });
});

describe('the time-out of the whole', () => {
  test('ends what runs, whether or not anything else happens', async () => {
    const deps = await idle();
    const made = await submit(deps, {
      nodes: { a: run, b: node(sh('true'), { needs: ['a'] }) },
      timeoutSeconds: 30,
    } as NewWorkflow);
    await sweepWorkflows(deps);
    await deps.clock.advance(31_000);
    await sweepWorkflows(deps);
    await deps.clock.advance(61_000);
    await sweepWorkflows(deps);
    expect(await read(deps, made)).toMatchObject({ status: 'timed_out' });
    expect((await commandsOf(deps)).map(({ status }) => status)).toEqual(['canceled']);
  });
});

describe('the rights', () => {
  const tenant = toTenantId('default');
  const member: Member = {
    ...{ id: 'mem_0000000000000001', kind: 'person', name: 'm', role: 'operator', scope: {}, disabled: false },
    ...{ createdAt: 0, createdBy: 'owner' },
  };
  const actor: Actor = { ...owner, id: member.id, role: 'operator', permissions: new Set(ROLES.operator) };
  const by = async (deps: TestWorker, workflow: object): Promise<WorkflowView> => {
    return (await submitWorkflow(deps, actor, { body: workflow as never })).view;
  };

  test('are those of whoever submitted it, at the time: of one that was disabled nothing more is run', async () => {
    const deps = await idle();
    await deps.principals.members.add(keys.member(tenant, member.id), member);
    const made = await by(deps, { nodes: { a: run, b: node(sh('true'), { needs: ['a'], if: 'always' }) } });
    await sweepWorkflows(deps);
    await deps.principals.members.change(keys.member(tenant, member.id), (one) => ({ ...one, disabled: true }));
    await cancelCommand(deps, owner, (await commandsOf(deps))[0]?.id as CommandId);
    await deps.clock.advance(61_000);
    await sweepWorkflows(deps);
    const { nodes, status } = await read(deps, made);
    expect([status, nodes[1]]).toEqual([
      'failed',
      expect.objectContaining({ reason: 'forbidden', detail: expect.stringContaining(member.id) }),
    ]);
    // Whoever resumes it owns it.
    await resumeWorkflow(deps, owner, made.id);
    await sweepWorkflows(deps);
    expect((await commandsOf(deps))[0]).toMatchObject({ submittedBy: 'owner', status: 'queued' });
  });

  test('are asked of nothing that was submitted already, by a process that died before it could say so', async () => {
    const clock = fakeClock();
    const store = sqliteStore({ file: ':memory:' });
    const survivor = await testWorker({ clock, store, work: false });
    await survivor.principals.members.add(keys.member(tenant, member.id), member);
    const made = await by(survivor, { nodes: { a: run } });
    // Behind the claim and the command itself.
    const mortal = dyingStore(store, 2);
    await sweepWorkflows(await testWorker({ clock, store: mortal, work: false, name: 'worker-2' }));
    const [command] = await commandsOf(survivor);
    await survivor.principals.members.change(keys.member(tenant, member.id), (one) => ({ ...one, disabled: true }));
    await clock.advance(61_000);
    await sweepWorkflows(survivor);
    expect((await read(survivor, made)).nodes).toMatchObject([{ status: 'running', command: command?.id }]);
  });

  test('a quota that is used up has it wait, not fail', async () => {
    const deps = await idle();
    await deps.principals.members.add(keys.member(tenant, member.id), member);
    const limits = { unfinishedCommands: 1 };
    await deps.principals.tenants.add(keys.tenant(tenant), {
      id: tenant,
      name: '',
      suspended: false,
      createdAt: 0,
      limits,
    });
    const made = await by(deps, { nodes: { a: run, b: run } });
    await sweepWorkflows(deps);
    expect(await commandsOf(deps)).toHaveLength(1);
    expect(told(await read(deps, made))).toBe('a:running b:running');
  });

  test('a quota that is used up has it looked at again in ten seconds, by one wake-up however many look', async () => {
    const deps = await idle();
    await deps.principals.members.add(keys.member(tenant, member.id), member);
    await deps.principals.tenants.add(keys.tenant(tenant), {
      ...{ id: tenant, name: '', suspended: false, createdAt: 0, limits: { unfinishedCommands: 1 } },
    });
    const delays: number[] = [];
    const queue: typeof deps.queue = {
      async send(wakeUp, options) {
        if (options?.delaySeconds) delays.push(options.delaySeconds);
        return deps.queue.send(wakeUp, options);
      },
    };
    const made = await by(deps, { nodes: { a: run, b: run, c: run } });
    const look = () => advanceWorkflow({ ...deps, queue }, workflowReferenceOf(tenant, made.id));
    for (let looks = 0; looks < 5; looks++) await Promise.all([look(), look()]);
    expect(delays).toEqual([10]);
    await deps.clock.advance(10_000);
    await Promise.all([look(), look()]);
    expect(delays).toEqual([10, 10]);
  });
});
