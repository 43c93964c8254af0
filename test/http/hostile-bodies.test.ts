import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Embedded } from '../../local/embedded.ts';
import type { Endpoint } from '../../shared/contract/endpoint.ts';
import { type EndpointName, endpoints } from '../../shared/contract/endpoints.ts';
import type { CommandView, ProblemView } from '../../shared/contract/schemas.ts';
import { openErrand, openWatched, sh } from '../support/errand.ts';
import { sharedDirectory } from '../support/temp-directory.ts';

/* Every endpoint of the table that takes JSON, by bodies that want to get past it. */

const dataDirectory = sharedDirectory();
let embedded: Embedded;
beforeAll(async () => {
  embedded = await openWatched({ dataDirectory, work: false });
});
afterAll(() => embedded.close());

const NAMES = (Object.keys(endpoints) as EndpointName[]).filter(
  (name) => (endpoints[name] as Endpoint).body !== undefined && (endpoints[name] as Endpoint).access !== 'runner',
);
/** Well-formed, of nothing that is there: by the beginning of the path. */
const IDS: Readonly<Record<string, string>> = {
  commands: 'cmd_00000000000000000000000001',
  'api-keys': '0123456789abcdef',
  members: 'mem_0123456789abcdef',
  roles: 'a-role',
  tenants: 'a-tenant',
  policies: '1',
  approvals: 'apr_0123456789abcdef',
  schedules: 'sch_0123456789abcdef',
  webhooks: 'whk_0123456789abcdef',
  secrets: 'a-secret',
  triggers: 'trg_0123456789abcdef',
  workflows: 'wfl_0123456789abcdef',
};

const send = async (name: EndpointName, body: string): Promise<{ status: number; problem: ProblemView }> => {
  const { method, path } = endpoints[name];
  const target = path.replace(/\{\w+\}/, IDS[path.split('/')[2] ?? ''] ?? '');
  const headers = { 'content-type': 'application/json' };
  const response = await embedded.fetch(`${embedded.url}${target}`, { method, headers, body });
  return { status: response.status, problem: (await response.json()) as ProblemView };
};
const pointersOf = ({ errors = [] }: ProblemView): readonly string[] =>
  errors.filter((fault) => fault.in === 'body').map(({ pointer }) => pointer);

/** Fields by which others were taken over elsewhere (mass assignment), less those that the endpoint has. */
const ASSIGNED = ['tenant', 'tenantId', 'role', 'status', 'createdBy', 'submittedBy', 'id', 'version', 'permissions'];
const MORE = ['priority', 'admin', 'owner', 'key', 'hash', 'scope', 'limits', 'disabled', 'suspended', 'constructor'];
const OWN: Partial<Record<EndpointName, readonly string[]>> = {
  submitCommand: ['priority'],
  replayCommand: ['priority'],
  createApiKey: ['permissions', 'scope'],
  createSessionToken: ['permissions', 'scope'],
  addMember: ['role', 'scope'],
  changeMember: ['role', 'scope', 'disabled'],
  putRole: ['permissions'],
  addTenant: ['id', 'limits'],
  changeTenant: ['suspended', 'limits'],
  redeliver: ['status'],
};

describe.for(NAMES)('%s', (name) => {
  test('takes no field that is not its own, and says which', async () => {
    const fields = [...ASSIGNED, ...MORE, '__proto__', 'prototype', 'toString'].filter(
      (field) => !OWN[name]?.includes(field),
    );
    for (const field of fields) {
      const { status, problem } = await send(name, `{${JSON.stringify(field)}:{"x":1}}`);
      expect([field, status]).toEqual([field, 400]);
      expect(pointersOf(problem)).toContain(`/${field}`);
    }
  });

  test.for<[string, string]>([
    ['null', 'null'],
    ['a list', '[]'],
    ['a text', '"x"'],
    ['a number beyond all', '1e400'],
    ['two values', '{}{}'],
    ['a comment', '{}//'],
    ['a byte order mark', '\ufeff{}'],
    ['lists, 100,000 deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['objects, 30,000 deep', `${'{"a":'.repeat(30_000)}1${'}'.repeat(30_000)}`],
    ['half a surrogate pair as a name', '{"\\ud800":1}'],
    ['20,000 fields', `{${Array.from({ length: 20_000 }, (_, i) => `"f${i}":1`).join()}}`],
  ])('refuses %s', async ([, body]) => {
    const { status, problem } = await send(name, body);
    expect([status, problem.code]).toEqual([400, 'invalid-request']);
    expect(JSON.stringify(problem).length).toBeLessThan(10_000);
  });

  test('refuses a name that is given twice, and says which', async () => {
    const { status, problem } = await send(name, '{"a":{"b":[0,{"c":1,"\\u0063":2}]}}');
    expect([status, pointersOf(problem)]).toEqual([400, ['/a/b/1/c']]);
  });
});

describe('names that JavaScript knows', () => {
  const ODD = ['constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];

  test('are variables as any other', async () => {
    const errand = await openErrand();
    const env = `{${ODD.map((name) => `"${name}":"its ${name}"`).join()}}`;
    const body = `{"argv":["/usr/bin/env"],"env":${env}}`;
    const headers = { 'content-type': 'application/json', prefer: 'wait=60' };
    const command = (await (await errand.request('POST', '/v1/commands', body, headers)).json()) as CommandView;
    expect(command.envNames?.toSorted()).toEqual(ODD.toSorted());
    for (const name of ODD) expect(command.stdout.split('\n')).toContain(`${name}=its ${name}`);
    const replayed = await errand.request('POST', `/v1/commands/${command.id}/replay`, '{}', headers);
    const { stdout } = (await replayed.json()) as CommandView;
    for (const name of ODD) expect(stdout.split('\n')).toContain(`${name}=its ${name}`);
  });

  test('are labels as any other, also to look for', async () => {
    const errand = await openErrand();
    const names = ODD.filter((name) => !name.startsWith('_'));
    const labels = Object.fromEntries(names.map((name) => [name, 'x']));
    const { id } = await errand.submit(sh('true', { labels }), {});
    await errand.submit(sh('true'), {});
    for (const name of names) {
      const listed = await errand.request('GET', `/v1/commands?label=${name}:x`);
      expect(((await listed.json()) as { items: { id: string }[] }).items.map((one) => one.id)).toEqual([id]);
    }
  });

  test.for(['env', 'secrets', 'labels', 'retry'])('are not taken in %s where they would be left out', async (field) => {
    const errand = await openErrand();
    const body = `{"argv":["a"],"${field}":{"__proto__":"secret:x"}}`;
    const refused = await errand.request('POST', '/v1/commands', body, { 'content-type': 'application/json' });
    expect(refused.status).toBe(400);
    expect(pointersOf((await refused.json()) as ProblemView)).toContain(`/${field}/__proto__`);
  });
});
