import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type * as z from 'zod';
import type { CommandView, ProblemView } from '../../shared/contract/schemas.ts';
import type { DeliveryList, TriggerTest } from '../../shared/contract/trigger-schemas.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { plantSecret } from '../support/canaries/leaks.ts';
import { type Errand, openErrand, problemOf } from '../support/errand.ts';
import type { View, WithSecret } from '../support/triggers.ts';
import { GITHUB_PUSH, GITHUB_SECRET, githubHeaders, standardHeaders } from '../support/webhooks.ts';

// Nothing that is answered, logged or stored in the clear may hold it.
plantSecret('of a trigger', Buffer.from(GITHUB_SECRET));

type Deliveries = z.output<typeof DeliveryList>['items'];
type Body = Record<string, unknown>;

const github = { signature: { kind: 'github' }, secret: GITHUB_SECRET };
const command = { argv: ['true'] };
const make = async (errand: Errand, over: Body = {}): Promise<WithSecret> => {
  const response = await errand.request('POST', '/v1/triggers', { ...github, command, ...over });
  expect(response.status).toBe(201);
  return (await response.json()) as WithSecret;
};
const deliver = (errand: Errand, { path }: Pick<View, 'path'>, body: Uint8Array, headers = githubHeaders(body)) =>
  errand.request('POST', path, body, headers);
const deliverJson = (
  errand: Errand,
  trigger: Pick<View, 'path'>,
  body: unknown,
  headers: Record<string, string> = {},
) => {
  const bytes = Buffer.from(JSON.stringify(body));
  return deliver(errand, trigger, bytes, githubHeaders(bytes, headers));
};
const answerOf = async (response: Response) => [response.status, await response.json()] as const;
const deliveriesOf = async (errand: Errand, { id }: Pick<View, 'id'>): Promise<Deliveries> =>
  ((await (await errand.request('GET', `/v1/triggers/${id}/deliveries`)).json()) as { items: Deliveries }).items;
const commandsOf = async (errand: Errand): Promise<readonly CommandView[]> =>
  ((await (await errand.request('GET', '/v1/commands')).json()) as { items: CommandView[] }).items;
const run = async (errand: Errand, response: Response): Promise<CommandView> => {
  expect(response.status).toBe(202);
  return errand.get(((await response.json()) as { command: string }).command, 30);
};

/** Writes its arguments, its variable and its input, each up to a NUL: what came can be told byte by byte. */
const ECHO = {
  argv: ['/bin/sh', '-c', 'printf "%s\\0" "$@" "$X"; cat', 'sh', '{{ body.x }}', 'a={{ body.x }}'],
  env: { X: '{{ body.x }}' },
  stdin: '{{ body.x }}',
};

