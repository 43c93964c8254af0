import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SubmitWorkflow } from '../../../shared/contract/workflow-schemas.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { faultsOf, orderOf } from '../../../shared/domain/workflow-graph.ts';
import { aNode } from '../../support/workflows.ts';

const argv = (...more: unknown[]) => ({ argv: ['true', ...more] });
const node = (over: object = {}) => ({ command: argv(), ...over });
const needing = (over: object) => ({ nodes: { a: node(), b: node({ needs: ['a'], ...over }) } });
const list = (length: number) => Array.from({ length }, (_, n) => n);

const faultsIn = (body: unknown): string[] => {
  const { error } = SubmitWorkflow.safeParse(body);
  return (error?.issues ?? []).map(({ path, message }) => `/${path.join('/')}: ${message}`);
};

test.for<[what: string, body: unknown]>([
  ['one node', { nodes: { a: node() } }],
  [
    'all that there is',
    {
      ...{ name: 'n', labels: { a: 'b' }, concurrency: 3, failFast: true, timeoutSeconds: 60 },
      nodes: {
        list: node(),
        'build_1-a': node({
          needs: ['list'],
          forEach: { fromOutput: 'list', as: 'json', json: '/items' },
          command: {
            ...argv({ fromItem: '/name', prefix: '--name=' }),
            stdin: { fromOutput: 'list' },
            retry: { maxAttempts: 2 },
          },
        }),
        report: node({
          needs: ['build_1-a', 'list'],
          if: { any: [{ node: 'build_1-a', is: ['failed', 'succeeded'] }, { all: [{ node: 'list', exitCode: 0 }] }] },
          command: {
            ...argv({ fromOutput: 'build_1-a' }),
            env: { LIST: { fromOutput: 'list', json: '/0', trim: false } },
          },
          allowFailure: true,
        }),
        constructor: node({ needs: ['report'], if: 'always' }),
      },
    },
  ],
  [
    'what is needed by what is needed',
    {
      nodes: {
        a: node(),
        b: node({ needs: ['a'] }),
        c: node({ needs: ['b'], command: argv({ fromOutput: 'a' }), if: { node: 'a', exitCode: 0 } }),
      },
    },
  ],
  [
    'a reference behind a shell’s script',
    needing({ command: { argv: ['sh', '-c', 'echo "$1"', 'sh', { fromOutput: 'a' }] } }),
  ],
])('%s is taken', ([, body]) => {
  expect(faultsIn(body)).toEqual([]);
});

