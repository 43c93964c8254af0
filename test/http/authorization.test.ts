import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Embedded } from '../../local/embedded.ts';
import type { Endpoint } from '../../shared/contract/endpoint.ts';
import { type EndpointName, endpoints } from '../../shared/contract/endpoints.ts';
import { GIVES_ACCESS, PERMISSIONS, ROLES, type RoleName } from '../../shared/domain/permissions.ts';
import { openWatched } from '../support/errand.ts';
import { sharedDirectory } from '../support/temp-directory.ts';

/*
 * Every endpoint of the table, by every role, with every state of a credential, on things of one's own tenant and of another's.
 * `samples` names each endpoint, or this does not compile; the expected answers follow from the table of roles.
 */

/** Each is called with a thing made for it, so that no cell hangs on another. */
interface Sample {
  /** In place of the path's parameter. @default no parameter */
  readonly make?: (call: Call) => Promise<string>;
  readonly body?: unknown;
  /** In place of `body`. */
  readonly makeBody?: (call: Call) => Promise<unknown>;
  readonly headers?: Record<string, string>;
  readonly query?: string;
  /** Who may do it is answered so. */
  readonly status: number;
}

type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Response>;

const json = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;
const idOf = async (response: Promise<Response>): Promise<string> => (await json<{ id: string }>(response)).id;

const command = (call: Call) => idOf(call('POST', '/v1/commands', { argv: ['true'], stdin: 'open' }));
const ended = async (call: Call) => {
  const id = await command(call);
  await call('POST', `/v1/commands/${id}/cancel`);
  return id;
};
const key = (call: Call) => idOf(call('POST', '/v1/api-keys', { name: 'k' }));
interface SessionToken {
  readonly id: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}
const trade = (call: Call) => json<SessionToken>(call('POST', '/v1/session-tokens'));
const sessionToken = async (call: Call) => (await trade(call)).id;
const refreshing = async (call: Call) => ({ refreshToken: (await trade(call)).refreshToken });
const member = (call: Call) => idOf(call('POST', '/v1/members', { name: 'm', role: 'viewer' }));
let roles = 0;
const role = async (call: Call) => {
  const name = `role-${++roles}`;
  await call('PUT', `/v1/roles/${name}`, { permissions: ['commands:read'] });
  return name;
};
let tenants = 0;
const newTenant = () => `tenant-${++tenants}`;
const tenant = async () => {
  const id = newTenant();
  await asOwner('POST', '/v1/tenants', { id, name: id });
  return id;
};

let secrets = 0;
const secret = async (call: Call) => {
  const name = `secret-${++secrets}`;
  await call('PUT', `/v1/secrets/${name}`, { value: 'hidden-8f2c' });
  return name;
};

const POLICY = {
  default: 'allow',
  rules: [{ name: 'ask', effect: 'approval', programs: ['needs-approval'] }],
};
const policy = async (call: Call) =>
  String((await json<{ version: number }>(call('POST', '/v1/policies', { policy: POLICY }))).version);
let approvals = 0;
/** Asked for by somebody else, as whoever asks cannot answer. */
const approval = async (call: Call) => {
  await policy(call);
  const asking = await idOf(call('POST', '/v1/members', { name: 'asking', role: 'operator' }));
  const { key: text } = await json<{ key: string }>(call('POST', '/v1/api-keys', { name: 'k', member: asking }));
  const argv = ['needs-approval', String(++approvals)];
  const response = await callAs(`Bearer ${text}`)('POST', '/v1/commands', { argv });
  return response.headers.get('location')?.split('/').at(-1) ?? '';
};

const SCHEDULE = { cron: '0 3 * * 1-5', command: { argv: ['true'] } };
const schedule = (call: Call) => idOf(call('POST', '/v1/schedules', SCHEDULE));
// A name of this machine: what is sent there is refused before anything is asked.
const WEBHOOK = { url: 'https://localhost/', events: ['command.*'], enabled: false };
const webhooksOf = new Map<Call, string[]>();
/** A tenant has a few of them at the most. */
const webhook = async (call: Call) => {
  const own = webhooksOf.get(call) ?? [];
  webhooksOf.set(call, own);
  if (own.length >= 5) await call('DELETE', `/v1/webhooks/${own.shift()}`);
  own.push(await idOf(call('POST', '/v1/webhooks', WEBHOOK)));
  return own.at(-1) as string;
};

