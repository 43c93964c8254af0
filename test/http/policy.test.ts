import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Embedded } from '../../local/embedded.ts';
import { openWatched } from '../support/errand.ts';
import { sharedDirectory } from '../support/temp-directory.ts';

const dataDirectory = sharedDirectory();
let embedded: Embedded;
let tenants = 0;

beforeAll(async () => {
  embedded = await openWatched({ dataDirectory, work: true });
});
afterAll(() => embedded.close());

type Call = Awaited<ReturnType<typeof openTenant>>['admin'];

const callAs =
  (key?: string) =>
  async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await embedded.fetch(`${embedded.url}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? {} : JSON.parse(text)) as Record<string, never>,
    };
  };

/** A tenant with an admin, and members of other roles. */
const openTenant = async () => {
  const id = `tenant-${++tenants}`;
  const admin = callAs((await callAs()('POST', '/v1/tenants', { id, name: id })).body['key']);
  const memberOf = async (role: string) => {
    const member = (await admin('POST', '/v1/members', { name: role, role })).body['id'];
    return callAs((await admin('POST', '/v1/api-keys', { name: 'k', member })).body['key']);
  };
  return {
    admin,
    operator: await memberOf('operator'),
    agent: await memberOf('agent'),
    apply: (policy: object, more: object = {}) => admin('POST', '/v1/policies', { policy, ...more }),
  };
};
const submit = (call: Call, body: object, headers: Record<string, string> = {}) =>
  call('POST', '/v1/commands', body, headers);

describe('a policy', () => {
  test('refuses what it denies, by name of the rule, with a pointer, and nothing is stored', async () => {
    const { operator, apply } = await openTenant();
    const applied = await apply({
      default: 'allow',
      rules: [{ name: 'no-rm', effect: 'deny', programs: ['rm'], reason: 'files are dear' }],
    });
    expect(applied).toMatchObject({ status: 201, body: { version: 1, present: true } });
    const refused = await submit(operator, { script: 'cd / && rm -rf *' });
    expect(refused).toMatchObject({ status: 403, body: { code: 'policy-denied', errors: [{ pointer: '/script' }] } });
    expect(refused.body['detail']).toContain('The rule no-rm denies "rm": files are dear.');
    expect((await operator('GET', '/v1/commands')).body['items']).toEqual([]);
  });

  test('stands in the record of what it let in', async () => {
    const { operator, apply } = await openTenant();
    await apply({ default: 'deny', rules: [{ name: 'echo', effect: 'allow', programs: ['echo'] }] });
    expect(await submit(operator, { argv: ['echo', 'x'] })).toMatchObject({
      status: 202,
      body: { policy: { version: 1, rule: 'echo' } },
    });
  });

  test('holds from the next submission on, and for replays of what an earlier one let in', async () => {
    const { operator, apply } = await openTenant();
    const first = await submit(operator, { argv: ['true'] });
    expect(first.status).toBe(202);
    expect(first.body).not.toHaveProperty('policy');
    await apply({ default: 'deny', rules: [] });
    expect((await submit(operator, { argv: ['true'] })).status).toBe(403);
    expect((await operator('POST', `/v1/commands/${first.body['id']}/replay`, {})).body['code']).toBe('policy-denied');
    await apply({ default: 'allow', rules: [] });
    expect((await submit(operator, { argv: ['true'] })).status).toBe(202);
  });

  test('what was accepted is answered as it was when it is sent again with its key, whatever holds now', async () => {
    const { operator, apply } = await openTenant();
    const key = { 'idempotency-key': 'one' };
    const first = await submit(operator, { argv: ['true'] }, key);
    await apply({ default: 'deny', rules: [] });
    const again = await submit(operator, { argv: ['true'] }, key);
    expect([again.status, again.body['id']]).toEqual([202, first.body['id']]);
    expect((await submit(operator, { argv: ['false'] }, key)).body['code']).toBe('idempotency-mismatch');
    expect((await submit(operator, { argv: ['true'] }, { 'idempotency-key': 'two' })).status).toBe(403);
  });

  test('has versions that are listed, read and restored, never changed', async () => {
    const { admin, apply } = await openTenant();
    await apply({ default: 'deny', rules: [] }, { comment: 'closed' });
    await apply({ default: 'allow', rules: [] });
    const restored = await admin('POST', '/v1/policies/1/restore', {});
    expect(restored).toMatchObject({ status: 201, body: { version: 3, restored: 1, policy: { default: 'deny' } } });
    expect((await admin('GET', '/v1/policies/current')).body).toMatchObject({ version: 3, present: true });
    expect((await admin('GET', '/v1/policies/1')).body).toMatchObject({ comment: 'closed', present: false });
    const page = await admin('GET', '/v1/policies?limit=2');
    expect(page.body['items']).toMatchObject([{ version: 3 }, { version: 2 }]);
    const rest = await admin('GET', `/v1/policies?limit=2&cursor=${page.body['nextCursor']}`);
    expect(rest.body['items']).toMatchObject([{ version: 1 }]);
    expect((await admin('GET', '/v1/policies/4')).status).toBe(404);
    expect((await admin('POST', '/v1/policies/9/restore', {})).status).toBe(404);
  });

  test('is not applied over a version that was not seen', async () => {
    const { apply } = await openTenant();
    const policy = { default: 'allow', rules: [] };
    expect((await apply(policy, { onVersion: 0 })).status).toBe(201);
    expect(await apply(policy, { onVersion: 0 })).toMatchObject({ status: 409, body: { code: 'conflict' } });
    const both = await Promise.all([apply(policy, { onVersion: 1 }), apply(policy, { onVersion: 1 })]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 409]);
  });

  test.for<[what: string, policy: object, pointer: string]>([
    ['an unknown effect', { default: 'maybe', rules: [] }, '/policy/default'],
    [
      'an unknown condition',
      { default: 'deny', rules: [{ name: 'a', effect: 'deny', program: ['x'] }] },
      '/policy/rules/0/program',
    ],
    [
      'two rules of one name',
      {
        default: 'deny',
        rules: [
          { name: 'a', effect: 'deny' },
          { name: 'a', effect: 'deny' },
        ],
      },
      '/policy/rules/1/name',
    ],
    [
      'no pattern',
      { default: 'deny', rules: [{ name: 'a', effect: 'deny', programs: [] }] },
      '/policy/rules/0/programs',
    ],
    [
      'an unknown time zone',
      {
        default: 'deny',
        rules: [{ name: 'a', effect: 'deny', hours: { timeZone: 'Mars', from: '08:00', to: '09:00' } }],
      },
      '/policy/rules/0/hours/timeZone',
    ],
    [
      'no time',
      { default: 'deny', rules: [{ name: 'a', effect: 'deny', hours: { timeZone: 'UTC', from: '8', to: '09:00' } }] },
      '/policy/rules/0/hours/from',
    ],
    [
      'an empty exception',
      { default: 'deny', rules: [{ name: 'a', effect: 'deny', except: {} }] },
      '/policy/rules/0/except',
    ],
    [
      'too many rules',
      { default: 'deny', rules: Array.from({ length: 201 }, (_, i) => ({ name: `r${i}`, effect: 'deny' })) },
      '/policy/rules',
    ],
  ])('with %s is not applied, and the one before holds on', async ([, policy, pointer]) => {
    const { admin, apply } = await openTenant();
    await apply({ default: 'allow', rules: [] });
    const refused = await apply(policy);
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
    expect((refused.body['errors'] as unknown as { pointer: string }[]).map((one) => one.pointer)).toContain(pointer);
    expect((await admin('GET', '/v1/policies/current')).body['version']).toBe(1);
  });

  test('warns of what allows more than it seems to', async () => {
    const { apply } = await openTenant();
    const { body } = await apply({
      default: 'allow',
      rules: [
        { name: 'tools', effect: 'allow', programs: ['python3', 'ls'] },
        { name: 'no-rm', effect: 'deny', programs: ['rm'] },
      ],
    });
    expect(body['warnings']).toEqual([expect.stringContaining('python3'), expect.stringContaining('is a hint')]);
  });
});

describe('an explanation', () => {
  test('says for each program what applies, and submits nothing', async () => {
    const { operator, apply } = await openTenant();
    await apply({
      default: 'deny',
      rules: [
        { name: 'tools', effect: 'allow', programs: ['git', 'xargs'] },
        { name: 'no-push', effect: 'deny', programs: ['git'], anyArgument: ['push'] },
      ],
    });
    const explained = await operator('POST', '/v1/policies:explain', {
      command: { script: 'cd src; git ls-files | xargs git push' },
    });
    expect(explained).toMatchObject({
      status: 200,
      body: { effect: 'deny', rule: 'no-push', version: 1, unreadable: [] },
    });
    expect(explained.body['programs']).toMatchObject([
      { program: 'cd', builtin: true, effect: 'allow' },
      { program: 'git', arguments: ['ls-files'], effect: 'allow', rules: ['tools'] },
      { program: 'xargs', effect: 'allow' },
      { program: 'git', arguments: ['push', null], effect: 'deny', rules: ['no-push', 'tools'] },
    ]);
    expect((await operator('GET', '/v1/commands')).body['items']).toEqual([]);
  });

  test('of another policy, role and time than the present', async () => {
    const { operator } = await openTenant();
    const policy = {
      default: 'allow',
      rules: [
        {
          name: 'agents-by-day',
          effect: 'deny',
          roles: ['agent'],
          except: { hours: { timeZone: 'Europe/Berlin', from: '08:00', to: '18:00' } },
        },
      ],
    };
    const ask = async (more: object) =>
      (await operator('POST', '/v1/policies:explain', { command: { argv: ['ls'] }, policy, ...more })).body['effect'];
    expect(await ask({ role: 'agent', at: '2026-11-24T20:00:00Z' })).toBe('deny');
    expect(await ask({ role: 'agent', at: '2026-11-24T12:00:00Z' })).toBe('allow');
    expect(await ask({ at: '2026-11-24T20:00:00Z' })).toBe('allow');
  });

  test('points at faults of the command', async () => {
    const { operator } = await openTenant();
    const ask = (command: object) => operator('POST', '/v1/policies:explain', { command });
    expect((await ask({ argv: ['ls'], target: 'x' })).body['errors']).toMatchObject([{ pointer: '/command/target' }]);
    expect((await ask({})).body['errors']).toMatchObject([{ pointer: '/command/argv' }]);
  });

  test('without a policy says so', async () => {
    const { operator } = await openTenant();
    const { body } = await operator('POST', '/v1/policies:explain', { command: { argv: ['ls'] } });
    expect(body).toMatchObject({ effect: 'allow', version: null, because: expect.stringContaining('no policy') });
  });
});

describe('an approval', () => {
  const POLICY = {
    default: 'allow',
    rules: [{ name: 'deploys', effect: 'approval', programs: ['echo'], anyArgument: ['deploy'] }],
  };
  const DEPLOY = { argv: ['echo', 'deploy'] };
  const open = async () => {
    const tenant = await openTenant();
    await tenant.apply(POLICY);
    return { ...tenant, ask: (call: Call, body: object = DEPLOY) => submit(call, body) };
  };
  const idOf = (asked: { headers: Headers }) => asked.headers.get('location')?.split('/').at(-1) as string;

  test('is asked for by submitting, given by another, and good for just that command, once', async () => {
    const { admin, agent, ask } = await open();
    const asked = await ask(agent);
    expect(asked).toMatchObject({ status: 403, body: { code: 'approval-required' } });
    const id = idOf(asked);
    expect(idOf(await ask(agent))).toBe(id);
    const shown = (await admin('GET', '/v1/approvals')).body['items'] as unknown as object[];
    expect(shown).toMatchObject([{ id, state: 'pending', rule: 'deploys', request: DEPLOY }]);
    expect((await admin('POST', `/v1/approvals/${id}/answer`, { approve: true })).body).toMatchObject({
      state: 'approved',
    });
    const submitted = await ask(agent);
    expect(submitted).toMatchObject({ status: 202, body: { policy: { rule: 'deploys', approval: id } } });
    expect((await agent('GET', `/v1/approvals/${id}`)).body).toMatchObject({
      state: 'used',
      usedFor: submitted.body['id'],
    });
    // Once is once: the next one is asked for anew.
    expect(await ask(agent)).toMatchObject({ status: 403, body: { code: 'approval-required' } });
    expect((await agent('GET', `/v1/approvals/${id}`)).body).toMatchObject({ state: 'pending' });
  });

  test.for<[what: string, change: object]>([
    ['another argument', { argv: ['echo', 'deploy', 'all'] }],
    ['a variable’s value', { ...DEPLOY, env: { A: '2' } }],
    ['other input', { ...DEPLOY, stdin: 'x' }],
    ['another time-out', { ...DEPLOY, timeoutSeconds: 5 }],
    ['labels', { ...DEPLOY, labels: { a: 'b' } }],
  ])('is void with %s', async ([, change]) => {
    const { admin, agent, ask } = await open();
    const id = idOf(await ask(agent));
    await admin('POST', `/v1/approvals/${id}/answer`, { approve: true });
    const other = await ask(agent, change);
    expect(other.status).toBe(403);
    expect(idOf(other)).not.toBe(id);
    expect((await ask(agent)).status).toBe(202);
  });

  test('is for who asked for it', async () => {
    const { admin, agent, operator, ask } = await open();
    await admin('POST', `/v1/approvals/${idOf(await ask(agent))}/answer`, { approve: true });
    expect((await ask(operator)).status).toBe(403);
  });

  test('is not given by who asks, by an agent or by an operator', async () => {
    const { admin, agent, operator, ask } = await open();
    const id = idOf(await ask(admin));
    expect((await admin('POST', `/v1/approvals/${id}/answer`, { approve: true })).status).toBe(403);
    expect((await agent('POST', `/v1/approvals/${id}/answer`, { approve: true })).status).toBe(403);
    expect((await operator('POST', `/v1/approvals/${id}/answer`, { approve: true })).status).toBe(403);
    expect((await ask(admin)).status).toBe(403);
  });

  test('that is rejected stays so, with the reason', async () => {
    const { admin, agent, ask } = await open();
    const id = idOf(await ask(agent));
    await admin('POST', `/v1/approvals/${id}/answer`, { approve: false, comment: 'not on a Friday' });
    const refused = await ask(agent);
    expect(refused).toMatchObject({ status: 403, body: { code: 'policy-denied' } });
    expect(refused.body['detail']).toContain('not on a Friday');
    expect((await admin('POST', `/v1/approvals/${id}/answer`, { approve: true })).status).toBe(409);
  });

  test('is used by one of many who submit at once', async () => {
    const { admin, agent, ask } = await open();
    await admin('POST', `/v1/approvals/${idOf(await ask(agent))}/answer`, { approve: true });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(agent)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(19);
  });

  test('a repetition of what it was used for is the same command', async () => {
    const { admin, agent, ask } = await open();
    await admin('POST', `/v1/approvals/${idOf(await ask(agent))}/answer`, { approve: true });
    const key = { 'idempotency-key': 'one' };
    const [first, again] = [await submit(agent, DEPLOY, key), await submit(agent, DEPLOY, key)];
    expect([first.status, again.status, again.body['id']]).toEqual([202, 202, first.body['id']]);
  });

  test('shows no value of a variable', async () => {
    const { admin, agent, ask } = await open();
    const id = idOf(await ask(agent, { ...DEPLOY, env: { TOKEN: 'a value to keep' }, stdin: 'and another' }));
    const shown = JSON.stringify((await admin('GET', `/v1/approvals/${id}`)).body);
    expect(shown).toContain('TOKEN');
    expect(shown).not.toMatch(/a value to keep|and another/);
  });
});
