import { describe, expect, test } from 'vitest';
import type { ProblemView } from '../../shared/contract/schemas.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { type Errand, openErrand, problemOf } from '../support/errand.ts';
import type { View } from '../support/schedules.ts';

const command = { argv: ['true'] };
const post = async (errand: Errand, body: unknown): Promise<Response> => errand.request('POST', '/v1/schedules', body);
const make = async (errand: Errand, over: object = {}): Promise<View> => {
  const response = await post(errand, { cron: '0 3 * * 1-5', timeZone: 'Europe/Berlin', command, ...over });
  expect(response.status).toBe(201);
  return (await response.json()) as View;
};

describe('POST /v1/schedules', () => {
  test('answers with the schedule in full, where it is, and when it fires', async () => {
    const errand = await openErrand();
    const response = await post(errand, {
      name: 'nightly',
      cron: ' 0  3 * * 1-5 ',
      timeZone: 'Europe/Berlin',
      command: {
        argv: ['backup'],
        env: { TOKEN: 'a-value-nobody-sees' },
        stdin: 'typed-by-nobody',
        labels: { a: 'b' },
      },
    });
    const text = await response.text();
    const made = JSON.parse(text) as View;
    expect([response.status, response.headers.get('location')]).toEqual([201, `/v1/schedules/${made.id}`]);
    expect(text).not.toMatch(/a-value-nobody-sees|typed-by-nobody/);
    expect(made).toMatchObject({
      ...{
        name: 'nightly',
        version: 1,
        state: 'active',
        cron: '0 3 * * 1-5',
        timeZone: 'Europe/Berlin',
        member: 'owner',
      },
      ...{ overlap: 'skip', catchUp: 'last', jitterSeconds: 0, waiting: 0, history: [] },
      command: { argv: ['backup'], target: 'local', envNames: ['TOKEN'], hasStdin: true, labels: { a: 'b' } },
    });
    expect(made.nextAt).toHaveLength(5);
    const hours = made.nextAt.map((at) =>
      new Date(at).toLocaleString('en-GB', {
        timeZone: 'Europe/Berlin',
        weekday: 'short',
        hour: '2-digit',
        minute: '2-digit',
      }),
    );
    for (const hour of hours) expect(hour).toMatch(/^(Mon|Tue|Wed|Thu|Fri).* 03:00$/);
    expect(await (await errand.request('GET', `/v1/schedules/${made.id}`)).json()).toEqual(made);
  });

  const in_ = (ms: number) => new Date(Date.now() + ms).toISOString();
  test.for<[what: string, body: object, pointer: string]>([
    ['no time', {}, '/cron'],
    ['two times', { cron: '* * * * *', everySeconds: 60 }, '/cron'],
    ['no cron', { cron: 'every day' }, '/cron'],
    ['a cron of dates', { cron: '2030-01-01T00:00:00' }, '/cron'],
    ['a cron that never comes', { cron: '0 0 30 2 *' }, '/cron'],
    ['a cron each second', { cron: '* * * * * *' }, '/cron'],
    ['a cron that is twice within seconds, once a year', { cron: '0,9 0 0 1 1 *' }, '/cron'],
    ['a cron that is too long', { cron: `${'1,'.repeat(200)}1 * * * *` }, '/cron'],
    ['an unknown time zone', { cron: '* * * * *', timeZone: 'Europe/Atlantis' }, '/timeZone'],
    ['a time zone for a rate', { everySeconds: 60, timeZone: 'UTC' }, '/timeZone'],
    ['a rate that is too fast', { everySeconds: LIMITS.scheduleLeastSeconds - 1 }, '/everySeconds'],
    ['a rate that is too slow', { everySeconds: LIMITS.scheduleMostSeconds + 1 }, '/everySeconds'],
    ['a time that has passed', { at: '2020-01-01T00:00:00Z' }, '/at'],
    ['an end that has passed', { everySeconds: 60, endAt: '2020-01-01T00:00:00Z' }, '/everySeconds'],
    ['an end before the start', { everySeconds: 60, startAt: in_(2e6), endAt: in_(1e6) }, '/endAt'],
    ['too much jitter', { everySeconds: 60, jitterSeconds: LIMITS.scheduleJitterSeconds + 1 }, '/jitterSeconds'],
    ['an unknown rule', { everySeconds: 60, overlap: 'perhaps' }, '/overlap'],
    ['no program', { everySeconds: 60, command: {} }, '/command/argv'],
    ['an unknown target', { everySeconds: 60, command: { ...command, target: 'nowhere' } }, '/command/target'],
    [
      'an unknown secret',
      { everySeconds: 60, command: { ...command, secrets: { A: 'secret:b' } } },
      '/command/secrets/A',
    ],
    ['input that nobody writes', { everySeconds: 60, command: { ...command, stdin: 'open' } }, '/command/stdin'],
    ['a large command', { everySeconds: 60, command: { ...command, stdin: 'x'.repeat(33_000) } }, '/command'],
  ])('refuses %s, and says where', async ([, over, pointer]) => {
    const errand = await openErrand();
    const response = await post(errand, { command, ...over });
    const { errors } = (await response.json()) as ProblemView;
    expect([response.status, errors?.map((fault) => fault.pointer)]).toEqual([400, expect.arrayContaining([pointer])]);
    expect((await (await errand.request('GET', '/v1/schedules')).json()) as object).toEqual({ items: [] });
  });

  test('takes the nearest times that are allowed', async () => {
    const errand = await openErrand();
    await make(errand, { cron: '*/10 * * * * *' });
    await make(errand, { cron: undefined, timeZone: undefined, everySeconds: LIMITS.scheduleLeastSeconds });
  });

  test.for(['deny', 'approval'])('refuses what the policy answers by: %s', async (effect) => {
    const errand = await openErrand();
    const policy = { default: 'allow', rules: [{ name: 'no', effect, programs: ['true'] }] };
    await errand.request('POST', '/v1/policies', { policy });
    const response = await post(errand, { everySeconds: 60, command });
    expect(await problemOf(response)).toMatchObject({
      status: 403,
      code: 'policy-denied',
      errors: [{ pointer: '/command/argv' }],
    });
  });

  test('holds no more of them than a tenant may have', async () => {
    const errand = await openErrand();
    for (let n = 0; n < LIMITS.schedules; n++) await make(errand);
    const refused = await post(errand, { everySeconds: 60, command });
    expect(await problemOf(refused)).toMatchObject({ status: 409, detail: expect.stringContaining('200 schedules') });
  }, 60_000);
});

