import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CommandId } from '../../../shared/domain/ids.ts';
import type { Json } from '../../../shared/domain/json-pointer.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { orderOf } from '../../../shared/domain/workflow-graph.ts';
import {
  cancelWorkflow,
  type End,
  NOTHING_SEEN,
  resumeWorkflow,
  type Seen,
  stepWorkflow,
  stopRestored,
} from '../../../shared/domain/workflow-steps.ts';
import {
  type Condition,
  isEnded,
  type Plan,
  type PlannedNode,
  runKeyOf,
  type Workflow,
} from '../../../shared/domain/workflows.ts';
import { T0 } from '../../support/commands.ts';
import { aNode, aPlan, aWorkflow } from '../../support/workflows.ts';

/** Whoever performs the effects of steps, with commands that end as they are told. */
const machine = (plan: Plan, from: Workflow = aWorkflow(plan)) => {
  let workflow = from;
  let now = from.startedAt;
  const submitted: string[] = [];
  const keyByCommand = new Map<CommandId, string>();
  const open = new Set<string>();
  const answers = new Map<string, Json | undefined>();
  const lists = new Map<string, { count: number } | { refused: { reason: string; detail: string } }>();
  const refused = new Map<string, string>();
  const commandOf = (key: string) => `cmd_${workflow.generation}-${key}` as CommandId;
  const step = (seen: Partial<Seen> = {}): void => {
    const { next, effects } = stepWorkflow(plan, workflow, { ...NOTHING_SEEN, answers, lists, ...seen }, now);
    workflow = next;
    const submissions = new Map();
    for (const effect of effects) {
      if (effect.kind === 'cancel') {
        const key = keyByCommand.get(effect.command) ?? '';
        if (open.delete(key)) pending.set(key, { status: 'canceled', exitCode: null });
        continue;
      }
      const key = runKeyOf(effect.node, effect.item);
      const reason = refused.get(key);
      if (reason !== undefined) {
        submissions.set(key, { refused: { reason } });
        continue;
      }
      submitted.push(key);
      open.add(key);
      keyByCommand.set(commandOf(key), key);
      submissions.set(key, { command: commandOf(key) });
    }
    if (submissions.size > 0) step({ submissions });
  };
  const pending = new Map<string, End>();
  return {
    get workflow() {
      return workflow;
    },
    set workflow(next: Workflow) {
      workflow = next;
    },
    submitted,
    open,
    answers,
    lists,
    refused,
    step,
    /** Ends a command, and what was canceled. */
    end(key: string, status: End['status'] = 'succeeded', exitCode: number | null = status === 'succeeded' ? 0 : 1) {
      open.delete(key);
      pending.set(key, { status, exitCode });
      this.settle();
    },
    settle() {
      while (pending.size > 0) {
        const ends = new Map(pending);
        pending.clear();
        step({ ends });
      }
    },
    wait(ms: number) {
      now += ms;
    },
    told: () =>
      Object.entries(workflow.nodes)
        .map(([name, { status }]) => `${name}:${status}`)
        .join(' '),
  };
};

describe('a node', () => {
  test('runs once all that it needs has succeeded, and not before', () => {
    const run = machine(aPlan({ a: aNode(), b: aNode(), c: aNode({ needs: ['a', 'b'] }) }));
    run.step();
    expect(run.submitted).toEqual(['a/0', 'b/0']);
    run.end('a/0');
    expect(run.submitted).toEqual(['a/0', 'b/0']);
    run.end('b/0');
    expect(run.submitted).toEqual(['a/0', 'b/0', 'c/0']);
    run.end('c/0');
    expect(run.workflow).toMatchObject({ status: 'succeeded', endedAt: T0, dueAt: undefined });
  });

  test('that fails keeps what needs it from running, and nothing else', () => {
    const run = machine(aPlan({ a: aNode(), b: aNode({ needs: ['a'] }), c: aNode({ needs: ['b'] }), d: aNode() }));
    run.step();
    run.end('a/0', 'failed', 7);
    expect(run.workflow.status).toBe('running');
    run.end('d/0');
    expect(run.told()).toBe('a:failed b:skipped c:skipped d:succeeded');
    expect(run.workflow).toMatchObject({
      status: 'failed',
      nodes: { a: { exitCode: 7, reason: 'failed' }, b: { reason: 'condition' } },
    });
  });

  test.for(['failed', 'timed_out', 'expired', 'lost', 'canceled'] as const)(
    'of a command that %s has failed',
    (how) => {
      const run = machine(aPlan({ a: aNode() }));
      run.step();
      run.end('a/0', how, null);
      expect(run.workflow).toMatchObject({ status: 'failed', nodes: { a: { status: 'failed', reason: how } } });
    },
  );

  test('that was refused has failed, and says by what', () => {
    const run = machine(aPlan({ a: aNode() }));
    run.refused.set('a/0', 'policy-denied');
    run.step();
    expect(run.workflow).toMatchObject({ status: 'failed', nodes: { a: { reason: 'policy-denied' } } });
  });

  test('whose failure is allowed fails neither the workflow nor what needs it', () => {
    const run = machine(aPlan({ a: aNode({ allowFailure: true }), b: aNode({ needs: ['a'] }) }, { failFast: true }));
    run.step();
    run.end('a/0', 'failed');
    run.end('b/0');
    expect([run.told(), run.workflow.status]).toEqual(['a:failed b:succeeded', 'succeeded']);
  });
});

