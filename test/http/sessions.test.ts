import { describe, expect, onTestFinished, test } from 'vitest';
import type { Session } from '../../clients/sdk/sessions.ts';
import { fetchFrom } from '../../local/embedded.ts';
import { makeGateway } from '../../local/gateway.ts';
import { openData } from '../../local/open-data.ts';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { tendSessions } from '../../shared/app/end-session.ts';
import type { CommandView } from '../../shared/contract/schemas.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { type Errand, openErrand, problemOf } from '../support/errand.ts';
import { processesWith } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const isOnLinux = process.platform === 'linux';

const start = async (errand: Pick<Errand, 'request'>, body: object = {}): Promise<Session> => {
  const response = await errand.request('POST', '/v1/sessions', body);
  expect(response.status).toBe(201);
  return (await response.json()) as Session;
};
const exec = async (
  errand: Pick<Errand, 'request'>,
  { id }: { readonly id: string },
  script: string,
  over: object = {},
  headers: Record<string, string> = { prefer: 'wait=60' },
): Promise<CommandView> =>
  (await (
    await errand.request('POST', `/v1/sessions/${id}/commands`, { script, ...over }, headers)
  ).json()) as CommandView;
const read = async (errand: Pick<Errand, 'request'>, { id }: { readonly id: string }): Promise<Session> =>
  (await (await errand.request('GET', `/v1/sessions/${id}`)).json()) as Session;