describe('a schedule', () => {
  test('is put anew, paused, resumed, triggered and removed', async () => {
    const errand = await openErrand();
    const { id } = await make(errand);
    const at = (more = '') => `/v1/schedules/${id}${more}`;
    const put = await errand.request('PUT', at(), { everySeconds: 3_600, command, overlap: 'allow', onVersion: 1 });
    expect(await put.json()).toMatchObject({ id, version: 2, cron: null, everySeconds: 3_600, overlap: 'allow' });
    const stale = await errand.request('PUT', at(), { everySeconds: 60, command, onVersion: 1 });
    expect(await problemOf(stale)).toMatchObject({ status: 409, errors: [{ pointer: '/onVersion' }] });
    expect(await (await errand.request('POST', at('/pause'))).json()).toMatchObject({ state: 'paused', nextAt: [] });
    const fired = await errand.request('POST', at('/trigger'), undefined, { 'idempotency-key': 'once' });
    const firing = (await fired.json()) as { command: string };
    expect([fired.status, fired.headers.get('location')]).toEqual([202, `/v1/commands/${firing.command}`]);
    const again = await errand.request('POST', at('/trigger'), undefined, { 'idempotency-key': 'once' });
    expect(await again.json()).toEqual(firing);
    expect(await errand.get(firing.command, 30)).toMatchObject({ status: 'succeeded', scheduledBy: { schedule: id } });
    expect(await (await errand.request('POST', at('/resume'))).json()).toMatchObject({
      state: 'active',
      history: [firing],
    });
    expect((await errand.request('DELETE', at())).status).toBe(204);
    expect((await errand.request('GET', at())).status).toBe(404);
  });

  test('and all that was done with it is in the audit log', async () => {
    const errand = await openErrand();
    const { id } = await make(errand);
    for (const verb of ['pause', 'resume', 'trigger']) await errand.request('POST', `/v1/schedules/${id}/${verb}`);
    await errand.request('DELETE', `/v1/schedules/${id}`);
    const log = await errand.request('GET', `/v1/audit?subject=${id}`);
    const { items } = (await log.json()) as { items: { entry: { type: string } }[] };
    expect(items.map(({ entry }) => entry.type).toReversed()).toEqual(
      ['put', 'paused', 'resumed', 'triggered', 'removed'].map((what) => `schedule.${what}`),
    );
  });

  test('beyond a caller’s scope is not there, and within it carries its labels', async () => {
    const errand = await openErrand();
    const keyOf = async (team: string) => {
      const made = await errand.request('POST', '/v1/api-keys', { name: team, scope: { labels: { team } } });
      return { authorization: `Bearer ${((await made.json()) as { key: string }).key}` };
    };
    const [a, b] = [await keyOf('a'), await keyOf('b')];
    const made = await errand.request('POST', '/v1/schedules', { everySeconds: 60, command }, a);
    const { id, command: stored } = (await made.json()) as View;
    expect(stored.labels).toEqual({ team: 'a' });
    for (const [method, more, body] of [
      ['GET', '', undefined],
      ['PUT', '', { everySeconds: 60, command }],
      ['DELETE', '', undefined],
      ['POST', '/trigger', undefined],
      ['POST', '/pause', undefined],
      ['POST', '/resume', undefined],
    ] as const) {
      expect((await errand.request(method, `/v1/schedules/${id}${more}`, body, b)).status).toBe(404);
    }
    const listed = async (headers: Record<string, string>) =>
      ((await (await errand.request('GET', '/v1/schedules', undefined, headers)).json()) as { items: View[] }).items;
    expect(await listed(b)).toEqual([]);
    expect((await listed(a)).map((one) => one.id)).toEqual([id]);
  });

  test('fires with the rights of its member at that time: a disabled one’s is refused', async () => {
    const errand = await openErrand();
    const idOf = async (path: string, body: object) =>
      (await (await errand.request('POST', path, body)).json()) as { id: string; key: string };
    const member = await idOf('/v1/members', { name: 'm', role: 'operator' });
    const { key } = await idOf('/v1/api-keys', { name: 'k', member: member.id });
    const own = { authorization: `Bearer ${key}` };
    const made = await errand.request('POST', '/v1/schedules', { everySeconds: 3_600, command }, own);
    const { id, member: owner } = (await made.json()) as View;
    expect(owner).toBe(member.id);
    const trigger = () => errand.request('POST', `/v1/schedules/${id}/trigger`);
    expect((await trigger()).status).toBe(202);
    await errand.request('PATCH', `/v1/members/${member.id}`, { disabled: true });
    expect(await problemOf(await trigger())).toMatchObject({ status: 403, detail: expect.stringContaining(member.id) });
    // Whoever puts it again owns it.
    await errand.request('PUT', `/v1/schedules/${id}`, { everySeconds: 3_600, command });
    expect((await trigger()).status).toBe(202);
  });
});