describe('a condition on what was needed', () => {
  const claim = (over: object) => ({ node: 'a', ...over }) as Condition;
  test.for<
    [what: Condition, ended: End['status'] | 'skipped', exitCode: number | null, answer: Json | undefined, boolean]
  >([
    ['always', 'failed', 1, undefined, true],
    ['succeeded', 'failed', 1, undefined, false],
    ['failed', 'failed', 1, undefined, true],
    ['failed', 'succeeded', 0, undefined, false],
    ['failed', 'skipped', null, undefined, false],
    [claim({ is: 'failed' }), 'failed', 1, undefined, true],
    [claim({ is: ['succeeded', 'failed'] }), 'failed', 1, undefined, true],
    [claim({ is: 'skipped' }), 'skipped', null, undefined, true],
    [claim({ is: 'succeeded', not: true }), 'skipped', null, undefined, true],
    [claim({ exitCode: 3 }), 'failed', 3, undefined, true],
    [claim({ exitCode: [0, 3] }), 'failed', 2, undefined, false],
    [claim({ exitCode: 0 }), 'skipped', null, undefined, false],
    [claim({ exitCode: 3 }), 'lost', null, undefined, false],
    [claim({ json: '/changed', equals: true }), 'succeeded', 0, { changed: true }, true],
    [claim({ json: '/changed', equals: true }), 'succeeded', 0, { changed: 'true' }, false],
    [claim({ json: '/a~1b/1', equals: ['x', 'y'] }), 'succeeded', 0, { 'a/b': ['w', 'y'] }, true],
    [claim({ json: '/constructor', equals: null, not: true }), 'succeeded', 0, {}, true],
    [claim({ json: '', equals: null }), 'succeeded', 0, null, true],
    [claim({ json: '/a', equals: 1 }), 'succeeded', 0, undefined, false],
    [claim({ json: '/a', equals: 1, not: true }), 'skipped', null, undefined, true],
    [
      { all: [claim({ is: 'failed' }) as never, { any: [claim({ exitCode: 1 }) as never] }] },
      'failed',
      1,
      undefined,
      true,
    ],
    [{ any: [claim({ is: 'skipped' }) as never, claim({ exitCode: 9 }) as never] }, 'failed', 1, undefined, false],
  ])('%j, when it %s with %s and said %j: %s', ([condition, ended, exitCode, answer, expected]) => {
    const skips = ended === 'skipped';
    const run = machine(
      aPlan({
        first: aNode(),
        a: aNode({ needs: ['first'], ...(skips ? { if: 'failed' as const } : {}) }),
        b: aNode({ needs: ['a'], if: condition }),
      }),
    );
    run.answers.set('a', answer);
    run.step();
    run.end('first/0');
    if (ended !== 'skipped') run.end('a/0', ended, exitCode);
    expect(run.submitted.includes('b/0')).toBe(expected);
    if (!expected) expect(run.workflow.nodes['b']).toMatchObject({ status: 'skipped', reason: 'condition' });
  });

  test('on what was written asks for it to be read, once all that is needed has ended', () => {
    const plan = aPlan({
      a: aNode(),
      b: aNode({ needs: ['a'], if: { node: 'a', json: '/x', equals: 1 } }),
    });
    const run = machine(plan);
    run.step();
    run.end('a/0');
    const stepped = stepWorkflow(plan, run.workflow, NOTHING_SEEN, T0);
    expect(stepped).toMatchObject({ next: run.workflow, unread: { answers: ['a'], lists: [] } });
    run.answers.set('a', { x: 1 });
    run.step();
    expect(run.submitted).toEqual(['a/0', 'b/0']);
  });
});