const TRIGGER = { signature: { kind: 'github' }, command: { argv: ['true', '{{ body.x }}'] } };
const triggers: (() => Promise<Response>)[] = [];
/** Those of cells that are done make room for others: a tenant may have only so many. */
const trigger = async (call: Call) => {
  if (triggers.length >= 50) await triggers.shift()?.();
  const id = await idOf(call('POST', '/v1/triggers', TRIGGER));
  triggers.push(() => call('DELETE', `/v1/triggers/${id}`));
  return id;
};

const WORKFLOW = { nodes: { only: { command: { argv: ['true'] } } } };
const workflow = (call: Call) => idOf(call('POST', '/v1/workflows', WORKFLOW));

/** A warm shell of one's own; those before it are ended, as a tenant has only so many. */
const shell = async (call: Call): Promise<string> => {
  const { items } = await json<{ items: { id: string; state: string }[] }>(call('GET', '/v1/sessions?limit=100'));
  for (const { id, state } of items) if (state !== 'ended') await call('DELETE', `/v1/sessions/${id}`);
  return idOf(call('POST', '/v1/sessions', {}));
};

const samples = {
  submitCommand: { body: { argv: ['true'] }, status: 202 },
  listCommands: { status: 200 },
  getCommand: { make: command, status: 200 },
  readOutput: { make: command, status: 200 },
  // It has none: so every launcher answers alike.
  attachTerminal: { make: command, status: 409 },
  cancelCommand: { make: command, status: 202 },
  signalCommand: { make: ended, body: { signal: 'SIGTERM' }, status: 409 },
  moveCommand: { make: command, body: { target: 'local' }, status: 202 },
  writeStdin: { make: command, body: 'more', headers: { 'content-type': 'application/octet-stream' }, status: 202 },
  endStdin: { make: command, status: 202 },
  replayCommand: { make: command, body: {}, status: 202 },
  listProviders: { status: 200 },
  whoami: { status: 200 },
  createApiKey: { body: { name: 'k' }, status: 201 },
  listApiKeys: { status: 200 },
  rotateApiKey: { make: key, body: {}, status: 201 },
  revokeApiKey: { make: key, status: 204 },
  createSessionToken: { body: {}, status: 201 },
  refreshSessionToken: { makeBody: refreshing, status: 200 },
  listSessionTokens: { status: 200 },
  revokeSessionToken: { make: sessionToken, status: 204 },
  addMember: { body: { name: 'm', role: 'viewer' }, status: 201 },
  listMembers: { status: 200 },
  getMember: { make: member, status: 200 },
  changeMember: { make: member, body: { name: 'n' }, status: 200 },
  removeMember: { make: member, status: 204 },
  listRoles: { status: 200 },
  putRole: { make: role, body: { permissions: [] }, status: 200 },
  removeRole: { make: role, status: 204 },
  addTenant: { status: 201 },
  listTenants: { status: 200 },
  getTenant: { make: tenant, status: 200 },
  changeTenant: { make: tenant, body: { name: 'n' }, status: 200 },
  removeTenant: { make: tenant, status: 202 },
  applyPolicy: { body: { policy: POLICY }, status: 201 },
  listPolicies: { status: 200 },
  getPolicy: { make: policy, status: 200 },
  restorePolicy: { make: policy, body: {}, status: 201 },
  explainPolicy: { body: { command: { argv: ['true'] } }, status: 200 },
  listApprovals: { status: 200 },
  getApproval: { make: approval, status: 200 },
  answerApproval: { make: approval, body: { approve: true }, status: 200 },
  readAudit: { status: 200 },
  exportAudit: { status: 200 },
  readCheckpoints: { status: 200 },
  verifyAudit: { status: 200 },
  readEvents: { status: 200 },
  readReceipt: { make: ended, status: 200 },
  createSchedule: { body: SCHEDULE, status: 201 },
  listSchedules: { status: 200 },
  getSchedule: { make: schedule, status: 200 },
  putSchedule: { make: schedule, body: SCHEDULE, status: 200 },
  removeSchedule: { make: schedule, status: 204 },
  triggerSchedule: { make: schedule, status: 202 },
  pauseSchedule: { make: schedule, status: 200 },
  resumeSchedule: { make: schedule, status: 200 },
  startSession: { body: {}, status: 201 },
  listSessions: { status: 200 },
  getSession: { make: shell, status: 200 },
  endSession: { make: shell, status: 200 },
  submitToSession: { make: shell, body: { script: ':' }, status: 202 },
  createTrigger: { body: TRIGGER, status: 201 },
  listTriggers: { status: 200 },
  getTrigger: { make: trigger, status: 200 },
  putTrigger: { make: trigger, body: TRIGGER, status: 200 },
  removeTrigger: { make: trigger, status: 204 },
  pauseTrigger: { make: trigger, status: 200 },
  resumeTrigger: { make: trigger, status: 200 },
  rotateTriggerSecret: { make: trigger, body: {}, status: 201 },
  testTrigger: { make: trigger, body: { body: { x: 'y' } }, status: 200 },
  listTriggerDeliveries: { make: trigger, status: 200 },
  // Whoever cannot sign is told nothing, whatever else it may do.
  receiveDelivery: { make: trigger, body: '{}', status: 404 },
  createWebhook: { body: WEBHOOK, status: 201 },
  listWebhooks: { status: 200 },
  getWebhook: { make: webhook, status: 200 },
  changeWebhook: { make: webhook, body: { description: 'n' }, status: 200 },
  removeWebhook: { make: webhook, status: 204 },
  rotateWebhook: { make: webhook, body: {}, status: 201 },
  listWebhookDeliveries: { make: webhook, status: 200 },
  redeliver: { make: webhook, body: { status: 'dead' }, status: 202 },
  testWebhook: { make: webhook, status: 200 },
  submitWorkflow: { body: WORKFLOW, status: 202 },
  listWorkflows: { status: 200 },
  getWorkflow: { make: workflow, status: 200 },
  cancelWorkflow: { make: workflow, status: 202 },
  // It has not ended, as nothing works here.
  resumeWorkflow: { make: workflow, body: {}, status: 409 },
  followWorkflow: { make: workflow, headers: { prefer: 'wait=0' }, status: 200 },
  listSecrets: { status: 200 },
  putSecret: { make: secret, body: { value: 'hidden-41d7' }, status: 200 },
  removeSecret: { make: secret, status: 204 },
  readUsage: { status: 200 },
  callMcp: {
    body: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
    headers: { accept: 'application/json, text/event-stream' },
    status: 200,
  },
  // No issuer's tokens are taken here.
  describeProtected: { status: 404 },
  describeProtectedMcp: { status: 404 },
  // Nothing is counted within a process that serves nobody else.
  readMetrics: { status: 404 },
  checkHealth: { status: 200 },
  checkReady: { status: 200 },
  describeApi: { status: 200 },
  redeemStart: { body: { runner: 'r' }, status: 409 },
  lookAtRun: { status: 404 },
  readRunStdin: { query: '?from=0', status: 404 },
  storeRunOutput: { status: 400 },
  endRun: { status: 400 },
} satisfies Record<EndpointName, Sample>;