describe('a push that GitHub signed', () => {
  const push = {
    filters: [
      { on: 'event', equals: 'push' },
      { on: 'body.ref', glob: ['refs/heads/*'] },
    ],
    command: {
      argv: ['/bin/sh', '-c', 'printf "%s\\n" "$1" "$MESSAGE"; wc -c', 'sh', '{{ body.after }}'],
      env: { MESSAGE: '{{ body.head_commit.message }}' },
      stdin: '{{ raw }}',
    },
  };

  test('starts the command, with its values as data', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, push);
    const { body, signature, after, message } = GITHUB_PUSH;
    const response = await deliver(errand, trigger, body, { ...githubHeaders(body), 'x-hub-signature-256': signature });
    const ran = await run(errand, response);
    expect(ran).toMatchObject({
      status: 'succeeded',
      stdout: `${after}\n${message}\n${body.length}\n`,
      triggeredBy: { trigger: trigger.id, delivery: '72d3162e-cc78-11e3-81ab-4c9367dc0958' },
    });
    expect(existsSync('/tmp/owned')).toBe(false);
    expect(await deliveriesOf(errand, trigger)).toEqual([
      {
        at: expect.any(String),
        ...{ delivery: '72d3162e-cc78-11e3-81ab-4c9367dc0958', event: 'push', bytes: body.length },
        ...{ outcome: 'submitted', command: ran.id, reason: null, detail: null },
      },
    ]);
  });

  test('again, under another name or as another event, starts none, and is answered alike', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, push);
    const { body } = GITHUB_PUSH;
    const first = await answerOf(await deliver(errand, trigger, body));
    expect(first[0]).toBe(202);
    const again = [{}, { 'x-github-delivery': 'another' }, { 'x-github-event': 'issues' }];
    for (const over of again) {
      expect(await answerOf(await deliver(errand, trigger, body, githubHeaders(body, over)))).toEqual(first);
    }
    expect(await commandsOf(errand)).toHaveLength(1);
    const outcomes = (await deliveriesOf(errand, trigger)).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['repeated', 'repeated', 'repeated', 'submitted']);
  });

  test('many times at once starts one', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, push);
    const all = await Promise.all(Array.from({ length: 8 }, () => deliver(errand, trigger, GITHUB_PUSH.body)));
    const answers = await Promise.all(all.map(answerOf));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await commandsOf(errand)).toHaveLength(1);
  });

  test('is the same delivery by GitHub’s name for it, where that was chosen', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, { ...push, signature: { kind: 'github', identifiedBy: 'delivery' } });
    const { body } = GITHUB_PUSH;
    for (const id of ['a', 'b', 'a']) {
      await deliver(errand, trigger, body, githubHeaders(body, { 'x-github-delivery': id }));
    }
    expect(await commandsOf(errand)).toHaveLength(2);
  });

  test('may be a form', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, { command: ECHO });
    const body = Buffer.from(`payload=${encodeURIComponent('{"x":"a & b = c"}')}`);
    const headers = githubHeaders(body, { 'content-type': 'application/x-www-form-urlencoded' });
    expect((await run(errand, await deliver(errand, trigger, body, headers))).stdout).toContain('a & b = c\0');
  });
});

