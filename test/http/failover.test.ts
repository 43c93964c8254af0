import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CommandView, TargetList } from '../../shared/contract/schemas.ts';
import { type Errand, openErrand, problemOf, sh } from '../support/errand.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const ID = `cmd_${'0'.repeat(26)}`;
const cloudRun = (name: string) => ({
  name,
  provider: 'cloud-run',
  config: {
    project: 'a-project',
    region: 'europe-west1',
    image: 'errand-base',
    serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
    // Nobody is there.
    endpoint: 'http://127.0.0.1:1',
  },
});

/** This machine, and two places elsewhere that nobody answers for. */
const open = async (): Promise<Errand> => {
  const dataDirectory = tempDirectory();
  const pools = [
    { name: 'here-first', targets: ['local', 'run-a'] },
    { name: 'elsewhere', targets: ['run-a', 'run-b'], by: 'weight', weights: { 'run-a': 3, 'run-b': 1 } },
  ];
  const targets = [cloudRun('run-a'), cloudRun('run-b')];
  writeFileSync(join(dataDirectory, 'targets.json'), JSON.stringify({ targets, pools }));
  return openErrand(dataDirectory);
};

describe('what cannot be failed over to', () => {
  test.for<[string, object, number, string, string]>([
    ['an unknown target', { failover: ['mars'] }, 400, 'invalid-request', '/failover/0'],
    ['an unknown target behind another', { failover: ['run-a', 'mars'] }, 400, 'invalid-request', '/failover/1'],
    ['the target itself', { target: 'local', failover: ['local'] }, 400, 'invalid-request', '/failover/0'],
    ['the default target itself', { failover: ['local'] }, 400, 'invalid-request', '/failover/0'],
    ['one twice', { failover: ['run-a', 'run-a'] }, 400, 'invalid-request', '/failover/1'],
    ['nothing', { failover: [] }, 400, 'invalid-request', '/failover'],
    ['more than five', { failover: ['a', 'b', 'c', 'd', 'e', 'f'] }, 400, 'invalid-request', '/failover'],
    ['text', { failover: 'run-a' }, 400, 'invalid-request', '/failover'],
    ['a number', { failover: [1] }, 400, 'invalid-request', '/failover/0'],
    ['an empty name', { failover: [''] }, 400, 'invalid-request', '/failover/0'],
    [
      'what gives no image',
      { target: 'run-a', failover: ['local'], image: 'other' },
      422,
      'unsupported-by-target',
      '/failover/0',
    ],
    [
      'weaker walls',
      { target: 'run-a', failover: ['local'], isolation: 'microvm' },
      422,
      'isolation-unavailable',
      '/failover/0',
    ],
    [
      'what cannot run so long',
      { failover: ['run-a'], timeoutSeconds: 604_800 },
      422,
      'unsupported-by-target',
      '/failover/0',
    ],
  ])('%s is refused with a pointer, and nothing is stored', async ([, body, status, code, pointer]) => {
    const errand = await open();
    const response = await errand.request('POST', '/v1/commands', { argv: ['true'], ...body });
    const problem = await problemOf(response);
    expect([response.status, problem.code]).toEqual([status, code]);
    expect(problem.errors?.map((fault) => fault.pointer).join()).toContain(pointer);
    expect(await (await errand.request('GET', '/v1/commands')).json()).toEqual({ items: [] });
  });
});

describe('a command with failover', () => {
  test('runs where it is first to, and tells where else it could have', async () => {
    const errand = await open();
    const command = await errand.submit({ ...sh('echo here'), failover: ['run-a'] });
    expect(command).toMatchObject({ status: 'succeeded', target: 'local', failover: ['run-a'], stdout: 'here\n' });
    expect(command.attempts).toMatchObject([{ target: 'local' }]);
  });

  test('runs on this machine when the place elsewhere does not answer', async () => {
    const errand = await open();
    const command = await errand.submit({ ...sh('echo here'), target: 'run-a', failover: ['local'] });
    expect(command).toMatchObject({
      status: 'succeeded',
      stdout: 'here\n',
      attempts: [
        { target: 'run-a', status: 'expired' },
        { target: 'local', status: 'succeeded' },
      ],
    });
  });

  test('is replayed with it, or with another', async () => {
    const errand = await open();
    const { id } = await errand.submit({ ...sh('true'), failover: ['run-a'] });
    const replay = async (body: object): Promise<CommandView> =>
      (await (await errand.request('POST', `/v1/commands/${id}/replay`, body)).json()) as CommandView;
    expect((await replay({})).failover).toEqual(['run-a']);
    expect((await replay({ failover: ['run-b'] })).failover).toEqual(['run-b']);
  });
});

describe('a pool', () => {
  test('is named like a target, listed as a pool, and taken by its rule', async () => {
    const errand = await open();
    const command = await errand.submit({ ...sh('true'), target: 'here-first' });
    expect(command).toMatchObject({ status: 'succeeded', target: 'here-first', attempts: [{ target: 'local' }] });
    const { items, pools } = (await (await errand.request('GET', '/v1/providers')).json()) as TargetList;
    expect(pools).toEqual([
      { pool: 'here-first', targets: ['local', 'run-a'], by: 'order' },
      { pool: 'elsewhere', targets: ['run-a', 'run-b'], by: 'weight', weights: { 'run-a': 3, 'run-b': 1 } },
    ]);
    expect(items.map(({ target, state, pricePerHour }) => [target, state, pricePerHour])).toEqual([
      ['local', 'healthy', 0],
      ['run-a', 'healthy', 0.0684],
      ['run-b', 'healthy', 0.0684],
    ]);
    const listed = await (await errand.request('GET', '/v1/commands?target=here-first')).json();
    expect(listed).toMatchObject({ items: [{ id: command.id }] });
  });

  test('of which some can do what is asked is of those; where none can it is refused', async () => {
    const errand = await open();
    const submitted = await errand.request('POST', '/v1/commands', {
      ...sh('true'),
      target: 'here-first',
      timeoutSeconds: 604_800,
    });
    expect(submitted.status).toBe(202);
    const refused = await errand.request('POST', '/v1/commands', {
      ...sh('true'),
      target: 'elsewhere',
      timeoutSeconds: 604_800,
    });
    expect([refused.status, (await problemOf(refused)).errors?.[0]?.pointer]).toEqual([422, '/timeoutSeconds']);
  });
});