describe('a node for each of a list', () => {
  const items = (n: number) => ({ items: Array.from({ length: n }, (_, item) => item) });
  test('runs as many at once as may, and ends when all have', () => {
    const run = machine(aPlan({ a: aNode({ forEach: items(5) }), b: aNode({ needs: ['a'] }) }, { concurrency: 2 }));
    run.step();
    expect([...run.open]).toEqual(['a/0', 'a/1']);
    run.end('a/1');
    expect([...run.open]).toEqual(['a/0', 'a/2']);
    for (const n of [0, 2, 3, 4]) run.end(`a/${n}`);
    expect([...run.open]).toEqual(['b/0']);
  });

  test('fails when one does, after the others have ended', () => {
    const run = machine(aPlan({ a: aNode({ forEach: items(3) }) }));
    run.step();
    run.end('a/1', 'failed');
    expect(run.told()).toBe('a:running');
    run.end('a/0');
    run.end('a/2');
    expect(run.told()).toBe('a:failed');
  });

  test('of none has succeeded', () => {
    const run = machine(aPlan({ a: aNode({ forEach: items(0) }), b: aNode({ needs: ['a'] }) }));
    run.step();
    expect([run.told(), [...run.open]]).toEqual(['a:succeeded b:running', ['b/0']]);
  });

  const listed = aPlan({ a: aNode(), b: aNode({ needs: ['a'], forEach: { fromOutput: 'a', as: 'lines' } }) });
  test('that another wrote asks how long it is', () => {
    const run = machine(listed);
    run.step();
    run.end('a/0');
    expect(stepWorkflow(listed, run.workflow, NOTHING_SEEN, T0).unread).toEqual({ answers: [], lists: ['b'] });
    run.lists.set('b', { count: 2 });
    run.step();
    expect([...run.open]).toEqual(['b/0', 'b/1']);
  });

  test.for<[{ count: number } | { refused: { reason: string; detail: string } }, string]>([
    [{ refused: { reason: 'invalid-request', detail: 'no list' } }, 'invalid-request'],
    [{ count: LIMITS.workflowRuns + 1 }, 'too-large'],
  ])('that cannot be had fails it: %j', ([list, reason]) => {
    const run = machine(listed);
    run.lists.set('b', list);
    run.step();
    run.end('a/0');
    expect(run.workflow).toMatchObject({ status: 'failed', nodes: { b: { status: 'failed', reason } } });
  });
});

describe('fail-fast', () => {
  test('begins nothing more after a failure and cancels what runs, but of nodes that say themselves when they run', () => {
    const run = machine(
      aPlan(
        {
          early: aNode({ forEach: { items: [1, 2, 3] } }),
          bad: aNode(),
          later: aNode({ needs: ['early'] }),
          clean: aNode({ needs: ['early', 'bad'], if: 'always' }),
          tell: aNode({ needs: ['bad'], if: 'failed' }),
        },
        { failFast: true, concurrency: 2 },
      ),
    );
    run.step();
    // early takes both places until two of it have ended.
    run.end('early/0');
    run.end('early/1');
    expect([...run.open]).toEqual(['early/2', 'bad/0']);
    run.end('bad/0', 'failed');
    run.settle();
    expect(run.told()).toBe('early:canceled bad:failed later:skipped clean:running tell:running');
    run.end('clean/0');
    run.end('tell/0');
    expect(run.workflow.status).toBe('failed');
    expect(run.workflow.nodes['later']).toMatchObject({ reason: 'fail-fast' });
  });

  test('holds for one of many items too: those that have not begun never do', () => {
    const run = machine(aPlan({ a: aNode({ forEach: { items: [1, 2, 3, 4] } }) }, { failFast: true, concurrency: 2 }));
    run.step();
    run.end('a/0', 'failed');
    run.settle();
    expect([run.submitted, run.workflow.status]).toEqual([['a/0', 'a/1'], 'failed']);
  });
});

