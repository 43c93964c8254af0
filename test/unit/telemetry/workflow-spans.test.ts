import { describe, expect, test } from 'vitest';
import { parentOf } from '../../../shared/domain/trace-context.ts';
import type { NodeState, Workflow } from '../../../shared/domain/workflows.ts';
import { nodeContextOf, workflowSpansOf } from '../../../shared/telemetry/workflow-spans.ts';
import { T0 } from '../../support/commands.ts';
import { aNode, aPlan, aWorkflow } from '../../support/workflows.ts';

const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'vendor=1' };
const UNSAMPLED = { ...TRACE, traceparent: TRACE.traceparent.replace(/01$/, '00') };

const of = (a: NodeState, over: Partial<Workflow> = {}): Workflow =>
  aWorkflow(aPlan({ a: aNode() }), { trace: TRACE, nodes: { a }, ...over });
const running = of({ status: 'running', startedAt: T0 + 1 });
const over = (status: Workflow['status'], at = T0 + 9) => ({ status, endedAt: at });

/** Each as `name from-to status, and how it failed`. */
const told = (before: Workflow, after: Workflow): string[] =>
  workflowSpansOf(before, after).map(({ name, startedAt, endedAt, attributes, failure = '' }) =>
    `${name} ${startedAt - T0}-${endedAt - T0} ${attributes['errand.status']} ${failure}`.trim(),
  );

describe('what is told of a workflow', () => {
  test.for<[string, Workflow, Workflow, readonly string[]]>([
    ['a node that goes on', running, of({ status: 'running', startedAt: T0 + 1, runs: [] }), []],
    [
      'a node that ended',
      running,
      of({ status: 'succeeded', startedAt: T0 + 1, endedAt: T0 + 5 }),
      ['node 1-5 succeeded'],
    ],
    [
      'the last one, and with it the workflow',
      running,
      of({ status: 'failed', reason: 'lost', startedAt: T0 + 1, endedAt: T0 + 9 }, over('failed')),
      ['node 1-9 failed lost', 'workflow 0-9 failed failed'],
    ],
    [
      'a node that failed before it began',
      of({ status: 'waiting' }),
      of({ status: 'failed', reason: 'too-large', endedAt: T0 + 5 }),
      ['node 5-5 failed too-large'],
    ],
    [
      'a node that was skipped',
      of({ status: 'waiting' }),
      of({ status: 'skipped', reason: 'condition', endedAt: T0 + 9 }, over('succeeded')),
      ['workflow 0-9 succeeded'],
    ],
    [
      'what was canceled did what was asked of it',
      running,
      of({ status: 'canceled', reason: 'canceled', startedAt: T0 + 1, endedAt: T0 + 9 }, over('canceled')),
      ['node 1-9 canceled', 'workflow 0-9 canceled'],
    ],
    [
      'a time-out',
      running,
      of({ status: 'canceled', startedAt: T0 + 1, endedAt: T0 + 9 }, over('timed_out')),
      ['node 1-9 canceled', 'workflow 0-9 timed_out timed_out'],
    ],
    [
      'a clock that is behind another’s',
      running,
      of({ status: 'succeeded', startedAt: T0 + 1, endedAt: T0 - 5 }, over('succeeded', T0 - 5)),
      ['node 1-1 succeeded', 'workflow 0-0 succeeded'],
    ],
    [
      'nothing twice',
      of({ status: 'succeeded', startedAt: T0 + 1, endedAt: T0 + 5 }),
      of({ status: 'succeeded', startedAt: T0 + 1, endedAt: T0 + 5 }),
      [],
    ],
    [
      'nothing where it belongs to no trace',
      running,
      of({ status: 'succeeded', startedAt: T0 + 1, endedAt: T0 + 9 }, { ...over('succeeded'), trace: undefined }),
      [],
    ],
  ])('%s', ([, before, after, expected]) => {
    expect(told(before, after)).toEqual(expected);
  });

  test('lies in the trace that it was submitted within, each generation with ids of its own', () => {
    const spansOf = (generation: number) =>
      workflowSpansOf(
        of(running.nodes['a'] as NodeState, { generation }),
        of({ status: 'succeeded', startedAt: T0, endedAt: T0 }, { ...over('succeeded'), generation }),
      );
    const spans = [...spansOf(1), ...spansOf(2)];
    expect(new Set(spans.map(({ at }) => at.traceId))).toEqual(new Set([parentOf(TRACE).traceId]));
    expect(new Set(spans.map(({ at }) => at.spanId)).size).toBe(4);
    const [node, workflow, nodeAgain, workflowAgain] = spans;
    expect([node?.parentSpanId, nodeAgain?.parentSpanId]).toEqual([workflow?.at.spanId, workflowAgain?.at.spanId]);
    expect([workflow?.parentSpanId, workflowAgain?.parentSpanId]).toEqual(Array(2).fill(parentOf(TRACE).spanId));
    expect(node?.attributes).toEqual({
      'errand.workflow.id': running.id,
      'errand.tenant.id': 'default',
      'errand.workflow.generation': 1,
      'errand.workflow.node': 'a',
      'errand.status': 'succeeded',
    });
  });
});

describe('what a node’s commands belong to', () => {
  test('is its span', () => {
    const ended = of({ status: 'succeeded', startedAt: T0, endedAt: T0 });
    const context = nodeContextOf(running, 'a', true);
    expect(context?.tracestate).toBe('vendor=1');
    expect(context && parentOf(context)).toEqual(workflowSpansOf(running, ended)[0]?.at);
  });

  test.for<[string, Workflow, boolean]>([
    ['no spans are told of', running, false],
    ['the caller records none', { ...running, trace: UNSAMPLED }, true],
    ['there is no trace', { ...running, trace: undefined }, true],
  ])('is what the workflow was told, where %s', ([, workflow, isTold]) => {
    expect(nodeContextOf(workflow, 'a', isTold)).toBe(workflow.trace);
  });
});
