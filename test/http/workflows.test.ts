import { describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import type { WorkflowView } from '../../shared/contract/workflow-schemas.ts';
import { type Errand, openErrand, problemOf, sh } from '../support/errand.ts';

const node = (script = 'true', over: object = {}) => ({ command: sh(script), ...over });
const post = (errand: Errand, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  errand.request('POST', '/v1/workflows', body, headers);
const make = async (errand: Errand, nodes: object, headers = {}): Promise<WorkflowView> => {
  const response = await post(errand, { nodes }, headers);
  expect(response.status).toBe(202);
  return (await response.json()) as WorkflowView;
};
const get = async (errand: Errand, id: string, headers = {}): Promise<WorkflowView> =>
  (await (await errand.request('GET', `/v1/workflows/${id}`, undefined, headers)).json()) as WorkflowView;
const ended = async (errand: Errand, id: string): Promise<WorkflowView> => {
  await expect.poll(async () => (await get(errand, id)).status, { timeout: 20_000 }).not.toBe('running');
  return get(errand, id);
};

describe('POST /v1/workflows', () => {
  test('answers with the workflow, where it is, and the same for the same key', async () => {
    const errand = await openErrand();
    const body = { name: 'n', labels: { a: 'b' }, nodes: { b: node('true', { needs: ['a'] }), a: node() } };
    const response = await post(errand, body, { 'idempotency-key': 'once' });
    const made = (await response.json()) as WorkflowView;
    expect([response.status, response.headers.get('location')]).toEqual([202, `/v1/workflows/${made.id}`]);
    expect(made).toMatchObject({
      ...{ name: 'n', status: 'running', generation: 1, labels: { a: 'b' }, member: 'owner', endedAt: null },
      nodes: [
        { name: 'a', needs: [], status: 'waiting', command: null, runs: [] },
        { name: 'b', needs: ['a'], status: 'waiting' },
      ],
    });
    const again = await post(errand, body, { 'idempotency-key': 'once' });
    expect([(await again.json()) as object, again.headers.get('idempotent-replayed')]).toEqual([
      expect.objectContaining({ id: made.id }),
      'true',
    ]);
    const other = await post(errand, { ...body, name: 'm' }, { 'idempotency-key': 'once' });
    expect(await problemOf(other)).toMatchObject({ status: 422, code: 'idempotency-mismatch' });
    const workflow = await ended(errand, made.id);
    expect(workflow).toMatchObject({ status: 'succeeded', counts: { succeeded: 2 } });
    const command = await errand.get(workflow.nodes[1]?.command ?? '');
    expect(command).toMatchObject({ workflow: { id: made.id, node: 'b' }, labels: { a: 'b' } });
  });

  test.for<[what: string, body: object, pointer: string]>([
    ['an unknown name', { nodes: { a: node('true', { needs: ['b'] }) } }, '/nodes/a/needs/0'],
    [
      'an unknown target',
      { nodes: { a: { command: { argv: ['true'], target: 'nowhere' } } } },
      '/nodes/a/command/target',
    ],
    [
      'an unknown secret',
      { nodes: { a: { command: { argv: ['true'], secrets: { A: 'secret:b' } } } } },
      '/nodes/a/command/secrets/A',
    ],
    ['a name with a slash', { nodes: { 'a/b': node() } }, '/nodes/a~1b'],
    ['an expression', { nodes: { a: node('true', { if: 'always()' }) } }, '/nodes/a/if'],
  ])('refuses %s, says where, and stores nothing', async ([, body, pointer]) => {
    const errand = await openErrand();
    const refused = await problemOf(await post(errand, body));
    expect(refused).toMatchObject({
      status: 400,
      errors: expect.arrayContaining([expect.objectContaining({ pointer })]),
    });
    expect(await (await errand.request('GET', '/v1/workflows')).json()).toEqual({ items: [] });
  });

  test.for(['deny', 'approval'])(
    'is refused as a whole for one command that the policy answers by: %s',
    async (effect) => {
      const errand = await openErrand();
      const policy = { default: 'allow', rules: [{ name: 'no', effect, programs: ['rm'] }] };
      await errand.request('POST', '/v1/policies', { policy });
      const response = await post(errand, {
        nodes: { a: node(), b: { command: { argv: ['rm', 'x'] }, needs: ['a'] } },
      });
      expect(await problemOf(response)).toMatchObject({
        ...{ status: 403, code: 'policy-denied' },
        errors: [{ pointer: '/nodes/b/command/argv' }],
      });
    },
  );

  test('a command that is known only later is decided about then, in full', async () => {
    const errand = await openErrand();
    const policy = {
      default: 'allow',
      rules: [{ name: 'no', effect: 'deny', programs: ['echo'], anyArgument: ['secret-place'] }],
    };
    const applied = await errand.request('POST', '/v1/policies', { policy });
    expect(applied.status).toBe(201);
    const { id } = await make(errand, {
      a: node('printf secret-place'),
      b: { command: { argv: ['echo', { fromOutput: 'a' }] }, needs: ['a'] },
    });
    const { nodes } = await ended(errand, id);
    expect(nodes[1]).toMatchObject({ status: 'failed', reason: 'policy-denied', command: null });
  });
});

describe('a workflow', () => {
  test('is followed live by the SDK, canceled, resumed and listed', async () => {
    const errand = await openErrand();
    const client = makeClient({ url: errand.url, fetch: errand.fetch });
    const { id } = await client.submitWorkflow({ nodes: { a: node(), b: node('sleep 60', { needs: ['a'] }) } });
    const told: string[] = [];
    for await (const event of client.followWorkflow(id)) {
      if (event.type === 'node') told.push(`${event.node.name} ${event.node.status}`);
      if (event.type === 'node' && event.node.name === 'b' && event.node.command) await client.cancelWorkflow(id);
      if (event.type === 'end') told.push(event.workflow.status);
    }
    expect(told).toContain('b running');
    expect(told.at(-1)).toBe('canceled');
    const conflict = await errand.request('POST', `/v1/workflows/${id}/cancel`);
    expect(await problemOf(conflict)).toMatchObject({ status: 409, code: 'already-final' });
    const resumed = await client.resumeWorkflow(id, 1);
    expect(resumed).toMatchObject({ generation: 2, status: 'running' });
    expect(await client.resumeWorkflow(id, 1)).toMatchObject({ generation: 2 });
    await client.cancelWorkflow(id);
    await ended(errand, id);
    await make(errand, { only: node() });
    const listed = async (status?: WorkflowView['status']) => {
      const ids: string[] = [];
      for await (const one of client.listWorkflows({ status })) ids.push(one.id);
      return ids;
    };
    expect(await listed('canceled')).toEqual([id]);
    expect((await listed())[1]).toBe(id);
    const workflow = await client.runWorkflow({ nodes: { bad: node('exit 1') } });
    expect(workflow).toMatchObject({ status: 'failed', nodes: [{ exitCode: 1 }] });
  });

  test('beyond a caller’s scope is not there, and within it carries its labels', async () => {
    const errand = await openErrand();
    const keyOf = async (team: string) => {
      const made = await errand.request('POST', '/v1/api-keys', { name: team, scope: { labels: { team } } });
      return { authorization: `Bearer ${((await made.json()) as { key: string }).key}` };
    };
    const [a, b] = [await keyOf('a'), await keyOf('b')];
    const { id, labels } = await make(errand, { a: node() }, a);
    expect(labels).toEqual({ team: 'a' });
    for (const [method, more] of [
      ['GET', ''],
      ['GET', '/events'],
      ['POST', '/cancel'],
      ['POST', '/resume'],
    ] as const) {
      expect((await errand.request(method, `/v1/workflows/${id}${more}`, undefined, b)).status).toBe(404);
    }
    const listed = async (headers: Record<string, string>) =>
      ((await (await errand.request('GET', '/v1/workflows', undefined, headers)).json()) as { items: WorkflowView[] })
        .items;
    expect(await listed(b)).toEqual([]);
    expect((await listed(a)).map((one) => one.id)).toEqual([id]);
    const other = await post(errand, { nodes: { a: { command: { argv: ['true'], labels: { team: 'a' } } } } }, b);
    expect(await problemOf(other)).toMatchObject({
      status: 403,
      errors: [{ pointer: '/nodes/a/command/labels/team' }],
    });
  });

  test('shows no value of an environment and no input of its commands', async () => {
    const errand = await openErrand();
    const command = { ...sh('true'), env: { A: 'a-value-nobody-sees' }, stdin: 'typed-by-nobody' };
    const response = await post(errand, { nodes: { a: { command } } });
    const text = await response.text();
    const { id } = JSON.parse(text) as WorkflowView;
    const all = text + JSON.stringify(await ended(errand, id));
    expect(all).not.toMatch(/a-value-nobody-sees|typed-by-nobody/);
  });

  test('tells its events to who may read events', async () => {
    const errand = await openErrand();
    const { id } = await make(errand, { a: node() });
    await ended(errand, id);
    const { items } = (await (await errand.request('GET', '/v1/events')).json()) as {
      items: { type: string; subject: string; data: object }[];
    };
    expect(items.filter(({ subject }) => subject === id).map(({ type, data }) => [type, data])).toEqual([
      ['workflow.submitted', { id, nodes: 1 }],
      [
        'workflow.completed',
        { id, status: 'succeeded', generation: 1, succeeded: 1, failed: 0, skipped: 0, canceled: 0 },
      ],
    ]);
    const submitted = items.find(({ type }) => type === 'command.submitted');
    expect(submitted?.data).toMatchObject({ workflow: id, node: 'a' });
  });
});