describe('a workflow that is stopped', () => {
  const plan = aPlan({ a: aNode(), b: aNode({ needs: ['a'], if: 'always' }) });
  test('by a cancel begins nothing more, cancels what runs, and is canceled once that has ended', () => {
    const run = machine(plan);
    run.step();
    run.workflow = cancelWorkflow(run.workflow, T0) as Workflow;
    expect(cancelWorkflow(run.workflow, T0)).toBeUndefined();
    run.step();
    expect(run.told()).toBe('a:running b:canceled');
    run.settle();
    expect([run.told(), run.workflow.status, run.submitted]).toEqual(['a:canceled b:canceled', 'canceled', ['a/0']]);
  });

  test('by its time-out is timed out', () => {
    const run = machine(plan);
    run.step();
    run.wait(3_600_000);
    run.step();
    run.settle();
    expect(run.workflow).toMatchObject({
      status: 'timed_out',
      nodes: { a: { status: 'canceled', reason: 'timed_out' } },
    });
  });

  test('when all had ended by itself shows no sign of it', () => {
    const run = machine(aPlan({ a: aNode() }));
    run.step();
    run.workflow = cancelWorkflow(run.workflow, T0) as Workflow;
    run.end('a/0');
    expect(run.workflow.status).toBe('succeeded');
  });

  test('withdraws what it had claimed, so that nothing of it runs that it does not know', () => {
    const claimed = stepWorkflow(plan, aWorkflow(plan), NOTHING_SEEN, T0).next;
    const stopped = cancelWorkflow(claimed, T0) as Workflow;
    expect(stepWorkflow(plan, stopped, NOTHING_SEEN, T0).effects).toEqual([{ kind: 'withdraw', node: 'a', item: 0 }]);
    const refused = new Map([['a/0', { refused: { reason: 'quota-exceeded' } }]]);
    expect(stepWorkflow(plan, stopped, { ...NOTHING_SEEN, submissions: refused }, T0).next).toMatchObject({
      status: 'canceled',
      nodes: { a: { status: 'canceled' } },
    });
  });

  test('by the restoration of a backup never submits what it had claimed: it may have run since', () => {
    const claimed = stepWorkflow(plan, aWorkflow(plan), NOTHING_SEEN, T0).next;
    const { next, effects } = stepWorkflow(plan, stopRestored(claimed, T0) as Workflow, NOTHING_SEEN, T0);
    expect(effects).toEqual([]);
    expect(next).toMatchObject({ status: 'canceled', nodes: { a: { status: 'failed', reason: 'lost' } } });
    expect(stopRestored(next, T0)).toBeUndefined();
  });
});

describe('a resumption', () => {
  const by = { member: 'other', scope: {} };
  test('runs again what did not succeed and what needs that, and keeps the rest', () => {
    const plan = aPlan({
      a: aNode(),
      unmet: aNode({ needs: ['a'], if: 'failed' }),
      kept: aNode({ needs: ['unmet'], if: 'always' }),
      b: aNode({ needs: ['a'] }),
      c: aNode({ needs: ['b'] }),
      clean: aNode({ needs: ['b'], if: 'always' }),
    });
    const run = machine(plan);
    run.step();
    run.end('a/0');
    run.end('kept/0');
    run.end('b/0', 'failed');
    run.end('clean/0');
    expect(run.told()).toBe('a:succeeded unmet:skipped kept:succeeded b:failed c:skipped clean:succeeded');
    const before = run.workflow.nodes;
    run.workflow = resumeWorkflow(plan, run.workflow, by, T0 + 1_000) as Workflow;
    expect(run.workflow).toMatchObject({ status: 'running', generation: 2, member: 'other', endedAt: undefined });
    expect(run.told()).toBe('a:succeeded unmet:skipped kept:succeeded b:waiting c:waiting clean:waiting');
    expect(run.workflow.nodes['a']).toEqual(before['a']);
    run.submitted.length = 0;
    run.step();
    run.end('b/0');
    run.end('c/0');
    run.end('clean/0');
    expect([run.submitted, run.workflow.status]).toEqual([['b/0', 'c/0', 'clean/0'], 'succeeded']);
    expect(resumeWorkflow(plan, run.workflow, by, T0)).toBeUndefined();
  });

  test('runs of many items those again that did not succeed', () => {
    const plan = aPlan({ a: aNode({ forEach: { items: [1, 2, 3] } }) });
    const run = machine(plan);
    run.step();
    run.end('a/0');
    run.end('a/1', 'failed');
    run.end('a/2');
    run.workflow = resumeWorkflow(plan, run.workflow, by, T0) as Workflow;
    run.submitted.length = 0;
    run.step();
    expect(run.submitted).toEqual(['a/1']);
    run.end('a/1');
    expect(run.workflow.status).toBe('succeeded');
  });

  test('has a time-out of its own', () => {
    const plan = aPlan({ a: aNode() });
    const run = machine(plan);
    run.step();
    run.end('a/0', 'failed');
    const resumed = resumeWorkflow(plan, run.workflow, by, T0 + 86_400_000) as Workflow;
    expect(resumed.deadlineAt).toBe(T0 + 86_400_000 + 3_600_000);
  });
});