describe('nothing is started by', () => {
  const { body } = GITHUB_PUSH;
  const good = githubHeaders(body);
  const bigger = Buffer.from(JSON.stringify({ x: 'x'.repeat(LIMITS.deliveryBytes) }));

  test.for<[what: string, status: number, body: Uint8Array, headers: Record<string, string>]>([
    ['one that is not signed', 404, body, { ...good, 'x-hub-signature-256': '' }],
    ['one that another signed', 404, body, githubHeaders(body, {}, 'somebody else’s secret')],
    ['one whose body was changed', 404, Buffer.concat([body, Buffer.from(' ')]), good],
    ['one that says it is a ping, and is not signed', 404, body, { 'x-github-event': 'ping' }],
    ['one that is too large, though signed', 413, bigger, githubHeaders(bigger)],
  ])('%s', async ([, status, bytes, headers]) => {
    const errand = await openErrand();
    const trigger = await make(errand, { command: ECHO });
    expect((await deliver(errand, trigger, bytes, headers)).status).toBe(status);
    expect(await commandsOf(errand)).toEqual([]);
  });

  test('a ping, which is answered', async () => {
    const errand = await openErrand();
    const trigger = await make(errand);
    const response = await deliverJson(
      errand,
      trigger,
      { zen: 'Keep it logically awesome.' },
      { 'x-github-event': 'ping' },
    );
    expect(await answerOf(response)).toEqual([200, { outcome: 'skipped', reason: 'ping' }]);
    expect(await commandsOf(errand)).toEqual([]);
  });

  test.for<[what: string, value: unknown, status: number, reason: string]>([
    ['no value', undefined, 422, 'missing-value'],
    ['a value that is null', null, 422, 'missing-value'],
    ['a NUL', 'a\0b', 422, 'invalid-command'],
    ['half a character', '\ud800', 422, 'invalid-command'],
    ['a value that would be an option', '--help', 422, 'leading-dash'],
    ['a value that is too long', 'x'.repeat(200_000), 422, 'invalid-command'],
    ['what a filter holds off', 'filtered', 200, 'filter'],
  ])('%s, and its sender and its history say why', async ([, x, status, reason]) => {
    const errand = await openErrand();
    const filters = [{ on: 'body.x', equals: 'filtered', not: true }];
    const trigger = await make(errand, { command: ECHO, filters });
    const outcome = status === 200 ? 'skipped' : 'refused';
    expect(await answerOf(await deliverJson(errand, trigger, { x }))).toEqual([status, { outcome, reason }]);
    const [delivery] = await deliveriesOf(errand, trigger);
    expect(delivery).toMatchObject({ outcome, reason, detail: expect.any(String), command: null });
    // Where, and never what.
    expect(JSON.stringify(delivery)).not.toMatch(/--help|xxx|filtered"/);
    expect(await commandsOf(errand)).toEqual([]);
  });

  test('a body that is not what it says it is', async () => {
    const errand = await openErrand();
    const trigger = await make(errand);
    const broken = Buffer.from('{"x":');
    expect(await answerOf(await deliver(errand, trigger, broken))).toEqual([
      422,
      { outcome: 'refused', reason: 'invalid-body' },
    ]);
  });

  test('a trigger that is paused, one that is not there, and a signature that is not good, all answered alike', async () => {
    const errand = await openErrand();
    const [open, paused] = [await make(errand), await make(errand)];
    await errand.request('POST', `/v1/triggers/${paused.id}/pause`);
    const removed = await make(errand);
    await errand.request('DELETE', `/v1/triggers/${removed.id}`);
    const forged = githubHeaders(body, {}, 'somebody else’s secret');
    const asks: readonly (readonly [string, Record<string, string>])[] = [
      [open.path, forged],
      [paused.path, good],
      [paused.path, forged],
      [removed.path, good],
      ['/hooks/trg_0123456789abcdef', good],
      ['/hooks/nothing', good],
    ];
    const answers = await Promise.all(
      asks.map(async ([path, headers]) => {
        const response = await errand.request('POST', path, body, headers);
        const { requestId: _, instance: __, ...problem } = (await response.json()) as ProblemView & Body;
        const { 'x-request-id': ___, ...sent } = Object.fromEntries(response.headers);
        return JSON.stringify([response.status, { ...sent, 'content-length': 0 }, problem]);
      }),
    );
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('not-found');
    expect((await deliveriesOf(errand, paused)).map(({ reason }) => reason).toSorted()).toEqual([
      'paused',
      'signature',
    ]);
    expect(await deliveriesOf(errand, open)).toMatchObject([{ reason: 'signature', delivery: null, event: null }]);
    await errand.request('POST', `/v1/triggers/${paused.id}/resume`);
    expect((await deliver(errand, paused, body)).status).toBe(202);
  });
});

describe('hostile values reach a command as data', () => {
  test.for<[what: string, x: string]>([
    ['quotes', `"'"'" \\" \\' \``],
    ['what a shell would run', '$(touch /tmp/owned) `touch /tmp/owned` ; touch /tmp/owned & | && || > /tmp/owned'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is for a shell, which must not see it
    ['what a shell would put in', '$HOME ${PATH} ~ * ? [a-z] {a,b} !! %s %n'],
    ['lines', 'one\ntwo\r\nthree\n\n'],
    ['escapes of a terminal', '\u001b[31m\u0007\u009b\b'],
    ['a template', '{{ raw }} {{ headers["x-github-event"] }}'],
    ['a dash later on', 'a --flag -x'],
    ['nothing', ''],
    ['text of all the world', 'Ünïcödé \u202e\u2066 🙈 𝒳 日本'],
    ['a long one', 'x'.repeat(60_000)],
  ])('%s', async ([, x]) => {
    const errand = await openErrand();
    const trigger = await make(errand, { command: ECHO });
    const { id } = await run(errand, await deliverJson(errand, trigger, { x }));
    const output = await errand.request('GET', `/v1/commands/${id}/output?stream=stdout`);
    expect(Buffer.from(await output.arrayBuffer()).toString()).toBe(`${x}\0a=${x}\0${x}\0${x}`);
    expect(existsSync('/tmp/owned')).toBe(false);
  });

  test('and what is no text as JSON', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, { command: ECHO });
    const x = { a: ['$(id)', 1.5, null, true], "b'c": '-' };
    const { stdout } = await run(errand, await deliverJson(errand, trigger, { x }));
    expect(stdout.split('\0')[0]).toBe(JSON.stringify(x));
  });

  test('and a leading dash where it is no option, or was allowed', async () => {
    const errand = await openErrand();
    const echo = ['/bin/echo', '--', '{{ body.x }}'];
    const behind = await make(errand, { command: { argv: echo } });
    const allowed = await make(errand, { command: ECHO, leadingDashes: 'allow' });
    expect((await run(errand, await deliverJson(errand, behind, { x: '--help' }))).stdout).toBe('-- --help\n');
    expect((await run(errand, await deliverJson(errand, allowed, { x: '--help' }))).stdout).toMatch(/^--help\0/);
  });

  test('and bytes that are no text as they are', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, { command: { argv: ['cat'], stdin: '{{ raw }}' } });
    const bytes = Buffer.from([0, 255, 254, 10, 13, 0x80]);
    const { id } = await run(
      errand,
      await deliver(errand, trigger, bytes, githubHeaders(bytes, { 'content-type': 'application/octet-stream' })),
    );
    const output = await errand.request('GET', `/v1/commands/${id}/output?stream=stdout`);
    expect(Buffer.from(await output.arrayBuffer())).toEqual(bytes);
  });
});