describe('who may use it', () => {
  /** As a member whose credential is limited to these names. */
  const asScoped = async (errand: Errand, ...targets: string[]) => {
    const post = async (path: string, body: object) =>
      (await (await errand.request('POST', path, body)).json()) as { id: string; key: string };
    const { id } = await post('/v1/members', { name: 'one', role: 'operator' });
    const { key } = await post('/v1/api-keys', { name: 'k', member: id, scope: { targets } });
    return (method: string, path: string, body?: unknown) =>
      errand.request(method, path, body, { authorization: `Bearer ${key}` });
  };

  test.for<[string, string[], object, number]>([
    ['a target of the scope', ['local'], {}, 202],
    ['failover within the scope', ['local', 'run-a'], { failover: ['run-a'] }, 202],
    ['failover beyond the scope', ['local'], { failover: ['run-a'] }, 400],
    ['a pool of the scope, with its targets', ['here-first'], { target: 'here-first' }, 202],
    ['a pool beyond the scope, though its targets are in it', ['local', 'run-a'], { target: 'here-first' }, 400],
    ['a target of a pool of the scope, by its own name', ['here-first'], { target: 'local' }, 400],
  ])('is told by the scope: %s', async ([, names, body, status]) => {
    const call = await asScoped(await open(), ...names);
    const response = await call('POST', '/v1/commands', { ...sh('true'), ...body });
    expect(response.status).toBe(status);
  });

  test.for<[string, object, object, number]>([
    ['a denied target of its failover', { effect: 'deny', targets: ['run-b'] }, { failover: ['run-a', 'run-b'] }, 403],
    ['one that is not denied', { effect: 'deny', targets: ['run-b'] }, { failover: ['run-a'] }, 202],
    ['a denied target of its pool', { effect: 'deny', targets: ['run-b'] }, { target: 'elsewhere' }, 403],
    ['a denied pool', { effect: 'deny', targets: ['elsewhere'] }, { target: 'elsewhere' }, 403],
    [
      'a target of a denied pool, by its own name',
      { effect: 'deny', targets: ['elsewhere'] },
      { target: 'run-a' },
      202,
    ],
  ])('is told by the policy about each target that it may land on: %s', async ([, rule, body, status]) => {
    const errand = await open();
    const policy = { default: 'allow', rules: [{ name: 'not-there', ...rule }] };
    expect((await errand.request('POST', '/v1/policies', { policy })).status).toBe(201);
    const response = await errand.request('POST', '/v1/commands', { ...sh('true'), ...body });
    expect(response.status).toBe(status);
    if (status === 403) expect((await problemOf(response)).detail).toMatch(/not-there.*on the target run-/);
  });

  test('is let in by an allowed pool, in a policy that denies the rest', async () => {
    const errand = await open();
    const rules = [{ name: 'pool', effect: 'allow', targets: ['here-first'] }];
    await errand.request('POST', '/v1/policies', { policy: { default: 'deny', rules } });
    const statusOf = async (target: string) =>
      (await errand.request('POST', '/v1/commands', { ...sh('true'), target })).status;
    expect([await statusOf('here-first'), await statusOf('local')]).toEqual([202, 403]);
  });
});

describe('a move over HTTP', () => {
  test.for<[string, string, unknown, number, string]>([
    ['of an unknown command', ID, { target: 'run-a' }, 404, '/id'],
    ['to nowhere', ID, {}, 400, '/target'],
    ['to an empty name', ID, { target: '' }, 400, '/target'],
    ['with more than a target', ID, { target: 'run-a', now: true }, 400, '/now'],
  ])('%s is refused', async ([, id, body, status, pointer]) => {
    const errand = await open();
    const response = await errand.request('POST', `/v1/commands/${id}/move`, body);
    expect([response.status, (await problemOf(response)).errors?.map((fault) => fault.pointer)]).toEqual([
      status,
      [pointer],
    ]);
  });

  test('of what runs and must not run twice is a conflict that says what to do', async () => {
    const errand = await open();
    const { id } = await errand.submit({ ...sh('echo ready; sleep 60'), failover: ['run-a'] }, {});
    while ((await errand.get(id)).status !== 'running') await new Promise((wake) => setTimeout(wake, 20));
    const response = await errand.request('POST', `/v1/commands/${id}/move`, { target: 'run-a' });
    expect([response.status, (await problemOf(response)).detail]).toEqual([
      409,
      expect.stringContaining('Cancel it, and replay it with target run-a.'),
    ]);
    expect((await errand.request('POST', `/v1/commands/${id}/move`, { target: 'local' })).status).toBe(202);
    await errand.request('POST', `/v1/commands/${id}/cancel`);
    expect((await errand.get(id, 30)).status).toBe('canceled');
    expect((await errand.request('POST', `/v1/commands/${id}/move`, { target: 'run-a' })).status).toBe(409);
  });
});
