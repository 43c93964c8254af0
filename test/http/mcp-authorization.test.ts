import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Embedded } from '../../local/embedded.ts';
import type { Endpoint } from '../../shared/contract/endpoint.ts';
import { endpoints } from '../../shared/contract/endpoints.ts';
import { ROLES, type RoleName } from '../../shared/domain/permissions.ts';
import { tools } from '../../shared/mcp/tools.ts';
import { openWatched } from '../support/errand.ts';
import { sharedDirectory } from '../support/temp-directory.ts';

/*
 * Every MCP tool, by every role and with every state of a credential, on things of one's own tenant and of another's. `samples` names
 * each tool, or this fails; the expected answers follow from the table of roles, by the endpoint that a tool stands for.
 */

interface Sample {
  /** Of a command with open input. */
  readonly args: (id: string) => Record<string, unknown>;
  readonly aboutCommand?: boolean;
}

const samples: Readonly<Record<string, Sample>> = {
  run_command: { args: () => ({ argv: ['true'], waitSeconds: 0 }) },
  wait_command: { args: (id) => ({ id, waitSeconds: 0 }), aboutCommand: true },
  read_output: { args: (id) => ({ id }), aboutCommand: true },
  send_input: { args: (id) => ({ id, text: 'x' }), aboutCommand: true },
  cancel_command: { args: (id) => ({ id, waitSeconds: 0 }), aboutCommand: true },
  list_commands: { args: () => ({}) },
  list_targets: { args: () => ({}) },
  explain_policy: { args: () => ({ argv: ['true'] }) },
};
const NAMES = tools.map(({ name }) => name);
const ROLE_NAMES = ['viewer', 'operator', 'admin', 'auditor', 'agent', 'owner'] as const satisfies readonly RoleName[];

interface Problem {
  readonly code: string;
}
interface Answer {
  readonly status: number;
  readonly isError?: boolean;
  readonly problem?: Problem;
  readonly text: string;
}

const dataDirectory = sharedDirectory();
let embedded: Embedded;
const keys: Record<string, string> = {};
/** Of another tenant, by role. */
const otherKeys: Record<string, string> = {};
const bad: Record<string, string> = { none: '', 'no bearer': 'Basic b3duZXI6', malformed: 'Bearer nonsense' };
afterAll(() => embedded.close());

const rest = async <T>(key: string | undefined, method: string, path: string, body?: unknown): Promise<T> => {
  const response = await embedded.fetch(`${embedded.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (response.status === 204 ? undefined : await response.json()) as T;
};

const post = async (authorization: string | undefined, message: object): Promise<Answer> => {
  const response = await embedded.fetch(`${embedded.url}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(authorization === undefined ? {} : { authorization }),
    },
    body: JSON.stringify(message),
  });
  const text = await response.text();
  const [, data] = /^data: (.+)$/m.exec(text) ?? [];
  if (data === undefined) return { status: response.status, text };
  const { result } = JSON.parse(data) as {
    result: { isError?: boolean; content: readonly { text: string }[]; _meta?: { problem: Problem } };
  };
  const problem = result._meta?.problem;
  return {
    status: response.status,
    isError: result.isError ?? false,
    ...(problem ? { problem } : {}),
    text: result.content[0]?.text ?? '',
  };
};

/** Without a key it is the owner who calls. */
const callAs = (key: string | undefined, name: string, id: string): Promise<Answer> =>
  post(key === undefined ? undefined : `Bearer ${key}`, {
    ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
    params: { name, arguments: samples[name]?.args(id) },
  });

const makeTenant = async (id: string): Promise<Record<string, string>> => {
  const { key: admin } = await rest<{ key: string }>(undefined, 'POST', '/v1/tenants', { id, name: id });
  const own: Record<string, string> = {};
  for (const role of ROLE_NAMES.filter((one) => one !== 'owner')) {
    const { id: member } = await rest<{ id: string }>(admin, 'POST', '/v1/members', { name: role, role });
    own[role] = (await rest<{ key: string }>(admin, 'POST', '/v1/api-keys', { name: 'k', member })).key;
  }
  return own;
};
const command = async (key: string | undefined): Promise<string> =>
  (await rest<{ id: string }>(key, 'POST', '/v1/commands', { argv: ['true'], stdin: 'open' })).id;

beforeAll(async () => {
  embedded = await openWatched({ dataDirectory, work: false });
  Object.assign(keys, await makeTenant('acme'));
  Object.assign(otherKeys, await makeTenant('other'));
  const revoked = await rest<{ id: string; key: string }>(keys['admin'], 'POST', '/v1/api-keys', { name: 'r' });
  await rest(keys['admin'], 'DELETE', `/v1/api-keys/${revoked.id}`);
  bad['revoked'] = `Bearer ${revoked.key}`;
  const runner = `acme.${await command(keys['admin'])}.1.${'a'.repeat(32)}`;
  bad['of a runner'] = `Bearer ${runner}`;
});

test('every tool has its row', () => {
  expect(Object.keys(samples)).toEqual(NAMES);
});

const isAllowed = (name: string, role: RoleName): boolean => {
  const { endpoint } = tools.find((one) => one.name === name) as (typeof tools)[number];
  const { permission }: Endpoint = endpoints[endpoint];
  return (ROLES[role] as readonly string[]).includes(permission as string);
};

describe.for(ROLE_NAMES)('the role %s', (role) => {
  test.for(NAMES.map((name) => [name, isAllowed(name, role) ? 'done' : 'forbidden'] as const))(
    '%s: %s',
    async ([name, expected]) => {
      const key = keys[role];
      const id = await command(role === 'owner' ? undefined : keys['admin']);
      const before = await rest<{ stdin: string }>(
        role === 'owner' ? undefined : keys['admin'],
        'GET',
        `/v1/commands/${id}`,
      );
      const { status, isError, problem } = await callAs(key, name, id);
      expect([status, isError, problem?.code]).toEqual([
        200,
        expected !== 'done',
        expected === 'done' ? undefined : expected,
      ]);
      if (expected === 'done') return;
      expect(await rest(keys['admin'], 'GET', `/v1/commands/${id}`)).toEqual(before);
      const { items } = await rest<{ items: { entry: { type: string; subject: string } }[] }>(
        keys['admin'],
        'GET',
        '/v1/audit?limit=1&type=access.forbidden',
      );
      expect(items[0]?.entry.subject).toBe(tools.find((one) => one.name === name)?.endpoint);
    },
  );
});

describe('a credential that is not good', () => {
  test.for(NAMES)('%s answers 401', async (name) => {
    for (const [what, authorization] of Object.entries(bad)) {
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } };
      expect([what, (await post(authorization, message)).status]).toEqual([what, 401]);
    }
  });
});

const ABOUT_COMMANDS = NAMES.filter((name) => samples[name]?.aboutCommand);
describe.for(ROLE_NAMES)('another tenant’s %s', (role) => {
  test.for(ABOUT_COMMANDS)('%s answers as for an id that never was', async (name) => {
    const theirs = await command(keys['admin']);
    const never = 'cmd_00000000000000000000000001';
    const [answer, usual] = await Promise.all([theirs, never].map((id) => callAs(otherKeys[role], name, id)));
    expect(answer?.text.replaceAll(theirs, 'ID')).toBe(usual?.text.replaceAll(never, 'ID'));
    expect(answer?.problem?.code).toBe(isAllowed(name, role) ? 'not-found' : 'forbidden');
  });

  test('list_commands shows none of its commands', async () => {
    const theirs = await command(keys['admin']);
    expect((await callAs(otherKeys[role], 'list_commands', '')).text).not.toContain(theirs);
  });
});