describe('other senders', () => {
  test('sign as Standard Webhooks: a try that comes again, later and signed anew, starts no other', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, { signature: { kind: 'standard-webhooks' }, secret: undefined, command: ECHO });
    const secret = trigger.secret ?? '';
    expect(secret).toMatch(/^whsec_/);
    const body = Buffer.from('{"type":"invoice.paid","x":"7"}');
    const first = await answerOf(await deliver(errand, trigger, body, standardHeaders(secret, body)));
    const later = standardHeaders(secret, body, { at: Date.now() + 60_000 });
    expect(await answerOf(await deliver(errand, trigger, body, later))).toEqual(first);
    expect(first[0]).toBe(202);
    const old = standardHeaders(secret, body, { id: 'msg_2', at: Date.now() - 400_000 });
    expect((await deliver(errand, trigger, body, old)).status).toBe(404);
    expect(await commandsOf(errand)).toHaveLength(1);
    expect(await deliveriesOf(errand, trigger)).toMatchObject([
      { reason: 'signature' },
      { outcome: 'repeated', delivery: 'msg_1' },
      { outcome: 'submitted', event: 'invoice.paid', delivery: 'msg_1' },
    ]);
  });

  test('send a token: each delivery is one of its own, but where a header names it', async () => {
    const errand = await openErrand();
    const kind = 'shared-token';
    const named = await make(errand, {
      signature: { kind, header: 'x-gitlab-token', deliveryHeader: 'x-gitlab-event-uuid' },
    });
    const plain = await make(errand, { signature: { kind } });
    const send = (trigger: View, headers: Record<string, string>) =>
      errand.request('POST', trigger.path, '{}', { 'content-type': 'application/json', ...headers });
    for (const uuid of ['u1', 'u2', 'u1']) {
      const sent = await send(named, { 'x-gitlab-token': GITHUB_SECRET, 'x-gitlab-event-uuid': uuid });
      expect(sent.status).toBe(202);
    }
    expect(await commandsOf(errand)).toHaveLength(2);
    for (let n = 0; n < 2; n++) expect((await send(plain, { 'x-errand-token': GITHUB_SECRET })).status).toBe(202);
    expect(await commandsOf(errand)).toHaveLength(4);
    expect((await send(plain, { 'x-errand-token': `${GITHUB_SECRET}x` })).status).toBe(404);
    expect((await send(plain, {})).status).toBe(404);
  });
});

