import { describe, expect, test } from 'vitest';
import { PRIORITIES, type Priority } from '../../shared/domain/command.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { ConsumedQueue, Queue, WakeUp } from '../../shared/queue/queue.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { commandId } from '../support/commands.ts';
import { settle } from '../support/fake-clock.ts';

export const wakeUp = (n: number): WakeUp => ({ v: 1, id: referenceOf(toTenantId('default'), commandId(n)) });
/** A message of a tenant’s. */
const wakeUpOf = (tenant: string, n: number): WakeUp => ({ v: 1, id: referenceOf(toTenantId(tenant), commandId(n)) });
export const numberOf = ({ id }: WakeUp): number => Number(id.slice(-6));

export interface OpenedQueue {
  readonly queue: Queue;
  /** Begins to handle what the queue brings, by its real way from here to a consumer. */
  consume(handle: (wakeUp: WakeUp) => Promise<void>): void;
  /** In milliseconds, by the queue's own clock. */
  now(): number;
  /** Lets time pass until it is so, or fails after a while. */
  until(isSo: () => boolean): Promise<void>;
}

/** What every queue promises, wherever its messages are consumed; each adapter runs it. */
export const queueContract = (name: string, open: () => Promise<OpenedQueue>): void => {
  describe(`queue contract: ${name}`, () => {
    test('every message is handed out, also those sent before anyone consumed', async () => {
      const { queue, consume, until } = await open();
      const seen = new Set<number>();
      for (let n = 1; n <= 50; n++) await queue.send(wakeUp(n), { priority: 'normal' });
      consume(async (message) => void seen.add(numberOf(message)));
      for (let n = 51; n <= 100; n++) await queue.send(wakeUp(n), { priority: 'normal' });
      await until(() => seen.size >= 100);
      expect([...seen].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    });

    test.for(PRIORITIES)('a message of %s priority arrives as it was sent', async (priority) => {
      const { queue, consume, until } = await open();
      const seen: WakeUp[] = [];
      consume(async (message) => void seen.push(message));
      await queue.send(wakeUp(1), { priority });
      await until(() => seen.length > 0);
      expect(seen[0]).toEqual(wakeUp(1));
    });

    test('a delayed message comes not before its time, and keeps no other waiting', async () => {
      const { queue, consume, now, until } = await open();
      const seenAt = new Map<number, number>();
      consume(async (message) => void seenAt.set(numberOf(message), now()));
      const sentAt = now();
      await queue.send(wakeUp(2), { priority: 'normal', delaySeconds: 1.5 });
      await queue.send(wakeUp(1), { priority: 'normal', delaySeconds: 0 });
      await until(() => seenAt.size === 2);
      expect([...seenAt.keys()]).toEqual([1, 2]);
      expect(seenAt.get(2)).toBeGreaterThanOrEqual(sentAt + 1_500);
    });

    test('a handler that fails stops nothing', async () => {
      const { queue, consume, until } = await open();
      const seen = new Set<number>();
      consume(async (message) => {
        seen.add(numberOf(message));
        throw new Error('no');
      });
      for (const n of [1, 2]) await queue.send(wakeUp(n), { priority: 'normal' });
      await until(() => seen.size === 2);
      await queue.send(wakeUp(3), { priority: 'normal' });
      await until(() => seen.size === 3);
    });
  });
};

/** What every queue that this process consumes promises besides; each adapter runs it. */
export const consumedQueueContract = (
  name: string,
  open: () => { queue: ConsumedQueue; advance: (milliseconds: number) => Promise<void> },
): void => {
  describe(`consumed queue contract: ${name}`, () => {
    test('of many messages each is handed out once', async () => {
      const { queue } = open();
      const seen: number[] = [];
      for (let n = 1; n <= 500; n++) await queue.send(wakeUp(n), { priority: 'normal' });
      queue.consume(async (message) => void seen.push(numberOf(message)), { concurrency: 3 });
      for (let n = 501; n <= 1_000; n++) await queue.send(wakeUp(n), { priority: 'normal' });
      await settle();
      expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1));
    });

    test('high goes before normal before low', async () => {
      const { queue } = open();
      const sent: [number, Priority][] = [
        [1, 'low'],
        [2, 'normal'],
        [3, 'high'],
        [4, 'normal'],
        [5, 'high'],
      ];
      for (const [n, priority] of sent) await queue.send(wakeUp(n), { priority });
      const seen: number[] = [];
      queue.consume(async (message) => void seen.push(numberOf(message)), { concurrency: 1 });
      await settle();
      expect(seen).toEqual([3, 5, 2, 4, 1]);
    });

    test('a delayed message comes when its time has come, not before', async () => {
      const { queue, advance } = open();
      const seen: number[] = [];
      queue.consume(async (message) => void seen.push(numberOf(message)), { concurrency: 1 });
      await queue.send(wakeUp(2), { priority: 'normal', delaySeconds: 2 });
      await queue.send(wakeUp(1), { priority: 'normal', delaySeconds: 1 });
      await advance(999);
      expect(seen).toEqual([]);
      await advance(1);
      expect(seen).toEqual([1]);
      await advance(1_000);
      expect(seen).toEqual([1, 2]);
    });

    test('at most so many are handled at once, and the next follows when one ends', async () => {
      const { queue } = open();
      const open_: (() => void)[] = [];
      queue.consume(() => new Promise((resolve) => void open_.push(resolve)), { concurrency: 2 });
      for (let n = 1; n <= 5; n++) await queue.send(wakeUp(n), { priority: 'normal' });
      await settle();
      expect(open_).toHaveLength(2);
      open_.shift()?.();
      await settle();
      expect(open_).toHaveLength(2);
    });

    /** Handles what comes until it is told that it has ended, and notes whose it was. */
    const holding = (queue: ConsumedQueue, concurrency: number) => {
      const begun: string[] = [];
      const ends: { readonly tenant: string; readonly end: () => void }[] = [];
      queue.consume(
        ({ id }) => {
          const tenant = id.split('/')[0] ?? '';
          begun.push(tenant);
          return new Promise((resolve) => void ends.push({ tenant, end: resolve }));
        },
        { concurrency },
      );
      const endOne = async (of?: string): Promise<void> => {
        const at = of === undefined ? 0 : ends.findIndex(({ tenant }) => tenant === of);
        ends.splice(at, 1)[0]?.end();
        await settle();
      };
      return { begun, ends, endOne };
    };

    test('10,000 of one tenant do not keep another’s first waiting, even while none of them ends', async () => {
      const { queue } = open();
      const { begun } = holding(queue, 8);
      for (let n = 1; n <= 10_000; n++) await queue.send(wakeUpOf('a', n), { priority: 'high' });
      await settle();
      expect(begun).toHaveLength(8);
      await queue.send(wakeUpOf('b', 1), { priority: 'low' });
      await settle();
      expect(begun.slice(8)).toEqual(['b']);
    });

    test('the room for others is for one of each, bounded, and never for a tenant that has something running', async () => {
      const { queue } = open();
      const { begun, endOne } = holding(queue, 8);
      for (let n = 1; n <= 100; n++) await queue.send(wakeUpOf('a', n), { priority: 'normal' });
      for (const tenant of ['b', 'c', 'd', 'e']) {
        for (const n of [1, 2]) await queue.send(wakeUpOf(tenant, n), { priority: 'normal' });
      }
      await settle();
      expect(begun).toEqual([...Array(8).fill('a'), 'b', 'c']);
      // The next places are for those of whom nothing runs yet.
      await endOne('a');
      await endOne('a');
      expect(begun.slice(10)).toEqual(['d', 'e']);
    });

    test('tenants that always have something waiting get equal shares', async () => {
      const { queue } = open();
      const { begun, endOne } = holding(queue, 6);
      for (const [tenant, count] of [
        ['a', 300],
        ['b', 300],
        ['c', 300],
      ] as const) {
        for (let n = 1; n <= count; n++) await queue.send(wakeUpOf(tenant, n), { priority: 'normal' });
      }
      for (let n = 0; n < 300; n++) await endOne();
      const late = begun.slice(-150);
      for (const tenant of ['a', 'b', 'c']) {
        const count = late.filter((one) => one === tenant).length;
        expect(count).toBeGreaterThanOrEqual(45);
        expect(count).toBeLessThanOrEqual(55);
      }
    });

    test('nobody waits while there is room, nothing is lost, and each is handed out once, in whatever order tenants come', async () => {
      const { queue } = open();
      const seen = new Set<string>();
      let seed = 7;
      const random = (): number => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return seed / 2 ** 31;
      };
      const ends: (() => void)[] = [];
      queue.consume(
        ({ id }) => {
          expect(seen.has(id)).toBe(false);
          seen.add(id);
          return new Promise((resolve) => ends.push(resolve));
        },
        { concurrency: 4 },
      );
      let sent = 0;
      while (sent < 500 || seen.size < sent) {
        if (sent < 500 && random() < 0.6) {
          const priority = PRIORITIES[Math.floor(random() * PRIORITIES.length)] ?? 'normal';
          await queue.send(wakeUpOf('abcde'[Math.floor(random() * 5)] ?? 'a', ++sent), { priority });
        } else {
          ends.splice(Math.floor(random() * ends.length), 1)[0]?.();
        }
        await settle();
        expect(ends.length).toBeLessThanOrEqual(5);
        expect(ends.length).toBeGreaterThanOrEqual(Math.min(4, sent - (seen.size - ends.length)));
      }
      expect(seen.size).toBe(500);
    });

    test('close waits for what is being handled, and hands out no more', async () => {
      const { queue } = open();
      let finish = () => {};
      const seen: number[] = [];
      queue.consume(
        (message) => {
          seen.push(numberOf(message));
          return new Promise((resolve) => (finish = resolve));
        },
        { concurrency: 1 },
      );
      for (const n of [1, 2]) await queue.send(wakeUp(n), { priority: 'normal' });
      let closed = false;
      const closing = queue.close().then(() => (closed = true));
      await settle();
      expect(closed).toBe(false);
      finish();
      await closing;
      expect(seen).toEqual([1]);
    });
  });
};
