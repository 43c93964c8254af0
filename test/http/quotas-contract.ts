import { describe, expect, test } from 'vitest';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

export type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

/** Calls by what answers like `fetch`. */
export const callBy =
  ({ fetch, url }: { readonly fetch: typeof globalThis.fetch; readonly url: string }): Call =>
  async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  };

let tenants = 0;

/** An admin of a new tenant with these limits. */
export const openTenant = async (call: Call, limits: object) => {
  const id = `tenant-${++tenants}`;
  const { body } = await call('POST', '/v1/tenants', { id, name: id, limits });
  const authorization = `Bearer ${body['key']}`;
  return {
    id,
    authorization,
    submit: (argv: readonly string[], headers: Record<string, string> = {}, by = call) =>
      by('POST', '/v1/commands', { argv }, { authorization, ...headers }),
    usage: async () => (await call('GET', '/v1/usage', undefined, { authorization })).body,
  };
};
const WAIT = { prefer: 'wait=20' };

/** What holds of quotas on every store. */
export const quotaClaims = (open: () => Promise<Call>): void => {
  describe('a tenant with quotas', () => {
    test('submits as many commands a day as it may, and nothing is stored of a further one', async () => {
      const call = await open();
      const { id, submit, usage } = await openTenant(call, { commandsPerDay: 2 });
      expect((await submit(['true'], WAIT)).status).toBe(200);
      expect((await submit(['true'], WAIT)).status).toBe(200);
      const refused = await submit(['true']);
      expect(refused).toMatchObject({ status: 429, body: { code: 'quota-exceeded' } });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await usage()).toMatchObject({
        commands: 2,
        unfinishedCommands: 0,
        complete: true,
        limits: { commandsPerDay: 2 },
      });
      await call('PATCH', `/v1/tenants/${id}`, { limits: { commandsPerDay: 3 } });
      expect((await submit(['true'], WAIT)).status).toBe(200);
    });

    test('has so many unfinished commands at a time; the end of one makes room', async () => {
      const call = await open();
      const { submit, usage } = await openTenant(call, { unfinishedCommands: 1 });
      const first = await submit(['sleep', '60']);
      expect(first.status).toBe(202);
      expect(await submit(['true'])).toMatchObject({ status: 429, body: { code: 'quota-exceeded' } });
      expect(await usage()).toMatchObject({ unfinishedCommands: 1 });
      await call('POST', `/v1/commands/${first.body['id']}/cancel`).catch(() => {});
      expect(await usage()).toMatchObject({ commands: 1 });
    });

    test('is charged what its commands wrote', async () => {
      const call = await open();
      const { submit, usage } = await openTenant(call, { outputBytesPerDay: 10 });
      expect((await submit(['echo', 'more than ten'], WAIT)).status).toBe(200);
      expect(await usage()).toMatchObject({ outputBytes: 14, cpuSeconds: expect.any(Number) });
      expect((await submit(['true'])).status).toBe(429);
    });

    test('a repetition of what was submitted is no further command', async () => {
      const call = await open();
      const { submit, usage } = await openTenant(call, { commandsPerDay: 1 });
      const key = { 'idempotency-key': 'one' };
      const first = await submit(['true'], key);
      const again = await submit(['true'], key);
      expect([first.status, again.status]).toEqual([202, 202]);
      expect(again.body['id']).toBe(first.body['id']);
      expect(await usage()).toMatchObject({ commands: 1 });
    });

    test('of a hundred submissions at once no more come through than it may', async () => {
      const call = await open();
      const { submit, usage } = await openTenant(call, { commandsPerDay: 10 });
      const answers = await Promise.all(Array.from({ length: 100 }, () => submit(['true'])));
      expect(answers.filter(({ status }) => status === 202)).toHaveLength(10);
      expect(answers.filter(({ status }) => status === 429)).toHaveLength(90);
      expect(await usage()).toMatchObject({ commands: 10 });
    });
  });

  test('what a tenant without quotas uses is read from its commands', async () => {
    const call = await open();
    const { submit, usage } = await openTenant(call, {});
    await submit(['echo', 'four'], WAIT);
    expect(await usage()).toMatchObject({
      commands: 1,
      outputBytes: 5,
      unfinishedCommands: 0,
      complete: true,
      limits: {},
    });
  });
};