describe('POST /v1/triggers', () => {
  test('answers with the trigger in full, where it is, and its secret once', async () => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/triggers', {
      name: 'deploy',
      signature: { kind: 'github' },
      command: {
        argv: ['deploy', '{{ body.ref }}'],
        env: { TOKEN: 'a-value-nobody-sees', REF: '{{ body.ref }}' },
        labels: { a: 'b' },
      },
    });
    const made = (await response.json()) as WithSecret;
    expect([response.status, response.headers.get('location')]).toEqual([201, `/v1/triggers/${made.id}`]);
    expect(made).toMatchObject({
      ...{ name: 'deploy', version: 1, state: 'active', path: `/hooks/${made.id}`, member: 'owner' },
      ...{ signature: { kind: 'github', identifiedBy: 'body' }, filters: [], leadingDashes: 'refuse' },
      secrets: [{ endsAt: null }],
      command: {
        ...{ argv: ['deploy', '{{ body.ref }}'], target: 'local', labels: { a: 'b' }, stdin: null, hasStdin: false },
        ...{ env: { REF: '{{ body.ref }}' }, envNames: ['TOKEN', 'REF'] },
      },
      secret: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const { secret, ...shown } = made;
    expect(JSON.stringify(made)).not.toContain('a-value-nobody-sees');
    expect(await (await errand.request('GET', `/v1/triggers/${made.id}`)).json()).toEqual(shown);
    expect(await (await errand.request('GET', '/v1/triggers')).json()).toEqual({ items: [shown] });
    const { body } = GITHUB_PUSH;
    expect((await deliver(errand, made, body, githubHeaders(body, {}, secret ?? ''))).status).toBe(202);
  });

  test('does not show a secret again that was brought', async () => {
    expect((await make(await openErrand())).secret).toBeNull();
  });

  test.for<[what: string, body: Body, pointer: string]>([
    ['no signature', { signature: undefined }, '/signature'],
    ['an unknown kind', { signature: { kind: 'none' } }, '/signature/kind'],
    ['a field of another kind', { signature: { kind: 'github', header: 'x-a' } }, '/signature/header'],
    ['a header of the connection', { signature: { kind: 'shared-token', header: 'host' } }, '/signature/header'],
    ['a short secret', { secret: 'short' }, '/secret'],
    ['a secret of another kind', { signature: { kind: 'standard-webhooks' } }, '/secret'],
    ['a value in a script', { command: { script: 'echo {{ body.x }}' } }, '/command/script'],
    ['a value as the program', { command: { argv: ['{{ body.x }}'] } }, '/command/argv/0'],
    ['a value as code', { command: { argv: ['sh', '-c', 'echo {{ body.x }}'] } }, '/command/argv'],
    ['a placeholder of nothing', { command: { argv: ['a', '{{ x }}'] } }, '/command/argv/1'],
    ['a secret header', { command: { argv: ['a', '{{ headers["x-hub-signature-256"] }}'] } }, '/command/argv/1'],
    ['input that nobody writes', { command: { ...command, stdin: 'open' } }, '/command/stdin'],
    ['an unknown target', { command: { ...command, target: 'nowhere' } }, '/command/target'],
    ['an unknown secret', { command: { ...command, secrets: { A: 'secret:b' } } }, '/command/secrets/A'],
    ['a large command', { command: { ...command, stdin: 'x'.repeat(33_000) } }, '/command'],
    ['a condition on nothing', { filters: [{ on: 'nobody', exists: true }] }, '/filters/0/on'],
    ['a condition that asks nothing', { filters: [{ on: 'body.a' }] }, '/filters/0/equals'],
    ['a condition that asks two things', { filters: [{ on: 'body.a', equals: 1, exists: true }] }, '/filters/0/equals'],
  ])('refuses %s, and says where', async ([, over, pointer]) => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/triggers', { ...github, command, ...over });
    const { errors } = (await response.json()) as ProblemView;
    expect([response.status, errors?.map((fault) => fault.pointer)]).toEqual([400, expect.arrayContaining([pointer])]);
    expect(await (await errand.request('GET', '/v1/triggers')).json()).toEqual({ items: [] });
  });

  test('holds no more of them than a tenant may have', async () => {
    const errand = await openErrand();
    for (let n = 0; n < LIMITS.triggers; n++) await make(errand);
    const refused = await errand.request('POST', '/v1/triggers', { ...github, command });
    expect(await problemOf(refused)).toMatchObject({ status: 409, detail: expect.stringContaining('100 triggers') });
  }, 60_000);
});

