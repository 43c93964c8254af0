import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listing } from '../../shared/mcp/tools.ts';
import { type Errand, openErrand, problemOf } from '../support/errand.ts';
import { connectByHttp, REVISIONS } from '../support/mcp.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** Errand in this process, and an agent that speaks with it. */
const openAgent = async (revision: (typeof REVISIONS)[number] = '2026-07-28') => {
  const errand = await openErrand();
  return { errand, ...(await connectByHttp(errand.url, { fetch: errand.fetch, revision })) };
};

/** A key of an agent in a tenant of its own, and of its admin. */
const openTenant = async ({ request, url, fetch }: Errand) => {
  const { key } = (await (await request('POST', '/v1/tenants', { id: 'acme', name: 'Acme' })).json()) as {
    key: string;
  };
  const asAdmin = { authorization: `Bearer ${key}` };
  const made = await request('POST', '/v1/members', { name: 'agent', role: 'agent' }, asAdmin);
  const { id: member } = (await made.json()) as { id: string };
  const answer = await request('POST', '/v1/api-keys', { name: 'k', member }, asAdmin);
  const agentKey = ((await answer.json()) as { key: string }).key;
  return { asAdmin, agent: await connectByHttp(url, { fetch, key: agentKey }), agentKey };
};

const sh = (script: string) => ({ argv: ['/bin/sh', '-c', script] });

describe('the list of tools', () => {
  test('is the one that was looked at: a text that changes is seen here', () => {
    const hash = createHash('sha256').update(JSON.stringify(listing)).digest('hex');
    expect(listing.map(({ name }) => name)).toEqual([
      'run_command',
      'wait_command',
      'read_output',
      'send_input',
      'cancel_command',
      'list_commands',
      'list_targets',
      'explain_policy',
    ]);
    expect(hash).toBe('844244650443cd7c93c3b79434c4432f4469c315d17559d68570515b80ca07b1');
  });

  test.for(REVISIONS)(
    'in revision %s is that, for everyone, and refers to nothing outside itself',
    async (revision) => {
      const { client } = await openAgent(revision);
      const { tools } = await client.listTools();
      expect(tools).toEqual(listing);
      expect(JSON.stringify(tools).includes('$ref')).toBe(false);
      expect(client.getServerCapabilities()).toEqual({ tools: {} });
    },
  );

  test('says truly what only reads', () => {
    const reading = listing.filter(({ annotations }) => annotations.readOnlyHint).map(({ name }) => name);
    expect(reading).toEqual(['wait_command', 'read_output', 'list_commands', 'list_targets', 'explain_policy']);
    for (const { annotations } of listing) expect(annotations.readOnlyHint).toBe(!annotations.destructiveHint);
  });
});

