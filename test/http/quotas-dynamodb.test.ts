import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchFrom } from '../../local/embedded.ts';
import { makeGateway } from '../../local/gateway.ts';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { makeAccess } from '../../shared/access/access.ts';
import type { Command } from '../../shared/domain/command.ts';
import { makeCommandIds, toTenantId } from '../../shared/domain/ids.ts';
import { makeMeter } from '../../shared/limits/meter.ts';
import { makeCommandOrder } from '../../shared/store/command-order.ts';
import { makeCommands } from '../../shared/store/commands.ts';
import { dynamodbClient } from '../../shared/store/dynamodb/client.ts';
import { dynamodbStore } from '../../shared/store/dynamodb/dynamodb.ts';
import type { Store } from '../../shared/store/store.ts';
import { aCommand, commandId } from '../support/commands.ts';
import { testWorker } from '../support/deps.ts';
import { type DynamodbLocal, missingForDynamodb, REGION, startDynamodbLocal } from '../support/dynamodb-local.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { type Call, callBy, openTenant, quotaClaims } from './quotas-contract.ts';

const KEY = 'the-key-of-the-owner-of-this-installation';
const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';

describe.skipIf(missingForDynamodb.length > 0)(`on DynamoDB${needs}`, () => {
  let dynamodb: DynamodbLocal;
  beforeAll(async () => {
    dynamodb = await startDynamodbLocal();
  });
  afterAll(() => dynamodb?.close());

  const storeOn = (tableName: string, client = dynamodb.client): Store =>
    dynamodbStore({ client, tableName, clock: systemClock, random: systemRandom });

  /** A server on a table, which may have others. */
  const serve = async (tableName: string, name = 'worker-1'): Promise<Call> => {
    const worker = await testWorker({ store: storeOn(tableName), name });
    const { principals, clock, store } = worker;
    // Two at one time would make the same ids by the random numbers of tests.
    const deps = { ...worker, order: makeCommandOrder(store, makeCommandIds(clock, systemRandom)) };
    const access = makeAccess({ principals, clock, readOwnerKey: async () => KEY });
    return callBy({ fetch: fetchFrom(makeGateway({ ...deps, access }), KEY), url: 'http://errand.invalid' });
  };

  quotaClaims(async () => serve(await dynamodb.makeTable()));

  test('of submissions to two workers at once no more come through than may, and none fails for the others', async () => {
    const tableName = await dynamodb.makeTable();
    const workers = [await serve(tableName), await serve(tableName, 'worker-2')] as const;
    const { submit, usage } = await openTenant(workers[0], { commandsPerDay: 20 });
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => submit(['true'], {}, workers[i % 2 === 0 ? 0 : 1])),
    );
    const statuses = answers.map(({ status }) => status).toSorted();
    expect(statuses).toEqual([...Array(20).fill(202), ...Array(40).fill(429)]);
    expect(await usage()).toMatchObject({ commands: 20 });
  });

  describe('what is counted', () => {
    const tenant = toTenantId('acme');
    const LIMITS = { unfinishedCommands: 1_000 };

    /** The record of commands and the counters of one worker. */
    const open = (store: Store, counters = store) => {
      const clock = fakeClock();
      return { commands: makeCommands(store, systemRandom, clock), meter: makeMeter(counters, clock), clock };
    };
    const behindProxy = async (tableName: string) => {
      const proxy = await faultProxy(dynamodb.endpoint);
      const client = dynamodbClient({ region: REGION, endpoint: proxy.endpoint });
      // What it reads is not what is to go wrong.
      return { proxy, ...open(storeOn(tableName, client), storeOn(tableName)) };
    };
    const aMetered = (n: number): Command => aCommand({ id: commandId(n), tenant, metered: true });
    const ended = (command: Command): Command => {
      const { dueAt: _, ...rest } = command;
      return { ...rest, status: 'canceled' };
    };
    const usageOf = async ({ meter }: ReturnType<typeof open>) => (await meter.used(tenant, 1)).today;

    // One fewer than the SDK tries, and more than anybody does.
    test.for([2, 40])('is counted once, when the answers to %i requests were lost', async (lost) => {
      const tableName = await dynamodb.makeTable();
      const { proxy, ...worker } = await behindProxy(tableName);
      const other = open(storeOn(tableName));
      const command = aMetered(1);
      const toll = worker.meter.submission(tenant, LIMITS);
      proxy.fail('lost', lost);
      // Who is not told asks again, as the runner of a command and its worker do.
      await worker.commands.add(command, undefined, worker.clock.now(), toll).catch(() => {});
      proxy.fail('lost', 0);
      const stored = await other.commands.find(`${tenant}/${command.id}`);
      if (!stored) throw new Error('It is not stored');
      expect(await usageOf(other)).toMatchObject({ commands: 1, unfinished: 1 });
      const next = ended(command);
      const end = () => worker.commands.save(stored, next, [], worker.meter.end(command, next));
      proxy.fail('lost', lost);
      await end().catch(() => {});
      proxy.fail('lost', 0);
      const again = await end();
      expect(again.stored?.command.status).toBe('canceled');
      expect(await usageOf(other)).toMatchObject({ commands: 1, unfinished: 0 });
    });

    test('of ends that two workers store at once, each is counted once', async () => {
      const tableName = await dynamodb.makeTable();
      const workers = [open(storeOn(tableName)), open(storeOn(tableName))] as const;
      const commands = Array.from({ length: 20 }, (_, n) => aMetered(n + 1));
      for (const command of commands) {
        await workers[0].commands.add(command, undefined, 0, workers[0].meter.submission(tenant, LIMITS));
      }
      expect(await usageOf(workers[0])).toMatchObject({ unfinished: 20 });
      const outcomes = await Promise.all(
        commands.flatMap((command) =>
          workers.map(async (worker) => {
            const stored = await worker.commands.find(`${tenant}/${command.id}`);
            if (!stored) throw new Error('It is not stored');
            const next = ended(stored.command);
            return worker.commands.save({ ...stored, version: 1 }, next, [], worker.meter.end(command, next));
          }),
        ),
      );
      expect(outcomes.filter(({ ok }) => ok)).toHaveLength(20);
      expect(await usageOf(workers[1])).toMatchObject({ commands: 20, unfinished: 0 });
    });

    test('that a condition failed for another reason is told as what it is, and nothing is counted', async () => {
      const worker = open(storeOn(await dynamodb.makeTable()));
      const command = aMetered(1);
      const toll = () => worker.meter.submission(tenant, { unfinishedCommands: 1 });
      await worker.commands.add(command, undefined, 0, toll());
      await expect(worker.commands.add(aMetered(2), undefined, 0, toll())).rejects.toMatchObject({
        code: 'quota-exceeded',
      });
      await expect(worker.commands.add(command, undefined, 0, worker.meter.submission(tenant, LIMITS))).rejects.toThrow(
        'is taken',
      );
      expect(await usageOf(worker)).toMatchObject({ commands: 1, unfinished: 1 });
    });
  });
});