describe('a trigger', () => {
  test('is put anew, paused, resumed and removed; its address and its secret stay until then', async () => {
    const errand = await openErrand();
    const trigger = await make(errand);
    const at = (more = '') => `/v1/triggers/${trigger.id}${more}`;
    const next = { signature: { kind: 'github' }, command: { argv: ['echo', '{{ body.after }}'] }, onVersion: 1 };
    const put = await errand.request('PUT', at(), next);
    expect(await put.json()).toMatchObject({ id: trigger.id, path: trigger.path, version: 2, name: '' });
    expect(await problemOf(await errand.request('PUT', at(), next))).toMatchObject({
      status: 409,
      errors: [{ pointer: '/onVersion' }],
    });
    const other = await errand.request('PUT', at(), { ...next, signature: { kind: 'shared-token' } });
    expect(await problemOf(other)).toMatchObject({ status: 400, errors: [{ pointer: '/signature/kind' }] });
    expect((await run(errand, await deliver(errand, trigger, GITHUB_PUSH.body))).stdout).toBe(`${GITHUB_PUSH.after}\n`);
    for (const [verb, state] of [
      ['pause', 'paused'],
      ['pause', 'paused'],
      ['resume', 'active'],
    ] as const) {
      expect(await (await errand.request('POST', at(`/${verb}`))).json()).toMatchObject({ state });
    }
    expect((await errand.request('DELETE', at())).status).toBe(204);
    for (const path of [at(), at('/deliveries')]) expect((await errand.request('GET', path)).status).toBe(404);
  });

  test('and all that was done with it is in the audit log, with each delivery that was refused', async () => {
    const errand = await openErrand();
    const trigger = await make(errand, { command: ECHO });
    const at = (more: string) => `/v1/triggers/${trigger.id}${more}`;
    for (const verb of ['pause', 'resume', 'rotate']) await errand.request('POST', at(`/${verb}`));
    await deliverJson(errand, trigger, {});
    await errand.request('DELETE', at(''));
    const log = await errand.request('GET', `/v1/audit?subject=${trigger.id}`);
    const { items } = (await log.json()) as { items: { entry: { type: string; details: Body; actor: Body } }[] };
    expect(items.map(({ entry }) => entry.type).toReversed()).toEqual(
      ['put', 'paused', 'resumed', 'secret-rotated', 'refused', 'removed'].map((what) => `trigger.${what}`),
    );
    expect(items[1]?.entry).toMatchObject({
      details: { reason: 'missing-value' },
      actor: { credential: { kind: 'trigger', id: trigger.id } },
    });
  });

  test('submits as its member: the audit log says by which trigger', async () => {
    const errand = await openErrand();
    const trigger = await make(errand);
    const { id } = await run(errand, await deliver(errand, trigger, GITHUB_PUSH.body));
    const log = await errand.request('GET', `/v1/audit?subject=${id}&type=command.submitted`);
    expect(await log.json()).toMatchObject({
      items: [
        {
          entry: {
            actor: { id: 'owner', credential: { kind: 'trigger', id: trigger.id } },
            details: { trigger: trigger.id },
          },
        },
      ],
    });
  });

  test('takes its old secret beside the new one, and at once no more where none is to overlap', async () => {
    const errand = await openErrand();
    const trigger = await make(errand);
    const rotate = async (body: Body) =>
      (await (await errand.request('POST', `/v1/triggers/${trigger.id}/rotate`, body)).json()) as WithSecret;
    const send = async (n: number, secret: string) => {
      const body = Buffer.from(JSON.stringify({ n }));
      return (await deliver(errand, trigger, body, githubHeaders(body, {}, secret))).status;
    };
    const second = await rotate({});
    expect(second.secrets).toMatchObject([{ endsAt: null }, { endsAt: expect.any(String) }]);
    expect([await send(1, GITHUB_SECRET), await send(2, second.secret ?? '')]).toEqual([202, 202]);
    const third = await rotate({ overlapSeconds: 60 });
    expect([await send(3, GITHUB_SECRET), await send(4, second.secret ?? '')]).toEqual([404, 202]);
    const fourth = await rotate({ overlapSeconds: 0, secret: 'of-my-own-as-long-1' });
    expect(fourth).toMatchObject({ secret: null, secrets: [{ endsAt: null }] });
    expect([await send(5, third.secret ?? ''), await send(6, 'of-my-own-as-long-1')]).toEqual([404, 202]);
    const short = await errand.request('POST', `/v1/triggers/${trigger.id}/rotate`, { secret: 'short' });
    expect(await problemOf(short)).toMatchObject({ status: 400, errors: [{ pointer: '/secret' }] });
  });

  test('beyond a caller’s scope is not there, and within it carries its labels', async () => {
    const errand = await openErrand();
    const keyOf = async (team: string) => {
      const made = await errand.request('POST', '/v1/api-keys', { name: team, scope: { labels: { team } } });
      return { authorization: `Bearer ${((await made.json()) as { key: string }).key}` };
    };
    const [a, b] = [await keyOf('a'), await keyOf('b')];
    const made = (await (await errand.request('POST', '/v1/triggers', { ...github, command }, a)).json()) as View;
    expect(made.command.labels).toEqual({ team: 'a' });
    for (const [method, more, body] of [
      ['GET', '', undefined],
      ['PUT', '', { signature: { kind: 'github' }, command }],
      ['DELETE', '', undefined],
      ['POST', '/pause', undefined],
      ['POST', '/resume', undefined],
      ['POST', '/rotate', {}],
      ['POST', '/test', {}],
      ['GET', '/deliveries', undefined],
    ] as const) {
      expect((await errand.request(method, `/v1/triggers/${made.id}${more}`, body, b)).status).toBe(404);
    }
    expect(await (await errand.request('GET', '/v1/triggers', undefined, b)).json()).toEqual({ items: [] });
    const ran = await run(errand, await deliver(errand, made, GITHUB_PUSH.body));
    expect(ran.labels).toEqual({ team: 'a' });
    expect(ran).toMatchObject({ triggeredBy: { trigger: made.id } });
  });

  test('submits with the rights that its member has when a delivery comes', async () => {
    const errand = await openErrand();
    const idOf = async (path: string, body: object) =>
      (await (await errand.request('POST', path, body)).json()) as { id: string; key: string };
    const member = await idOf('/v1/members', { name: 'm', role: 'operator' });
    const { key } = await idOf('/v1/api-keys', { name: 'k', member: member.id });
    const own = { authorization: `Bearer ${key}` };
    const trigger = (await (await errand.request('POST', '/v1/triggers', { ...github, command }, own)).json()) as View;
    expect((await deliverJson(errand, trigger, { n: 1 })).status).toBe(202);
    await errand.request('PATCH', `/v1/members/${member.id}`, { role: 'viewer' });
    const refused = { outcome: 'refused', reason: 'forbidden' };
    expect(await answerOf(await deliverJson(errand, trigger, { n: 2 }))).toEqual([422, refused]);
    await errand.request('PATCH', `/v1/members/${member.id}`, { disabled: true });
    expect(await answerOf(await deliverJson(errand, trigger, { n: 3 }))).toEqual([422, refused]);
    const [last] = await deliveriesOf(errand, trigger);
    expect(last).toMatchObject({ ...refused, detail: expect.stringContaining(member.id) });
    // What was submitted once is answered as it was.
    expect((await deliverJson(errand, trigger, { n: 1 })).status).toBe(202);
    // Whoever puts it again owns it.
    await errand.request('PUT', `/v1/triggers/${trigger.id}`, { signature: { kind: 'github' }, command });
    expect((await deliverJson(errand, trigger, { n: 3 })).status).toBe(202);
  });

  test('asks the policy about each command as it is with its values', async () => {
    const errand = await openErrand();
    const rules = [{ name: 'no-prod', effect: 'deny', programs: ['true'], anyArgument: ['prod'] }];
    const applied = await errand.request('POST', '/v1/policies', { policy: { default: 'allow', rules } });
    expect(applied.status).toBe(201);
    const trigger = await make(errand, { command: { argv: ['true', '{{ body.x }}'] } });
    expect((await deliverJson(errand, trigger, { x: 'test' })).status).toBe(202);
    expect(await answerOf(await deliverJson(errand, trigger, { x: 'prod' }))).toEqual([
      422,
      { outcome: 'refused', reason: 'policy-denied' },
    ]);
    expect(await commandsOf(errand)).toHaveLength(1);
  });

  test('shows its deliveries page after page, by no other’s cursor', async () => {
    const errand = await openErrand();
    const trigger = await make(errand);
    for (let n = 0; n < 3; n++) await deliverJson(errand, trigger, { n });
    const page = async (query: string) =>
      (await (await errand.request('GET', `/v1/triggers/${trigger.id}/deliveries?limit=2${query}`)).json()) as {
        items: Deliveries;
        nextCursor?: string;
      };
    const first = await page('');
    const second = await page(`&cursor=${first.nextCursor}`);
    const commands = [...first.items, ...second.items].map((one) => one.command);
    expect([commands.length, new Set(commands).size, second.nextCursor]).toEqual([3, 3, undefined]);
    const theirs = Buffer.from(`v2:other:0-a`).toString('base64url');
    const refused = await errand.request('GET', `/v1/triggers/${trigger.id}/deliveries?cursor=${theirs}`);
    expect(await problemOf(refused)).toMatchObject({ status: 400, errors: [{ pointer: '/cursor' }] });
  });
});

