import { describe, expect, test } from 'vitest';
import { hooks } from '../../../functions/http/hooks.ts';
import { toEvent } from '../../../local/gateway-event.ts';
import { lambdaContext } from '../../../local/lambda-runtime.ts';
import { receiveDelivery } from '../../../shared/app/receive-delivery.ts';
import { createTrigger, rotateTriggerSecret } from '../../../shared/app/triggers.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { GITHUB_PUSH, GITHUB_SECRET, githubHeaders, standardHeaders } from '../../support/webhooks.ts';

const { body } = GITHUB_PUSH;
const signed = { body, headers: githubHeaders(body) };
const make = (deps: TestWorker, over: object = {}) =>
  createTrigger(deps, owner, {
    signature: { kind: 'github' },
    secret: GITHUB_SECRET,
    command: { argv: ['true'] },
    ...over,
  } as never);
const commandsOf = async ({ commands }: TestWorker) => (await commands.list(owner.tenant, {}, { limit: 100 })).commands;
const DAY = 86_400_000;

/** As API Gateway hands it over, from an address. */
const send = (deps: TestWorker, id: string, sent = signed, { sourceIp = '203.0.113.7', base64 = true } = {}) => {
  const request = { method: 'POST', target: `/hooks/${id}`, headers: sent.headers, body: undefined, sourceIp };
  const event = toEvent(request, Buffer.from(sent.body), deps.clock.now());
  const text = base64 ? {} : { isBase64Encoded: false, body: Buffer.from(sent.body).toString('utf8') };
  return hooks(deps)({ ...event, ...text }, lambdaContext as never);
};

describe('a delivery', () => {
  test('is one and the same for 90 days, and a new one after', async () => {
    const deps = await testWorker({ work: false });
    const { id } = await make(deps);
    const first = await receiveDelivery(deps, id, signed);
    await deps.clock.advance(89 * DAY);
    expect(await receiveDelivery(deps, id, signed)).toEqual(first);
    expect(await commandsOf(deps)).toHaveLength(1);
  });

  test('to two triggers is two', async () => {
    const deps = await testWorker({ work: false });
    const [a, b] = [await make(deps), await make(deps)];
    await receiveDelivery(deps, a.id, signed);
    await receiveDelivery(deps, b.id, signed);
    expect(await commandsOf(deps)).toHaveLength(2);
  });

  test('of Standard Webhooks is too old after five minutes, also for its first time', async () => {
    const deps = await testWorker({ work: false });
    const trigger = await make(deps, { signature: { kind: 'standard-webhooks' }, secret: undefined });
    const headers = standardHeaders(trigger.secret ?? '', body, { at: deps.clock.now() });
    await deps.clock.advance(301_000);
    await expect(receiveDelivery(deps, trigger.id, { headers, body })).rejects.toMatchObject({ code: 'not-found' });
    expect(await commandsOf(deps)).toEqual([]);
  });

  test('by the secret before is taken until its end, and no longer', async () => {
    const deps = await testWorker({ work: false });
    const { id } = await make(deps);
    await rotateTriggerSecret(deps, owner, id, { overlapSeconds: 3_600 });
    await deps.clock.advance(3_599_000);
    expect(await receiveDelivery(deps, id, signed)).toMatchObject({ outcome: 'submitted' });
    await deps.clock.advance(1_000);
    await expect(receiveDelivery(deps, id, signed)).rejects.toMatchObject({ code: 'not-found' });
  });

  test.for([true, false])('is the same bytes in base 64 or not: %s', async (base64) => {
    const deps = await testWorker({ work: false });
    const { id } = await make(deps);
    expect(await send(deps, id, signed, { base64 })).toMatchObject({ statusCode: 202 });
  });

  test('is answered once its command is stored, whatever becomes of its line in the history', async () => {
    const store = sqliteStore({ file: ':memory:' });
    const failing: Store = {
      ...store,
      write: async (writes) => {
        if (writes.some((write) => 'put' in write && write.put.pk.endsWith('/deliveries'))) throw new Error('no');
        return store.write(writes);
      },
    };
    const deps = await testWorker({ work: false, store: failing });
    const { id } = await make(deps);
    const answer = await receiveDelivery(deps, id, signed);
    expect(answer).toMatchObject({ outcome: 'submitted', command: (await commandsOf(deps))[0]?.id });
  });

  test('whose command could not be stored is answered so that its sender sends it again, and is then taken', async () => {
    const store = sqliteStore({ file: ':memory:' });
    let isDown = false;
    const failing: Store = {
      ...store,
      write: async (writes) => {
        const { AppError } = await import('../../../shared/domain/errors.ts');
        if (isDown) throw new AppError('unavailable', 'The disk of the host db-7 is away.');
        return store.write(writes);
      },
    };
    const deps = await testWorker({ work: false, store: failing });
    const { id } = await make(deps);
    isDown = true;
    const refused = await send(deps, id);
    expect(refused).toMatchObject({ statusCode: 503, body: expect.not.stringContaining('db-7') });
    isDown = false;
    expect(await send(deps, id)).toMatchObject({ statusCode: 202 });
    expect(await commandsOf(deps)).toHaveLength(1);
  });
});

describe('whoever cannot sign', () => {
  const forged = { body, headers: githubHeaders(body, {}, 'somebody else’s secret') };

  test('is told to wait after too many tries from one address, and those who can sign from there are not', async () => {
    const deps = await testWorker({ work: false });
    const { id } = await make(deps);
    const statuses: number[] = [];
    for (let n = 0; n < 60; n++) {
      const asked = n % 2 === 0 ? id : 'trg_0123456789abcdef';
      statuses.push((await send(deps, asked, forged)).statusCode);
    }
    expect(new Set(statuses.slice(0, 50))).toEqual(new Set([404]));
    expect(new Set(statuses.slice(50))).toEqual(new Set([429]));
    expect((await send(deps, id)).statusCode).toBe(202);
    expect((await send(deps, id, forged, { sourceIp: '198.51.100.1' })).statusCode).toBe(404);
  });

  test('fills no store, however often it tries', async () => {
    const deps = await testWorker({ work: false });
    const { id } = await make(deps);
    for (let n = 0; n < 100; n++) {
      await expect(receiveDelivery(deps, id, forged)).rejects.toMatchObject({ code: 'not-found' });
    }
    expect(await deps.triggers.deliveries(owner.tenant, id, { limit: 100 })).toHaveLength(5);
  });
});

test('a trigger takes so many deliveries at once, and then asks to wait', async () => {
  const deps = await testWorker({ work: false });
  const { id } = await make(deps, { signature: { kind: 'shared-token' } });
  const one = { body: Buffer.from('{}'), headers: { 'x-errand-token': GITHUB_SECRET } };
  let refused: unknown;
  let taken = 0;
  for (; taken < 600 && !refused; taken++) await receiveDelivery(deps, id, one).catch((error) => (refused = error));
  expect([taken - 1, refused]).toEqual([
    500,
    expect.objectContaining({ code: 'rate-limited', headers: { 'retry-after': '1' } }),
  ]);
}, 60_000);