test.for<[what: string, body: unknown, fault: string | RegExp]>([
  ['no node', { nodes: {} }, '/nodes: must have a node'],
  ['a name with a space', { nodes: { 'a b': node() } }, /^\/nodes\/a b: /],
  ['a name that is not there', { nodes: { a: node({ needs: ['b'] }) } }, '/nodes/a/needs/0: there is no node b'],
  [
    'a name of every object',
    { nodes: { a: node({ needs: ['toString'] }) } },
    '/nodes/a/needs/0: there is no node toString',
  ],
  ['itself', { nodes: { a: node({ needs: ['a'] }) } }, '/nodes/a/needs/0: is the node itself'],
  ['one twice', needing({ needs: ['a', 'a'] }), '/nodes/b/needs/1: names a twice'],
  [
    'a cycle',
    {
      nodes: {
        start: node(),
        a: node({ needs: ['start', 'c'] }),
        b: node({ needs: ['a'] }),
        c: node({ needs: ['b'] }),
        d: node({ needs: ['c'] }),
      },
    },
    '/nodes/a/needs: is a cycle: a → c → b → a',
  ],
  ['no program', { nodes: { a: { command: {} } } }, /^\/nodes\/a\/command\/argv: exactly one/],
  [
    'a program that is not known',
    needing({ command: { argv: [{ fromOutput: 'a' }] } }),
    /^\/nodes\/b\/command\/argv\/0: the program/,
  ],
  [
    'a script that is put together',
    needing({ command: { script: { fromOutput: 'a' } } }),
    /^\/nodes\/b\/command\/script: .*never as part of a script/,
  ],
  [
    'a shell’s script that another wrote',
    needing({ command: { argv: ['/bin/bash', '-ec', { fromOutput: 'a' }] } }),
    /^\/nodes\/b\/command\/argv\/2: would be read as a script/,
  ],
  [
    'input that nobody writes',
    { nodes: { a: node({ command: { ...argv(), stdin: 'open' } }) } },
    /^\/nodes\/a\/command\/stdin: must not be open/,
  ],
  [
    'what was not needed',
    { nodes: { a: node(), b: node({ command: argv({ fromOutput: 'a' }) }) } },
    /^\/nodes\/b\/command\/argv\/1\/fromOutput: names a, which it does not need/,
  ],
  [
    'an item of nothing',
    needing({ command: argv({ fromItem: '' }) }),
    /^\/nodes\/b\/command\/argv\/1\/fromItem: .*forEach only/,
  ],
  [
    'a list of nobody',
    needing({ needs: [], forEach: { fromOutput: 'a', as: 'lines' } }),
    /^\/nodes\/b\/forEach\/fromOutput: /,
  ],
  [
    'a condition on what was not needed',
    needing({ needs: [], if: { node: 'a', is: 'failed' } }),
    /^\/nodes\/b\/if\/node: /,
  ],
  [
    'a condition deep inside',
    needing({ if: { all: [{ any: [{ node: 'x', is: 'failed' }] }] } }),
    /^\/nodes\/b\/if\/all\/0\/any\/0\/node: /,
  ],
  [
    'the exit code of many',
    { nodes: { a: node({ forEach: { items: [1] } }), b: node({ needs: ['a'], if: { node: 'a', exitCode: 0 } }) } },
    /^\/nodes\/b\/if\/node: .*many results/,
  ],
  ['a condition of two kinds', needing({ if: { node: 'a', is: 'failed', exitCode: 1 } }), /^\/nodes\/b\/if/],
  ['JSON that equals nothing', needing({ if: { node: 'a', json: '/x' } }), /^\/nodes\/b\/if/],
  ['an expression', needing({ if: 'a.exitCode == 0' }), /^\/nodes\/b\/if/],
  ['an unknown field', { nodes: { a: node({ when: 'x' }) } }, /^\/nodes\/a: .*when/],
  [
    'too many items',
    { nodes: { a: node({ forEach: { items: list(LIMITS.workflowItems + 1) } }) } },
    /^\/nodes\/a\/forEach/,
  ],
  [
    'too many commands',
    { nodes: Object.fromEntries(list(3).map((n) => [`n${n}`, node({ forEach: { items: list(1_000) } })])) },
    '/nodes: asks for 3000 commands; at most 2000 are run',
  ],
  [
    'too many nodes',
    { nodes: Object.fromEntries(list(501).map((n) => [`n${n}`, node()])) },
    '/nodes: must have at most 500 entries',
  ],
])('%s is refused, and told where', ([, body, fault]) => {
  expect(faultsIn(body)).toContainEqual(typeof fault === 'string' ? fault : expect.stringMatching(fault));
});

describe('the order of a graph', () => {
  const edges = fc.array(fc.tuple(fc.nat(19), fc.nat(19)), { maxLength: 60 });
  const graphOf = (pairs: readonly (readonly [number, number])[]) =>
    Object.fromEntries(
      list(20).map((n) => [
        `n${n}`,
        aNode({
          needs: [...new Set(pairs.filter(([to, from]) => to === n && from !== n).map(([, from]) => `n${from}`))],
        }),
      ]),
    );

  test('has each node behind all that it needs, or a cycle is named that is one', () => {
    fc.assert(
      fc.property(edges, (pairs) => {
        const nodes = graphOf(pairs);
        const order = orderOf(nodes);
        const faults = faultsOf(nodes);
        expect(faults.length === 0).toBe(order.length === 20);
        for (const [index, name] of order.entries()) {
          for (const needed of nodes[name]?.needs ?? []) expect(order.indexOf(needed)).toBeLessThan(index);
        }
        const names = faults[0]?.detail.replace('is a cycle: ', '').split(' → ') ?? [];
        if (names.some((name) => name.startsWith('…'))) return;
        for (const [index, name] of names.slice(0, -1).entries()) {
          expect(nodes[name]?.needs).toContain(names[index + 1]);
        }
      }),
    );
  });
});