describe('POST /v1/triggers/{id}/test', () => {
  const testOf = async (errand: Errand, { id }: Pick<View, 'id'>, body: Body) =>
    (await (await errand.request('POST', `/v1/triggers/${id}/test`, body)).json()) as z.output<typeof TriggerTest>;

  test('says what would be submitted, what each filter says, and what the policy makes of it; nothing is done', async () => {
    const errand = await openErrand();
    await errand.request('POST', '/v1/policies', {
      policy: { default: 'allow', rules: [{ name: 'no', effect: 'deny', programs: ['rm'] }] },
    });
    const filters = [
      { on: 'event', equals: 'push' },
      { on: 'body.draft', exists: true, not: true },
    ];
    const trigger = await make(errand, {
      filters,
      command: { ...ECHO, env: { ...ECHO.env, TOKEN: 'a-value-nobody-sees' } },
    });
    const test = await testOf(errand, trigger, { event: 'push', body: { x: '$(id)' } });
    expect(test).toMatchObject({
      ...{ outcome: 'submitted', reason: null, detail: null },
      filters: [
        { on: 'event', equals: 'push', holds: true, found: true },
        { on: 'body.draft', exists: true, not: true, holds: true, found: false },
      ],
      command: {
        argv: [...ECHO.argv.slice(0, 4), '$(id)', 'a=$(id)'],
        env: { X: '$(id)' },
        envNames: ['X', 'TOKEN'],
        stdin: '$(id)',
      },
      policy: { effect: 'allow' },
    });
    expect(JSON.stringify(test)).not.toContain('a-value-nobody-sees');
    expect(await testOf(errand, trigger, { event: 'issues', body: { x: 'a' } })).toMatchObject({
      ...{ outcome: 'skipped', reason: 'filter', detail: expect.stringContaining('/filters/0'), command: null },
      filters: [{ holds: false }, { holds: true }],
    });
    expect(await testOf(errand, trigger, { event: 'push', body: {} })).toMatchObject({
      ...{ outcome: 'refused', reason: 'missing-value', detail: expect.stringContaining('/argv/4') },
    });
    expect(await testOf(errand, trigger, { event: 'ping' })).toMatchObject({ outcome: 'skipped', reason: 'ping' });
    const denied = await make(errand, { command: { argv: ['rm', '{{ body.x }}'] } });
    expect(await testOf(errand, denied, { body: { x: 'a' } })).toMatchObject({
      ...{ outcome: 'refused', reason: 'policy-denied', policy: { effect: 'deny', rule: 'no' } },
    });
    expect(await commandsOf(errand)).toEqual([]);
    expect(await deliveriesOf(errand, trigger)).toEqual([]);
  });

  test('takes a body that is no JSON, and headers', async () => {
    const errand = await openErrand();
    const argv = ['echo', '{{ body.a }}', '{{ headers["x-b"] }}'];
    const trigger = await make(errand, { signature: { kind: 'shared-token' }, command: { argv } });
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded', 'X-B': 'c' };
    expect(await testOf(errand, trigger, { text: 'a=1+2', headers })).toMatchObject({
      command: { argv: ['echo', '1 2', 'c'] },
    });
  });
});