test('someone looks each minute, and at the end of the time-out', () => {
  const plan = aPlan({ a: aNode() }, { timeoutSeconds: 100 });
  const first = stepWorkflow(plan, aWorkflow(plan), NOTHING_SEEN, T0).next;
  expect(first.dueAt).toBe(T0 + 60_000);
  // Before that nothing is written for it.
  expect(stepWorkflow(plan, first, NOTHING_SEEN, T0 + 59_000).next).toBe(first);
  expect(stepWorkflow(plan, first, NOTHING_SEEN, T0 + 61_000).next.dueAt).toBe(T0 + 100_000);
});

/** Any graph without cycles: nodes need only such as were named before. */
const graphs = fc
  .array(
    fc.record({
      needs: fc.array(fc.nat(30), { maxLength: 4 }),
      condition: fc.constantFrom<Condition | undefined>(undefined, undefined, undefined, 'always', 'failed'),
      items: fc.option(fc.nat(5), { freq: 4, nil: undefined }),
      allowFailure: fc.boolean(),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((drawn) =>
    Object.fromEntries(
      drawn.map(({ needs, condition, items, allowFailure }, index): [string, PlannedNode] => [
        `n${index}`,
        aNode({
          needs: index === 0 ? [] : [...new Set(needs.map((one) => `n${one % index}`))],
          if: condition,
          forEach: items === undefined ? undefined : { items: Array.from({ length: items }, (_, item) => item) },
          allowFailure,
        }),
      ]),
    ),
  );

const ENDS: readonly End['status'][] = ['succeeded', 'succeeded', 'succeeded', 'failed', 'lost', 'timed_out'];

test('whatever the graph and its results: every node ends, none begins before its needs or runs twice, and never more at once than may', () => {
  fc.assert(
    fc.property(
      graphs,
      fc.record({ concurrency: fc.integer({ min: 1, max: 6 }), failFast: fc.boolean(), cancelAfter: fc.nat(60) }),
      fc.infiniteStream(fc.nat(1_000_000)),
      (nodes, { concurrency, failFast, cancelAfter }, dice) => {
        const roll = (sides: number): number => dice.next().value % sides;
        const plan = aPlan(nodes, { concurrency, failFast });
        const run = machine(plan);
        const check = () => {
          expect(run.open.size).toBeLessThanOrEqual(concurrency);
          expect(new Set(run.submitted).size).toBe(run.submitted.length);
          for (const key of run.open) {
            const name = key.split('/')[0] ?? '';
            for (const needed of nodes[name]?.needs ?? []) {
              expect(isEnded(run.workflow.nodes[needed]?.status ?? 'waiting')).toBe(true);
            }
          }
        };
        run.step();
        for (let turns = 0; run.workflow.status === 'running'; turns++) {
          check();
          if (turns === cancelAfter) {
            run.workflow = cancelWorkflow(run.workflow, T0) ?? run.workflow;
            run.step();
            run.settle();
            continue;
          }
          const open = [...run.open];
          const key = open[roll(Math.max(1, open.length))];
          // Nothing runs, and nothing more would ever happen.
          if (key === undefined) run.settle();
          expect(key === undefined && run.workflow.status === 'running' && run.open.size === 0).toBe(false);
          if (key !== undefined) run.end(key, ENDS[roll(ENDS.length)]);
          // A look that sees nothing changes nothing.
          const same = stepWorkflow(plan, run.workflow, NOTHING_SEEN, T0);
          if (run.workflow.status === 'running') expect(same.next).toBe(run.workflow);
        }
        expect(Object.values(run.workflow.nodes).every(({ status }) => isEnded(status))).toBe(true);
        const resumed = resumeWorkflow(plan, run.workflow, { member: 'owner', scope: {} }, T0);
        if (!resumed) return;
        const kept = run.submitted.filter((one) => resumed.nodes[one.split('/')[0] ?? '']?.status === 'succeeded');
        run.submitted.length = 0;
        run.workflow = resumed;
        run.step();
        while (run.workflow.status === 'running') {
          const [key] = run.open;
          if (key === undefined) throw new Error('Nothing runs, and it has not ended');
          run.end(key);
        }
        // What had succeeded, and all that it hangs on, is not run again.
        expect(run.submitted.filter((one) => kept.includes(one))).toEqual([]);
        expect(run.workflow.status).toBe('succeeded');
      },
    ),
    { numRuns: 300 },
  );
});

test('500 nodes in a line and 500 beside each other are stepped in no time', () => {
  const line = Object.fromEntries(
    Array.from({ length: 500 }, (_, n) => [`n${n}`, aNode({ needs: n === 0 ? [] : [`n${n - 1}`] })]),
  );
  expect(orderOf(line)).toHaveLength(500);
  const run = machine(aPlan(line));
  run.step();
  for (let n = 0; n < 500; n++) run.end(`n${n}/0`);
  expect(run.workflow.status).toBe('succeeded');
});