describe('a command', () => {
  test.for(REVISIONS)('in revision %s: its exit code is a result, and what it wrote is marked', async (revision) => {
    const { call } = await openAgent(revision);
    const { isError, data, text } = await call('run_command', sh('echo out; echo err >&2; exit 7'));
    expect(isError).toBe(false);
    expect(data).toMatchObject({ status: 'failed', finished: true, exitCode: 7, reason: 'exit', next: null });
    expect(data['stdout']).toEqual({ text: 'out\n', totalBytes: 4, omittedBytes: 0, omittedFrom: null });
    expect(text).toMatch(/failed, exit code 7/);
    expect(text).toMatch(/<<< stdout ([0-9a-f]{16})\nout\n\n>>> stdout \1\n<<< stderr \1\nerr\n\n>>> stderr \1$/);
  });

  test('that writes a megabyte is shown in part, and the rest can be read', async () => {
    const { call } = await openAgent();
    const lines = 'i=0; while [ $i -lt 100 ]; do printf "%010000d\\n" $i; i=$((i+1)); done';
    const { data, text } = await call('run_command', { ...sh(lines), waitSeconds: 45 });
    expect(text.length).toBeLessThan(10_000);
    const { stdout, id } = data as unknown as { id: string; stdout: Record<string, number> };
    expect(stdout).toMatchObject({ totalBytes: 1_000_100, omittedBytes: 1_000_100 - 8_192, omittedFrom: 2_048 });
    let read = '';
    for (let from = 0; from < 1_000_100; ) {
      const part = await call('read_output', { id, stream: 'stdout', from, maxBytes: 65_536 });
      read += part.data['text'];
      from = part.data.nextFrom;
    }
    expect(read).toHaveLength(1_000_100);
    expect(read.slice(0, 20_000)).toBe(`${'0'.repeat(10_000)}\n${'1'.padStart(10_000, '0').slice(0, 9_999)}`);
    const tail = await call('read_output', { id, stream: 'stdout', from: -3 });
    expect(tail.data).toMatchObject({ text: '99\n', from: 1_000_097, nextFrom: 1_000_100, complete: true });
    const past = await call('read_output', { id, from: 2_000_000 });
    expect(past.problem).toMatchObject({ code: 'invalid-request', errors: [{ pointer: '/from' }] });
  });

  test('that goes on is a handle, which says what to call next', async () => {
    const { call } = await openAgent();
    const started = await call('run_command', { ...sh('echo early; sleep 60'), waitSeconds: 1 });
    expect(started.data).toMatchObject({
      finished: false,
      exitCode: null,
      next: expect.stringContaining('wait_command'),
    });
    const { id } = started.data;
    const waiting = await call('read_output', { id, waitSeconds: 10 });
    expect(waiting.data).toMatchObject({ text: 'early\n', complete: false, nextFrom: 6 });
    const canceled = await call('cancel_command', { id });
    expect(canceled.data).toMatchObject({ id, status: 'canceled', finished: true });
    const again = await call('cancel_command', { id });
    expect(again).toMatchObject({ isError: true, problem: { code: 'already-final' } });
  });

  test('takes input as it runs, and each part once', async () => {
    const { call } = await openAgent();
    const { data } = await call('run_command', { argv: ['cat'], stdin: 'open', waitSeconds: 0 });
    const { id } = data;
    await call('send_input', { id, text: 'one\n', from: 0 });
    const again = await call('send_input', { id, text: 'one\n', from: 0 });
    expect(again.data).toEqual({ stdinBytes: 4, ended: false });
    await call('send_input', { id, text: 'two\n', end: true });
    const ended = await call('wait_command', { id, waitSeconds: 45 });
    expect(ended.data).toMatchObject({ exitCode: 0, stdout: { text: 'one\ntwo\n' } });
    expect((await call('send_input', { id })).problem.code).toBe('invalid-request');
  });

  test('is the same one for the same key, in its arguments or in the header', async () => {
    const { call, errand } = await openAgent();
    const args = { ...sh('echo once'), idempotencyKey: 'a-key' };
    const first = await call('run_command', args);
    const second = await call('run_command', { ...args, waitSeconds: 1 });
    expect(second.data).toMatchObject({ id: first.data.id, repeated: true, stdout: { text: 'once\n' } });
    const other = await call('run_command', { ...args, argv: ['true'] });
    expect(other).toMatchObject({ isError: true, problem: { code: 'idempotency-mismatch' } });
    const byHeader = await connectByHttp(errand.url, {
      fetch: (input, init) =>
        errand.fetch(input, {
          ...init,
          headers: { ...Object.fromEntries(new Headers(init?.headers)), 'idempotency-key': 'a-key' },
        }),
    });
    const third = await byHeader.call('run_command', sh('echo once'));
    expect(third.data).toMatchObject({ id: first.data.id, repeated: true });
  });
});