describe.skipIf(!isOnLinux)('a session', () => {
  test('has each script know the trace of its own request, unless it was started with one', async () => {
    const errand = await openErrand();
    const traceparent = (digit: string) => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`;
    const told = async (session: Session, headers: Record<string, string>) =>
      (await exec(errand, session, 'printf %s "$TRACEPARENT"', {}, { prefer: 'wait=60', ...headers })).stdout;
    const session = await start(errand);
    expect(await told(session, { traceparent: traceparent('1') })).toBe(traceparent('1'));
    expect(await told(session, { traceparent: traceparent('2') })).toBe(traceparent('2'));
    expect(await told(session, {})).toBe('');
    const own = await start(errand, { env: { TRACEPARENT: 'own' } });
    expect(await told(own, { traceparent: traceparent('3') })).toBe('own');
  });

  test('is answered in full, keeps what its scripts leave, and each of them is a command like any other', async () => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/sessions', {
      ...{ name: 'mine', shell: 'bash', env: { TOKEN: 'a-value-nobody-sees' }, labels: { team: 'a' }, idleSeconds: 60 },
    });
    const text = await response.text();
    const session = JSON.parse(text) as Session;
    expect([response.status, response.headers.get('location')]).toEqual([201, `/v1/sessions/${session.id}`]);
    expect(text).not.toContain('a-value-nobody-sees');
    expect(session).toMatchObject({
      ...{ name: 'mine', state: 'active', reason: null, target: 'local', shell: 'bash', isolation: 'none' },
      ...{ member: 'owner', envNames: ['TOKEN'], labels: { team: 'a' }, idleSeconds: 60, maxLifeSeconds: 28_800 },
      ...{ running: null, waiting: 0, endedAt: null },
    });
    expect(Date.parse(session.expiresAt ?? '') - Date.parse(session.lastUsedAt)).toBe(60_000);
    await exec(errand, session, 'mkdir a; cd a; x=kept; y=2');
    const command = await exec(
      errand,
      session,
      'echo "$x $y $(printf %s "$TOKEN" | wc -c)"; basename "$PWD"; cat; echo e >&2; false',
      {
        ...{ stdin: 'open', labels: { own: 'b' } },
      },
    );
    expect(command).toMatchObject({
      ...{
        status: 'failed',
        session: session.id,
        target: 'local',
        labels: { team: 'a', own: 'b' },
        shell: '/bin/bash',
      },
      ...{ stdout: 'kept 2 19\na\nopen', stderr: 'e\n' },
      result: { exitCode: 1, signal: null, reason: 'exit', isolation: 'none', stdoutBytes: 16, stderrBytes: 2 },
    });
    expect(await errand.get(command.id)).toEqual(command);
    const { items } = (await (await errand.request('GET', '/v1/sessions')).json()) as { items: Session[] };
    expect(items.map(({ id }) => id)).toEqual([session.id]);
    const ended = await errand.request('DELETE', `/v1/sessions/${session.id}`);
    expect(ended.status).toBe(200);
    expect(await ended.json()).toMatchObject({ state: 'ended', reason: 'requested', expiresAt: null });
    expect((await errand.request('DELETE', `/v1/sessions/${session.id}`)).status).toBe(200);
    expect(processesWith(session.id)).toEqual([]);
    const late = await errand.request('POST', `/v1/sessions/${session.id}/commands`, { script: 'echo no' });
    expect([late.status, (await problemOf(late)).code]).toEqual([409, 'conflict']);
    const log = await errand.request('GET', `/v1/audit?subject=${session.id}`);
    const { items: entries } = (await log.json()) as { items: { entry: { type: string; details: object } }[] };
    expect(entries.map(({ entry: { type, details } }) => [type, details])).toEqual([
      ['session.ended', { reason: 'requested' }],
      ['session.started', { target: 'local', isolation: 'none', shell: 'bash' }],
    ]);
  });

  test('50 scripts that are submitted at once are executed one after the other, none twice', async () => {
    const errand = await openErrand();
    const session = await start(errand);
    await exec(errand, session, 'n=0; busy=');
    const all = await Promise.all(
      Array.from({ length: 50 }, () =>
        exec(errand, session, '[ -z "$busy" ] || echo overlapping; busy=1; n=$((n+1)); /bin/true; busy=; echo $n'),
      ),
    );
    expect(all.map(({ stdout }) => Number(stdout)).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, n) => n + 1),
    );
  });

  test('those that are submitted one after the other are executed in that order', async () => {
    const errand = await openErrand();
    const session = await start(errand);
    const ids: string[] = [];
    for (let n = 0; n < 30; n++) ids.push((await exec(errand, session, `seen="$seen ${n}"`, {}, {})).id);
    for (const id of ids) expect(await errand.get(id, 60)).toMatchObject({ status: 'succeeded' });
    expect((await exec(errand, session, 'echo $seen')).stdout).toBe(`${ids.map((_, n) => n).join(' ')}\n`);
  });

  test('its line has an end, and one that is canceled while it waits leaves it', async () => {
    const errand = await openErrand();
    const session = await start(errand);
    const noWait = {};
    const first = await exec(errand, session, 'sleep 1000', {}, noWait);
    await expect.poll(async () => (await read(errand, session)).running).toBe(first.id);
    const waiting: CommandView[] = [];
    for (let n = 0; n < LIMITS.sessionWaiting; n++) waiting.push(await exec(errand, session, `echo ${n}`, {}, noWait));
    await expect.poll(async () => (await read(errand, session)).waiting).toBe(LIMITS.sessionWaiting);
    const refused = await errand.request('POST', `/v1/sessions/${session.id}/commands`, { script: 'echo no' });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    await errand.request('POST', `/v1/commands/${waiting[0]?.id}/cancel`);
    await errand.request('POST', `/v1/commands/${first.id}/cancel`);
    expect(await errand.get(first.id, 60)).toMatchObject({ status: 'canceled' });
    expect(await errand.get(waiting.at(-1)?.id ?? '', 60)).toMatchObject({
      ...{ status: 'succeeded', stdout: `${LIMITS.sessionWaiting - 1}\n` },
    });
    expect(await errand.get(waiting[0]?.id ?? '')).toMatchObject({ status: 'canceled', startedAt: null });
  });

  test('a time-out interrupts the script, and the session goes on', async () => {
    const errand = await openErrand();
    const session = await start(errand);
    await exec(errand, session, 'x=kept');
    expect(await exec(errand, session, 'sleep 1000; echo no', { timeoutSeconds: 1 })).toMatchObject({
      ...{ status: 'timed_out', stdout: '' },
      result: { reason: 'timeout' },
    });
    expect((await exec(errand, session, 'echo $x')).stdout).toBe('kept\n');
  });

  test('a script that ends the shell ends the session, says why, and what waits is never executed', async () => {
    const errand = await openErrand();
    const session = await start(errand);
    const leaving = await exec(errand, session, 'sleep 0.5; echo bye; exit 3', {}, {});
    const after = await exec(errand, session, 'echo no', {}, {});
    expect(await errand.get(leaving.id, 60)).toMatchObject({
      ...{ status: 'failed', stdout: 'bye\n' },
      result: { exitCode: 3, detail: expect.stringContaining('ended with this script') },
    });
    expect(await errand.get(after.id, 60)).toMatchObject({
      ...{ status: 'failed', startedAt: null },
      result: { detail: expect.stringContaining(`The session ${session.id} has ended`) },
    });
    await expect.poll(async () => (await read(errand, session)).reason).toBe('exited');
    expect((await read(errand, session)).detail).toContain('exit code 3');
  });

  test('a replay of its command is refused, as its state is gone', async () => {
    const errand = await openErrand();
    const { id } = await exec(errand, await start(errand), 'echo hi');
    const replayed = await errand.request('POST', `/v1/commands/${id}/replay`, {});
    expect([replayed.status, (await problemOf(replayed)).code]).toEqual([409, 'conflict']);
  });

  test('the same Idempotency-Key and body are one execution', async () => {
    const errand = await openErrand();
    const session = await start(errand);
    const headers = { 'idempotency-key': 'once', prefer: 'wait=60' };
    const [one, two] = [
      await exec(errand, session, 'n=$((n+1)); echo $n', {}, headers),
      await exec(errand, session, 'n=$((n+1)); echo $n', {}, headers),
    ];
    expect([one.id, two.stdout]).toEqual([two.id, '1\n']);
    const other = await errand.request(
      ...(['POST', `/v1/sessions/${(await start(errand)).id}/commands`] as const),
      { script: 'n=$((n+1)); echo $n' },
      headers,
    );
    expect(other.status).toBe(422);
  });

  test.for<[what: string, body: object, status: number, pointer: string]>([
    ['a field that is unknown', { secrets: { A: 'secret:b' } }, 400, ''],
    ['another shell', { shell: '/bin/zsh' }, 400, '/shell'],
    ['a variable of ours', { env: { ERRAND_ATTEMPT: 'x' } }, 400, '/env/ERRAND_ATTEMPT'],
    ['a relative folder', { cwd: 'here' }, 400, '/cwd'],
    ['no life', { maxLifeSeconds: 0 }, 400, '/maxLifeSeconds'],
    ['too long a life', { maxLifeSeconds: LIMITS.sessionLifeSeconds + 1 }, 400, '/maxLifeSeconds'],
    ['too long an idle time', { idleSeconds: LIMITS.sessionLifeSeconds + 1 }, 400, '/idleSeconds'],
    ['an unknown target', { target: 'nowhere' }, 400, '/target'],
    ['a level that sessions cannot have', { isolation: 'microvm' }, 422, '/isolation'],
    ['a folder that is not there', { cwd: '/nowhere/at/all' }, 422, ''],
  ])('is refused with %s, and nothing is left', async ([, body, status, pointer]) => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/sessions', body);
    expect(response.status).toBe(status);
    if (pointer) expect((await problemOf(response)).errors?.[0]?.pointer).toBe(pointer);
    const { items } = (await (await errand.request('GET', '/v1/sessions')).json()) as { items: Session[] };
    expect(items.filter(({ state }) => state !== 'ended')).toEqual([]);
  });

  test.for<[what: string, body: object, pointer: string]>([
    ['no script', {}, '/script'],
    ['an empty script', { script: '' }, '/script'],
    ['a NUL in it', { script: 'echo \0' }, '/script'],
    ['a script that is too long', { script: 'x'.repeat(LIMITS.argumentBytes + 1) }, '/script'],
    ['arguments', { script: ':', argv: ['true'] }, ''],
    ['a place', { script: ':', target: 'local' }, ''],
    ['two inputs', { script: ':', stdin: 'a', stdinBase64: 'YQ==' }, '/stdinBase64'],
    ['no time', { script: ':', timeoutSeconds: 0 }, '/timeoutSeconds'],
  ])('takes no script with %s', async ([, body, pointer]) => {
    const errand = await openErrand();
    const { id } = await start(errand);
    const response = await errand.request('POST', `/v1/sessions/${id}/commands`, body);
    expect(response.status).toBe(400);
    if (pointer) expect((await problemOf(response)).errors?.[0]?.pointer).toBe(pointer);
  });
});

/** A server whose time stands still until it is told. */
const openStill = async (dataDirectory = tempDirectory()) => {
  let ahead = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + ahead };
  const data = await openData({
    ...{ dataDirectory, clock, random: systemRandom, log: silentLog, runnerUrl: () => '', trySandbox: false },
  });
  const close = data.close;
  onTestFinished(close);
  const gateway = makeGateway(data.deps);
  const as =
    (key: string) =>
    (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> =>
      fetchFrom(gateway, key)(`http://errand.invalid${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
  return {
    deps: data.deps,
    close,
    as,
    request: as(data.ownerKey),
    pass(seconds: number) {
      ahead += seconds * 1_000;
    },
  };
};

describe.skipIf(!isOnLinux)('a session ends by itself', () => {
  test('when it was not used for too long, and not before', async () => {
    const server = await openStill();
    const session = await start(server, { idleSeconds: 100 });
    server.pass(99);
    await tendSessions(server.deps);
    expect((await exec(server, session, 'echo on')).stdout).toBe('on\n');
    server.pass(99);
    await tendSessions(server.deps);
    expect(await read(server, session)).toMatchObject({ state: 'active' });
    server.pass(2);
    await tendSessions(server.deps);
    expect(await read(server, session)).toMatchObject({ state: 'ended', reason: 'idle' });
    expect(processesWith(session.id)).toEqual([]);
  });

  test('at the end of its life, also while a script runs; that script is not said to have succeeded', async () => {
    const server = await openStill();
    const session = await start(server, { idleSeconds: 10, maxLifeSeconds: 100 });
    const running = await exec(server, session, 'echo begun; sleep 1000', {}, {});
    const output = async () => (await server.request('GET', `/v1/commands/${running.id}/output`)).text();
    await expect.poll(output).toBe('begun\n');
    server.pass(50);
    await tendSessions(server.deps);
    expect(await read(server, session)).toMatchObject({ state: 'active' });
    server.pass(51);
    await tendSessions(server.deps);
    expect(await read(server, session)).toMatchObject({ state: 'ended', reason: 'max-life' });
    const ended = await server.request('GET', `/v1/commands/${running.id}`, undefined, { prefer: 'wait=30' });
    expect(await ended.json()).toMatchObject({ status: 'failed', result: { signal: expect.stringMatching(/^SIG/) } });
  });

  test('with the server, which says so', async () => {
    const dataDirectory = tempDirectory();
    const server = await openStill(dataDirectory);
    const session = await start(server);
    const running = await exec(server, session, 'echo begun; sleep 1000', {}, {});
    const output = async () => (await server.request('GET', `/v1/commands/${running.id}/output`)).text();
    await expect.poll(output).toBe('begun\n');
    await server.close();
    expect(processesWith(session.id)).toEqual([]);
    const next = await openStill(dataDirectory);
    expect(await read(next, session)).toMatchObject({ state: 'ended', reason: 'server-stopped' });
    const command = await next.request('GET', `/v1/commands/${running.id}`);
    expect(await command.json()).toMatchObject({ status: 'lost' });
  });
});

test.skipIf(!isOnLinux)('a session is its actor’s alone; an admin sees it and ends it, and that is all', async () => {
  const server = await openStill();
  const member = async (role: string): Promise<{ id: string; request: Errand['request'] }> => {
    const { id } = (await (await server.request('POST', '/v1/members', { name: role, role })).json()) as { id: string };
    const made = await server.request('POST', '/v1/api-keys', { name: 'k', member: id });
    return { id, request: server.as(((await made.json()) as { key: string }).key) };
  };
  const [mine, other, admin] = [await member('operator'), await member('operator'), await member('admin')];
  const session = await start(mine, {});
  const never = `ses_${'0'.repeat(16)}`;
  for (const [method, path, body] of [
    ['GET', '', undefined],
    ['DELETE', '', undefined],
    ['POST', '/commands', { script: 'echo no' }],
  ] as const) {
    const theirs = await other.request(method, `/v1/sessions/${session.id}${path}`, body);
    const nobodys = await other.request(method, `/v1/sessions/${never}${path}`, body);
    expect([theirs.status, (await problemOf(theirs)).detail]).toEqual([
      404,
      (await problemOf(nobodys)).detail?.replace(never, session.id),
    ]);
  }
  expect(await (await other.request('GET', '/v1/sessions')).json()).toEqual({ items: [] });
  expect((await admin.request('POST', `/v1/sessions/${session.id}/commands`, { script: ':' })).status).toBe(404);
  expect(await read(admin, session)).toMatchObject({ state: 'active', member: mine.id });
  expect((await exec(mine, session, 'echo mine')).stdout).toBe('mine\n');
  const ended = await admin.request('DELETE', `/v1/sessions/${session.id}`);
  expect(await ended.json()).toMatchObject({ state: 'ended', reason: 'requested' });
  // Whoever is disabled loses its shells.
  const last = await start(mine, {});
  await server.request('PATCH', `/v1/members/${mine.id}`, { disabled: true });
  await tendSessions(server.deps);
  expect(await read(admin, last)).toMatchObject({ state: 'ended', reason: 'revoked' });
  expect(processesWith(last.id)).toEqual([]);
});

test.skipIf(!isOnLinux)('each script is decided about by the policy, as any command', async () => {
  const server = await openStill();
  const session = await start(server);
  const policy = { default: 'allow', rules: [{ name: 'no-rm', effect: 'deny', programs: ['rm'] }] };
  expect((await server.request('POST', '/v1/policies', { policy })).status).toBe(201);
  const denied = await server.request('POST', `/v1/sessions/${session.id}/commands`, { script: 'cd /; rm -rf x' });
  expect([denied.status, (await problemOf(denied)).code]).toEqual([403, 'policy-denied']);
  expect((await exec(server, session, 'echo fine')).stdout).toBe('fine\n');
});

test.skipIf(!isOnLinux)('a tenant has so many sessions and no more', async () => {
  const server = await openStill();
  const made: Session[] = [];
  for (let n = 0; n < LIMITS.sessions; n++) made.push(await start(server));
  const refused = await server.request('POST', '/v1/sessions', {});
  expect([refused.status, (await problemOf(refused)).code]).toEqual([429, 'quota-exceeded']);
  await server.request('DELETE', `/v1/sessions/${made[0]?.id}`);
  await start(server);
});