const NAMES = Object.keys(endpoints) as EndpointName[];
const ROLE_NAMES = ['viewer', 'operator', 'admin', 'auditor', 'agent', 'owner'] as const satisfies readonly RoleName[];
/** A thing of this tenant's that another tenant's admin asks for. */
const OF_A_TENANT: readonly EndpointName[] = NAMES.filter(
  // Versions of a policy are numbers, which are everyone's own.
  (name) => endpoints[name].path.includes('{') && !/^\/v1\/(tenants|policies)/.test(endpoints[name].path),
);

const dataDirectory = sharedDirectory();
let embedded: Embedded;
afterAll(() => embedded.close());
const callAs =
  (authorization: string): Call =>
  (method, path, body, headers = {}) => {
    const isText = typeof body === 'string';
    return embedded.fetch(`${embedded.url}${path}`, {
      method,
      headers: {
        authorization,
        ...(body === undefined || isText ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
    });
  };
/** The folder's own key is put in where none is given. */
const asOwner: Call = (method, path, body, headers = {}) =>
  embedded.fetch(`${embedded.url}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const callers: Record<string, Call> = {};
/** Of another tenant than the things are of that they ask for, by role. */
const others = {} as Record<RoleName, Call>;
/** By session tokens that the callers' keys were traded for. */
const sessions: Record<string, Call> = {};
/** Names of credentials that are not good, by what is wrong with them. */
const bad: Record<string, string> = { none: '', 'no bearer': 'Basic b3duZXI6', malformed: 'Bearer nonsense' };

beforeAll(async () => {
  embedded = await openWatched({ dataDirectory, work: false });
  const make = async (id: string): Promise<Call> =>
    callAs(`Bearer ${(await json<{ key: string }>(asOwner('POST', '/v1/tenants', { id, name: id }))).key}`);
  const admin = await make('acme');
  callers['owner'] = asOwner;
  callers['other'] = await make('other');
  callers['newcomer'] = await make('newcomer');
  for (const name of ROLE_NAMES.filter((one) => one !== 'owner')) others[name] = await withRole(callers['other'], name);
  // The owner is of a tenant too, and acme is not his.
  others['owner'] = asOwner;
  const keyOf = (id: string, terms = {}) =>
    json<{ id: string; key: string }>(admin('POST', '/v1/api-keys', { name: 'k', member: id, ...terms }));
  const newMember = (roleName: string) => idOf(admin('POST', '/v1/members', { name: roleName, role: roleName }));
  for (const name of ROLE_NAMES.filter((one) => one !== 'owner')) {
    callers[name] = callAs(`Bearer ${(await keyOf(await newMember(name))).key}`);
  }
  for (const name of ROLE_NAMES) {
    sessions[name] = callAs(`Bearer ${(await trade(callers[name] as Call)).accessToken}`);
  }
  const operator = await newMember('operator');
  const revoked = await keyOf(operator);
  const ofRevokedKey = await trade(callAs(`Bearer ${revoked.key}`));
  bad['a session token of a revoked key'] = `Bearer ${ofRevokedKey.accessToken}`;
  const ended = await trade(admin);
  await admin('DELETE', `/v1/session-tokens/${ended.id}`);
  bad['a revoked session token'] = `Bearer ${ended.accessToken}`;
  bad['a refresh token'] = `Bearer ${(await trade(admin)).refreshToken}`;
  await admin('DELETE', `/v1/api-keys/${revoked.id}`);
  bad['revoked'] = `Bearer ${revoked.key}`;
  const disabled = await newMember('admin');
  bad['of a disabled member'] = `Bearer ${(await keyOf(disabled)).key}`;
  await admin('PATCH', `/v1/members/${disabled}`, { disabled: true });
  const removed = await newMember('admin');
  bad['of a removed member'] = `Bearer ${(await keyOf(removed)).key}`;
  await admin('DELETE', `/v1/members/${removed}`);
  const suspended = await json<{ key: string }>(asOwner('POST', '/v1/tenants', { id: 'gone', name: 'gone' }));
  await asOwner('PATCH', '/v1/tenants/gone', { suspended: true });
  bad['of a suspended tenant'] = `Bearer ${suspended.key}`;
  const expiring = await keyOf(operator, { expiresAt: new Date(Date.now() + 1_000).toISOString() });
  bad['expired'] = `Bearer ${expiring.key}`;
  // It ends with its key, so that nobody has to wait for fifteen minutes.
  bad['an expired session token'] = `Bearer ${(await trade(callAs(bad['expired']))).accessToken}`;
  while ((await callAs(bad['expired'])('GET', '/v1/whoami')).status !== 401)
    await new Promise((r) => setTimeout(r, 50));
});

/** A member of an admin's tenant with this role. */
const withRole = async (admin: Call, name: RoleName): Promise<Call> => {
  const id = await idOf(admin('POST', '/v1/members', { name, role: name }));
  return callAs(`Bearer ${(await json<{ key: string }>(admin('POST', '/v1/api-keys', { name, member: id }))).key}`);
};

/** Calls an endpoint by its sample, with a thing that `maker` made. */
const callSample = async (call: Call, name: EndpointName, maker: Call): Promise<Response> => {
  const { make, makeBody, body, headers, query = '' }: Sample = samples[name];
  const { method, path } = endpoints[name];
  const made = make ? await make(maker) : '';
  const sent = name === 'addTenant' ? { id: newTenant(), name: 'n' } : makeBody ? await makeBody(maker) : body;
  return call(method, path.replace(/\{\w+\}/, made) + query, sent, headers);
};

/** Who can make what the sample is about. */
const makerFor = (caller: string, name: EndpointName): Call => {
  // A key is made by whom it is for: others' are not shown.
  if (endpoints[name].path.startsWith('/v1/api-keys') && caller !== 'agent') return callers[caller] as Call;
  if (endpoints[name].path.startsWith('/v1/session-tokens')) return callers[caller] as Call;
  const isOwn = endpoints[name].path.startsWith('/v1/sessions') && caller in ROLES;
  if (isOwn && permissionsOf(caller as RoleName).includes('sessions:use')) return callers[caller] as Call;
  return callers[caller === 'owner' ? 'owner' : 'admin'] as Call;
};

/** The fields that a schema of the table has. */
const shapeOf = (schema: Endpoint['query']): object => (schema as { shape?: object } | undefined)?.shape ?? {};

const permissionsOf = (name: RoleName): readonly string[] => ROLES[name];
const expectedOf = (name: EndpointName, caller: RoleName): number => {
  const { access, permission }: Endpoint = endpoints[name];
  if (access === 'runner') return 401;
  if (permission !== undefined && !permissionsOf(caller).includes(permission)) return 403;
  return samples[name].status;
};

describe.for(ROLE_NAMES)('the role %s', (caller) => {
  test.for(NAMES.map((name) => [name, expectedOf(name, caller)] as const))('%s: %i', async ([name, expected]) => {
    const response = await callSample(callers[caller] as Call, name, makerFor(caller, name));
    expect(response.status).toBe(expected);
  });
});

/** It gives nobody access, trades itself for nothing, and sees itself alone. */
const expectedOfSession = (name: EndpointName, caller: RoleName): number => {
  const { permission }: Endpoint = endpoints[name];
  if (name === 'createSessionToken' || GIVES_ACCESS.some((one) => one === permission)) return 403;
  return name === 'revokeSessionToken' ? 404 : expectedOf(name, caller);
};

describe.for(ROLE_NAMES)('a session token of the role %s', (caller) => {
  test.for(NAMES.map((name) => [name, expectedOfSession(name, caller)] as const))(
    '%s: %i',
    async ([name, expected]) => {
      const response = await callSample(sessions[caller] as Call, name, makerFor(caller, name));
      expect(response.status).toBe(expected);
    },
  );
});

describe('a credential that is not good', () => {
  const guarded = NAMES.filter((name) => (endpoints[name] as Endpoint).access !== 'anyone');
  test.for(guarded)('%s answers 401, and asks for one', async (name) => {
    const made = samples[name] as Sample;
    const thing = made.make ? await made.make(callers['admin'] as Call) : '';
    for (const [what, authorization] of Object.entries(bad)) {
      const { method, path } = endpoints[name];
      const target = path.replace(/\{\w+\}/, thing) + (made.query ?? '');
      const response = await callAs(authorization)(method, target, made.body, made.headers);
      expect([what, response.status, response.headers.get('www-authenticate')]).toEqual([what, 401, 'Bearer']);
    }
  });
});

describe('the right of a runner to one attempt', () => {
  const own = NAMES.filter((name) => !['anyone', 'runner'].includes((endpoints[name] as Endpoint).access ?? ''));
  test.for(own)('%s answers 401 to it', async (name) => {
    const right = `Bearer acme.${await command(callers['admin'] as Call)}.1.${'a'.repeat(32)}`;
    expect((await callSample(callAs(right), name, callers['admin'] as Call)).status).toBe(401);
  });
});

/** What is not the same in any two answers, and what was asked for. */
const neutral = (text: string, ids: readonly string[]): string =>
  ids.reduce(
    (left, id) => left.replaceAll(id, 'ID'),
    text.replace(/"requestId":"[^"]+"/, '').replace(/"\d{4}-[^"]+Z"/g, 'TIME'),
  );

const random = (like: string): string =>
  // Names are short, and as good as any other.
  like.replace(/(?:[0-9a-z]{12})?$/, () =>
    Array.from({ length: 12 }, () => '0123456789abcdef'[Math.floor(Math.random() * 16)]).join(''),
  );

/** All of an answer but what no two answers have in common. */
const answerFor = async (call: Call, name: EndpointName, id: string) => {
  const { body, headers: sent }: Sample = samples[name];
  const { method, path } = endpoints[name];
  const response = await call(method, path.replace(/\{\w+\}/, id), body, sent);
  const { 'x-request-id': _, ratelimit: __, ...headers } = Object.fromEntries(response.headers);
  return { status: response.status, headers, body: neutral(await response.text(), [id]) };
};
const makeTheirs = (name: EndpointName): Promise<string> =>
  ((samples[name] as Sample).make as (call: Call) => Promise<string>)(callers['admin'] as Call);
// What is made or removed by name or id is one's own, whatever others call theirs.
const BY_NAME: readonly EndpointName[] = ['putRole', 'removeRole', 'removeMember', 'putSecret', 'removeSecret'];

describe.for(ROLE_NAMES)('another tenant’s %s', (caller) => {
  test.for(OF_A_TENANT)('%s answers as for an id that never was', async (name) => {
    const theirs = await makeTheirs(name);
    const answer = await answerFor(others[caller], name, theirs);
    expect(answer).toEqual(await answerFor(others[caller], name, random(theirs)));
    const isAllowed = expectedOf(name, caller) !== 403;
    if (!isAllowed) expect(answer.status).toBe(403);
    else if (!BY_NAME.includes(name)) expect(answer.status).toBe(404);
  });
});

describe('another tenant’s admin', () => {
  test('5,000 guesses at ids of commands give one and the same answer, byte for byte', async () => {
    const theirs = await Promise.all(Array.from({ length: 50 }, () => command(callers['admin'] as Call)));
    const answers = new Set<string>();
    for (let guess = 0; guess < 5_000; guess++) {
      const id = guess % 2 === 0 ? (theirs[guess % theirs.length] as string) : random(theirs[0] as string);
      answers.add(JSON.stringify(await answerFor(callers['other'] as Call, 'getCommand', id)));
    }
    expect([...answers]).toHaveLength(1);
    expect(JSON.parse([...answers][0] as string)).toMatchObject({ status: 404 });
  }, 60_000);

  test.for(OF_A_TENANT)('%s does nothing with what is no id', async (name) => {
    const theirs = await makeTheirs(name);
    // Each is another one, as nobody may call so often at once.
    const caller = await withRole(callers['other'] as Call, 'admin');
    const odd = [
      '.',
      '..',
      '%2e%2e',
      '%2e%2e%2f%2e%2e',
      '..%5c..',
      '%c0%ae%c0%ae',
      '*',
      '%00',
      '%0a',
      '%1b',
      '',
      '%20',
    ];
    const names = ['__proto__', 'constructor', '[]', '%5B%22a%22%5D', '%7B%7D', 'a,b', 'x'.repeat(10_000), '%', '%zz'];
    const near = ['%00', '%2f..', '%20', '.', '/', '%2f', '%0d%0aX: y'].map((tail) => theirs + tail);
    for (const id of [...odd, ...names, ...near, theirs.replace(/^/, '%20')]) {
      // `constructor` is as good a name as any.
      if (BY_NAME.includes(name) && id === 'constructor') continue;
      // Clients make another path of it, POST /v1/commands, which is good for anyone's own.
      if (name === 'submitToSession' && /^(\.|%2e)\1$/.test(id)) continue;
      // A client makes /v1/events of it before it asks, and those are its own.
      if (name === 'followWorkflow' && /^(\.|%2e){2}$/.test(id)) continue;
      const { status } = await answerFor(caller, name, id);
      expect([id.slice(0, 40), status]).toEqual([id.slice(0, 40), expect.toBeOneOf([400, 404, 405])]);
    }
  });

  const LISTS = NAMES.filter(
    (name) => 'cursor' in shapeOf((endpoints[name] as Endpoint).query) && !endpoints[name].path.includes('{'),
  );
  /** Two of each, so that there is a second page. */
  const makers: Partial<Record<EndpointName, (call: Call) => Promise<unknown>>> = {
    listCommands: command,
    listApiKeys: key,
    listMembers: member,
    listPolicies: policy,
    listApprovals: approval,
    listSchedules: schedule,
    listTriggers: trigger,
    listWebhooks: webhook,
    listSecrets: secret,
    listWorkflows: workflow,
    readAudit: member,
  };
  // Tenants are the owner's alone.
  test.for(LISTS.filter((name) => name !== 'listTenants'))('%s takes no cursor of another’s', async (name) => {
    const [admin, other] = [callers['admin'] as Call, callers['other'] as Call];
    for (let made = 0; made < 2; made++) await makers[name]?.(admin);
    const { path } = endpoints[name];
    const { nextCursor } = await json<{ nextCursor: string }>(admin('GET', `${path}?limit=1`));
    expect(nextCursor).toMatch(/^\w{8,}/);
    const page = `${path}?limit=1&cursor=${nextCursor}`;
    expect((await admin('GET', page)).status).toBe(200);
    const refused = await other('GET', page);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ errors: [{ in: 'query', pointer: '/cursor' }] });
  });

  test('sees none of its commands, members, keys or roles in a list', async () => {
    const [, , , name] = await Promise.all([command, key, member, role].map((make) => make(callers['admin'] as Call)));
    const other = callers['newcomer'] as Call;
    expect((await json<{ items: [] }>(other('GET', '/v1/commands'))).items).toEqual([]);
    expect((await json<{ items: [] }>(other('GET', '/v1/members'))).items).toMatchObject([{ name: 'admin' }]);
    expect((await json<{ items: [] }>(other('GET', '/v1/api-keys'))).items).toMatchObject([{ name: 'first' }]);
    const { items } = await json<{ items: { name: string }[] }>(other('GET', '/v1/roles'));
    expect(items.map((one) => one.name)).not.toContain(name);
  });

  test('the same idempotency key in two tenants makes two commands', async () => {
    const submit = (call: Call) => idOf(call('POST', '/v1/commands', { argv: ['true'] }, { 'idempotency-key': 'one' }));
    expect(await submit(callers['admin'] as Call)).not.toBe(await submit(callers['other'] as Call));
  });
});

describe('nobody gives what it has not', () => {
  const forbidden = async (call: Call, method: string, path: string, body: unknown): Promise<void> => {
    expect((await call(method, path, body)).status).toBe(403);
  };
  /** A caller of acme's with these permissions. */
  const withPermissions = async (permissions: readonly string[]): Promise<Call> => {
    const admin = callers['admin'] as Call;
    const name = await role(admin);
    await admin('PUT', `/v1/roles/${name}`, { permissions });
    const id = await idOf(admin('POST', '/v1/members', { name, role: name }));
    const { key: text } = await json<{ key: string }>(admin('POST', '/v1/api-keys', { name: 'k', member: id }));
    return callAs(`Bearer ${text}`);
  };

  test('an admin makes no owner', async () => {
    await forbidden(callers['admin'] as Call, 'POST', '/v1/members', { name: 'm', role: 'owner' });
    await forbidden(callers['admin'] as Call, 'PUT', '/v1/roles/mine', { permissions: ['tenants:manage'] });
  });

  test('whoever manages members raises nobody above itself', async () => {
    const manager = await withPermissions(['members:manage', 'members:read']);
    await forbidden(manager, 'POST', '/v1/members', { name: 'm', role: 'admin' });
    const viewer = await member(callers['admin'] as Call);
    await forbidden(manager, 'PATCH', `/v1/members/${viewer}`, { role: 'admin' });
    await forbidden(manager, 'PUT', '/v1/roles/mine', { permissions: PERMISSIONS });
  });

  test('and puts out nobody who may do more', async () => {
    const manager = await withPermissions(['members:manage', 'members:read']);
    const id = await idOf((callers['admin'] as Call)('POST', '/v1/members', { name: 'm', role: 'admin' }));
    await forbidden(manager, 'PATCH', `/v1/members/${id}`, { disabled: true });
    await forbidden(manager, 'DELETE', `/v1/members/${id}`, undefined);
  });

  test('whoever manages keys gets no key that can do more, new or rotated', async () => {
    const manager = await withPermissions(['keys:own', 'keys:manage']);
    const admin = callers['admin'] as Call;
    const id = await idOf(admin('POST', '/v1/members', { name: 'm', role: 'admin' }));
    await forbidden(manager, 'POST', '/v1/api-keys', { name: 'k', member: id });
    await forbidden(manager, 'POST', `/v1/api-keys/${await key(admin)}/rotate`, {});
  });

  test('a limited key makes and rotates no key that is less limited', async () => {
    const admin = callers['admin'] as Call;
    const full = await key(admin);
    const terms = { name: 'k', permissions: ['keys:own', 'commands:read'], scope: { labels: { team: 'a' } } };
    const limited = callAs(`Bearer ${(await json<{ key: string }>(admin('POST', '/v1/api-keys', terms))).key}`);
    await forbidden(limited, 'POST', `/v1/api-keys/${full}/rotate`, {});
    await forbidden(limited, 'POST', '/v1/api-keys', { name: 'k', permissions: ['commands:submit'] });
    await forbidden(limited, 'POST', '/v1/api-keys', { name: 'k', scope: {} });
    const made = await limited('POST', '/v1/api-keys', { name: 'k' });
    expect(await made.json()).toMatchObject({ permissions: terms.permissions, scope: terms.scope });
  });
});

describe('a scope', () => {
  /** A key of the admin's that is limited to commands of a team. */
  const ofTeam = async (team: string): Promise<Call> => {
    const body = { name: team, scope: { labels: { team } } };
    const { key: text } = await json<{ key: string }>((callers['admin'] as Call)('POST', '/v1/api-keys', body));
    return callAs(`Bearer ${text}`);
  };

  test('puts its labels on what is submitted, and refuses others', async () => {
    const call = await ofTeam('a');
    const submitted = await json<{ labels: object }>(
      call('POST', '/v1/commands', { argv: ['true'], labels: { x: '1' } }),
    );
    expect(submitted.labels).toEqual({ team: 'a', x: '1' });
    const refused = await call('POST', '/v1/commands', { argv: ['true'], labels: { team: 'b' } });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ errors: [{ in: 'body', pointer: '/labels/team' }] });
  });

  test('shows nothing beyond it, in a list or by id', async () => {
    const [a, b] = [await ofTeam('a'), await ofTeam('b')];
    const id = await command(a);
    expect((await b('GET', `/v1/commands/${id}`)).status).toBe(404);
    expect((await b('POST', `/v1/commands/${id}/cancel`)).status).toBe(404);
    expect((await b('GET', `/v1/commands/${id}/output`)).status).toBe(404);
    const listed = async (call: Call, query: string) =>
      (await json<{ items: { id: string }[] }>(call('GET', `/v1/commands${query}`))).items.map((one) => one.id);
    expect(await listed(b, '')).not.toContain(id);
    expect(await listed(b, '?label=team:a')).toEqual([]);
    expect(await listed(a, '')).toContain(id);
  });

  test('of targets hides the others and refuses them', async () => {
    const body = { name: 't', scope: { targets: ['elsewhere'] } };
    const { key: text } = await json<{ key: string }>((callers['admin'] as Call)('POST', '/v1/api-keys', body));
    const call = callAs(`Bearer ${text}`);
    expect((await json<{ items: [] }>(call('GET', '/v1/providers'))).items).toEqual([]);
    expect((await call('POST', '/v1/commands', { argv: ['true'], target: 'local' })).status).toBe(403);
    expect((await call('POST', '/v1/commands', { argv: ['true'] })).status).toBe(403);
  });
});
