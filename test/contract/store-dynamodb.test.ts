import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { dynamodbClient } from '../../shared/store/dynamodb/client.ts';
import { type Consumed, dynamodbStore } from '../../shared/store/dynamodb/dynamodb.ts';
import type { Store } from '../../shared/store/store.ts';
import { type DynamodbLocal, missingForDynamodb, REGION, startDynamodbLocal } from '../support/dynamodb-local.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { anItem, putNew, putNext, removal } from '../support/items.ts';
import { schedulesContract } from './schedules-contract.ts';
import { storeContract } from './store-contract.ts';
import { triggersContract } from './triggers-contract.ts';
import { webhooksContract } from './webhooks-contract.ts';
import { workflowsContract } from './workflows-contract.ts';

const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';

describe.skipIf(missingForDynamodb.length > 0)(`DynamoDB${needs}`, () => {
  let dynamodb: DynamodbLocal;
  beforeAll(async () => {
    dynamodb = await startDynamodbLocal();
  });
  afterAll(() => dynamodb.close());

  const open = async (over: Partial<Parameters<typeof dynamodbStore>[0]> = {}): Promise<Store> =>
    dynamodbStore({
      client: dynamodb.client,
      tableName: await dynamodb.makeTable(),
      clock: systemClock,
      random: systemRandom,
      ...over,
    });

  storeContract('DynamoDB', () => open());
  schedulesContract('DynamoDB', () => open());
  triggersContract('DynamoDB', () => open());
  webhooksContract('DynamoDB', () => open());
  workflowsContract('DynamoDB', () => open());

  /** A store on a table of its own, behind a proxy that lets things go wrong. */
  const openBehindProxy = async ({ requestMs = 5_000 } = {}) => {
    const proxy = await faultProxy(dynamodb.endpoint);
    const client = dynamodbClient({ region: REGION, endpoint: proxy.endpoint, requestMs });
    const store = await open({ client });
    onTestFinished(() => store.close());
    return { store, proxy };
  };

  const throttled = (name: string) =>
    JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: '' });

  describe('when the network or the service fails', () => {
    test.for(['reset', 'error', 'lost'] as const)(
      'a put is stored once, and said so, through a request that met: %s',
      async (fault) => {
        const { store, proxy } = await openBehindProxy();
        await store.write([putNew(anItem('p', 'a'))]);
        proxy.fail(fault, 1);
        expect(await store.write([putNext(1, anItem('p', 'a', { data: 'two' }))])).toEqual({ ok: true });
        expect(await store.get({ pk: 'p', sk: 'a' })).toMatchObject({ version: 2, data: 'two' });
      },
    );

    test.for(['reset', 'error', 'lost'] as const)(
      'a transaction is done once, and said so, through a request that met: %s',
      async (fault) => {
        const { store, proxy } = await openBehindProxy();
        proxy.fail(fault, 1);
        expect(await store.write([putNew(anItem('p', 'a')), putNew(anItem('p', 'b'))])).toEqual({ ok: true });
        expect(await store.query('p', { limit: 10 })).toHaveLength(2);
      },
    );

    test('a put whose answer was lost is not taken for someone else’s, nor someone else’s for it', async () => {
      const { store, proxy } = await openBehindProxy();
      const same = anItem('p', 'a', { data: 'the same' });
      proxy.fail('lost', 1);
      const [one, two] = [await store.write([putNew(same)]), await store.write([putNew(same)])];
      expect(one).toEqual({ ok: true });
      expect(two).toMatchObject({ ok: false, index: 0, actual: same });
    });

    test.for([
      'ProvisionedThroughputExceededException',
      'ThrottlingException',
      'TransactionConflictException',
      'RequestLimitExceeded',
    ])('is patient with %s', async (name) => {
      const { store, proxy } = await openBehindProxy();
      proxy.refuse(400, throttled(name), 2);
      expect(await store.write([putNew(anItem('p', 'a'))])).toEqual({ ok: true });
      proxy.refuse(400, throttled(name), 2);
      expect(await store.get({ pk: 'p', sk: 'a' })).toBeDefined();
    });

    test.for<[string, string]>([
      ['ThrottlingException', 'throttled'],
      ['AccessDeniedException', 'role'],
      ['UnrecognizedClientException', 'credentials'],
      ['ResourceNotFoundException', 'deploy'],
    ])('%s that does not pass is told as unavailable, with what to do', async ([name, advice]) => {
      const { store, proxy } = await openBehindProxy();
      proxy.refuse(400, throttled(name));
      for (const call of [
        () => store.get({ pk: 'p', sk: 'a' }),
        () => store.getAll([{ pk: 'p', sk: 'a' }]),
        () => store.query('p', { limit: 1 }),
        () => store.write([removal('p', 'a')]),
        () => store.write([putNew(anItem('p', 'a'))]),
        () => store.check(),
      ]) {
        const error = await call().catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(advice) });
        expect(String(error)).not.toContain('LOCALTRIAL');
      }
    });

    test('a service that never answers is given up on in bounded time', async () => {
      const { store, proxy } = await openBehindProxy({ requestMs: 100 });
      proxy.fail('hang');
      await expect(store.get({ pk: 'p', sk: 'a' })).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('what a batch did not get is asked for again', async () => {
      const { store, proxy } = await openBehindProxy();
      const big = Array.from({ length: 60 }, (_, i) => anItem('p', `${i}`, { bytes: Buffer.alloc(350 * 1024, i) }));
      for (const item of big) await store.write([putNew(item)]);
      const before = proxy.seen.length;
      // More than the 16 MB of one answer.
      const found = await store.getAll(big.map(({ pk, sk }) => ({ pk, sk })));
      expect(found.map((item) => item?.bytes?.[0])).toEqual(big.map((_, i) => i));
      expect(proxy.seen.length - before).toBeGreaterThan(1);
    });
  });

  describe('what is stored', () => {
    test('an item that is larger than DynamoDB takes is refused in words, before anything is sent', async () => {
      const { store, proxy } = await openBehindProxy();
      const before = proxy.seen.length;
      const bytes = Buffer.alloc(400 * 1024);
      for (const writes of [[anItem('p', 'a', { bytes })], [anItem('p', 'a'), anItem('p', 'b', { bytes })]]) {
        await expect(store.write(writes.map(putNew))).rejects.toMatchObject({ code: 'too-large' });
      }
      expect(proxy.seen.length).toBe(before);
    });

    test('expiry is told to DynamoDB in whole seconds, never too early', async () => {
      const { store, proxy } = await openBehindProxy();
      await store.write([putNew(anItem('p', 'a', { expiresAt: 1_900_000_000_001 }))]);
      const put = JSON.parse(proxy.seen.at(-1)?.body.toString() ?? '');
      expect(put.Item.expiresAt).toEqual({ N: '1900000001' });
      expect(await store.get({ pk: 'p', sk: 'a' })).toMatchObject({ expiresAt: 1_900_000_000_001 });
    });

    test('an update that leaves its place in the indexes alone is billed as one write, one that moves as three', async () => {
      const consumed: [string, Consumed][] = [];
      const store = await open({ onConsumed: (operation, units) => consumed.push([operation, units]) });
      const item = (over: object) =>
        anItem('p', 'a', {
          data: { text: 'x'.repeat(900) },
          list: { pk: 'l', sk: 'a' },
          due: { pk: 'd', sk: '1' },
          ...over,
        });
      await store.write([putNew(item({}))]);
      await store.write([putNext(1, item({ data: { text: 'y'.repeat(900) } }))]);
      await store.write([putNext(2, item({ due: { pk: 'd', sk: '2' } }))]);
      expect(consumed.map(([, { writeUnits }]) => writeUnits)).toEqual([3, 1, 3]);
    });
  });
});