describe('what cannot be done', () => {
  test.for([
    ['no program', 'run_command', {}, 'invalid-request', '/argv'],
    ['two programs', 'run_command', { argv: ['a'], script: 'b' }, 'invalid-request', '/argv'],
    ['a field that is none', 'run_command', { argv: ['a'], tenant: 'other' }, 'invalid-request', '/tenant'],
    [
      'too long a wait',
      'wait_command',
      { id: 'cmd_00000000000000000000000001', waitSeconds: 46 },
      'invalid-request',
      '/waitSeconds',
    ],
    ['an id that is none', 'wait_command', { id: '../../v1/api-keys' }, 'invalid-request', '/id'],
    ['a target that is none', 'run_command', { argv: ['a'], target: 'mars' }, 'invalid-request', '/target'],
    ['a command that never was', 'wait_command', { id: 'cmd_00000000000000000000000001' }, 'not-found', '/id'],
    ['a page that is none', 'list_commands', { cursor: 'x' }, 'invalid-request', '/cursor'],
  ] as const)('%s is an error that says where', async ([, name, args, code, pointer]) => {
    const { call } = await openAgent();
    const { isError, problem, text } = await call(name, args);
    expect(isError).toBe(true);
    expect(problem).toMatchObject({ code, errors: expect.arrayContaining([expect.objectContaining({ pointer })]) });
    expect(text).toContain(`${code}: `);
  });

  test.for(REVISIONS)('in revision %s a tool that is none is the protocol’s own error', async (revision) => {
    const { call } = await openAgent(revision);
    await expect(call('approve', {})).rejects.toThrow('There is no tool "approve"');
  });

  test('what needs an approval says so to the agent, which cannot give it', async () => {
    const errand = await openErrand();
    const { asAdmin, agent } = await openTenant(errand);
    const policy = {
      default: 'allow',
      rules: [
        { name: 'ask-first', effect: 'approval', programs: ['true'] },
        { name: 'never', effect: 'deny', programs: ['rm'], reason: 'too dangerous' },
      ],
    };
    await errand.request('POST', '/v1/policies', { policy }, asAdmin);
    const denied = await agent.call('run_command', { argv: ['rm', '-rf', '/'] });
    expect(denied).toMatchObject({ isError: true, problem: { code: 'policy-denied' } });
    expect(denied.text).toContain('too dangerous');
    const asked = await agent.call('run_command', { argv: ['true'] });
    const { approval } = asked.problem;
    expect(asked).toMatchObject({ isError: true, problem: { code: 'approval-required' } });
    expect(asked.text).toContain(`Approval: ${approval}`);
    expect(asked.text).toContain('Ask a person');
    await errand.request('POST', `/v1/approvals/${approval}/answer`, { approve: true }, asAdmin);
    expect((await agent.call('run_command', { argv: ['true'] })).data).toMatchObject({ exitCode: 0 });
    expect((await agent.call('run_command', { argv: ['true'] })).problem.code).toBe('approval-required');
  });

  test('beyond the tenant’s quota nothing is submitted, as by REST', async () => {
    const errand = await openErrand();
    const { agent } = await openTenant(errand);
    await errand.request('PATCH', '/v1/tenants/acme', { limits: { commandsPerDay: 1 } });
    expect((await agent.call('run_command', { argv: ['true'] })).isError).toBe(false);
    expect((await agent.call('run_command', { argv: ['true'] })).problem.code).toBe('quota-exceeded');
  });
});

describe('the door', () => {
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
  const accept = { accept: 'application/json, text/event-stream' };

  test('asks for a credential, and takes none from the address', async () => {
    const errand = await openErrand();
    const { agentKey } = await openTenant(errand);
    const { status, headers } = await errand.request('POST', `/mcp?access_token=${agentKey}&key=${agentKey}`, list, {
      ...accept,
      authorization: '',
    });
    expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    const good = await errand.request('POST', '/mcp', list, { ...accept, authorization: `Bearer ${agentKey}` });
    expect(good.status).toBe(200);
    expect(good.headers.get('access-control-allow-origin')).toBeNull();
  });

  test.for([
    ['GET', undefined, 405],
    ['DELETE', undefined, 405],
    ['OPTIONS', undefined, 405],
    ['POST', [list], 400],
    ['POST', { ...list, jsonrpc: '1.0' }, 400],
    ['POST', 'not json', 415],
  ] as const)('%s with %j is answered with %i', async ([method, body, expected]) => {
    const errand = await openErrand();
    const response = await errand.request(method, '/mcp', body, accept);
    expect(response.status).toBe(expected);
    expect((await problemOf(response)).code).toBeDefined();
  });

  test('says where to get an access token, if any are taken', async () => {
    const dataDirectory = tempDirectory();
    const issuer = 'https://login.example.com/';
    writeFileSync(
      join(dataDirectory, 'access.json'),
      JSON.stringify({ issuers: [{ issuer, audience: 'https://errand.example.com/mcp', tenant: 'acme' }] }),
    );
    const errand = await openErrand(dataDirectory);
    const ask = (host: string, path: string, body?: unknown) =>
      errand.request(body === undefined ? 'GET' : 'POST', path, body, { ...accept, authorization: '', host });
    const metadata = '/.well-known/oauth-protected-resource';
    for (const [host, origin] of [
      ['127.0.0.1:7070', 'http://127.0.0.1:7070'],
      ['errand.example.com', 'https://errand.example.com'],
    ] as const) {
      const { status, headers } = await ask(host, '/mcp', list);
      const challenge = `Bearer resource_metadata="${origin}${metadata}/mcp"`;
      expect([status, headers.get('www-authenticate')]).toEqual([401, challenge]);
      expect(await (await ask(host, `${metadata}/mcp`)).json()).toMatchObject({
        resource: `${origin}/mcp`,
        authorization_servers: [issuer],
        bearer_methods_supported: ['header'],
      });
      expect(await (await ask(host, metadata)).json()).toMatchObject({ resource: origin });
    }
  });
});
