import { describe, expect, test } from 'vitest';
import type { Priority } from '../../shared/domain/command.ts';
import { AGEING_SECONDS, inProcessQueue } from '../../shared/queue/in-process.ts';
import type { WakeUp } from '../../shared/queue/queue.ts';
import { fakeClock, settle } from '../support/fake-clock.ts';
import { consumedQueueContract, numberOf, queueContract, wakeUp } from './queue-contract.ts';

const open = () => {
  const clock = fakeClock();
  return { queue: inProcessQueue({ clock }), advance: clock.advance, clock };
};

queueContract('in-process', async () => {
  const { queue, clock } = open();
  return {
    queue,
    consume: (handle) => queue.consume(handle, { concurrency: 3 }),
    now: clock.now,
    async until(isSo) {
      for (let waited = 0; !isSo() && waited < 60_000; waited += 100) await clock.advance(100);
      expect(isSo()).toBe(true);
    },
  };
});
consumedQueueContract('in-process', open);

describe('the in-process queue', () => {
  test('a command waits once, however often it is sent, at its highest priority and earliest time', async () => {
    const { queue, advance } = open();
    await queue.send(wakeUp(1), { priority: 'low' });
    await queue.send(wakeUp(2), { priority: 'normal' });
    await queue.send(wakeUp(1), { priority: 'high' });
    await queue.send(wakeUp(1), { priority: 'normal', delaySeconds: 5 });
    await queue.send(wakeUp(3), { priority: 'normal', delaySeconds: 60 });
    await queue.send(wakeUp(3), { priority: 'normal', delaySeconds: 10 });
    const seen: number[] = [];
    queue.consume(async (message) => void seen.push(numberOf(message)), { concurrency: 1 });
    await settle();
    expect(seen).toEqual([1, 2]);
    await advance(10_000);
    expect(seen).toEqual([1, 2, 3]);
    await advance(60_000);
    expect(seen).toEqual([1, 2, 3]);
  });

  test('a command that is sent while it is handled is handled again afterwards, never twice at one time', async () => {
    const { queue } = open();
    let atOnce = 0;
    let most = 0;
    let times = 0;
    queue.consume(
      async (message) => {
        most = Math.max(most, ++atOnce);
        if (++times === 1) for (let i = 0; i < 3; i++) await queue.send(message, { priority: 'normal' });
        await settle();
        atOnce--;
      },
      { concurrency: 8 },
    );
    await queue.send(wakeUp(1), { priority: 'normal' });
    for (let i = 0; i < 5; i++) await settle();
    expect({ times, most }).toEqual({ times: 2, most: 1 });
  });

  describe('with ever more urgent work than it can do', () => {
    /** One is handled at a time, for a second each, and two more come each second: how long the patient one waits. */
    const waitOf = async (patient: WakeUp, priority: Priority, urgent: (n: number) => WakeUp, rival: Priority) => {
      const { queue, clock } = open();
      let handedOutAt: number | undefined;
      const handle = async (message: WakeUp) => {
        if (message === patient) handedOutAt ??= clock.now();
        await clock.sleep(1_000);
      };
      queue.consume(handle, { concurrency: 1 });
      await queue.send(urgent(1), { priority: rival });
      await queue.send(patient, { priority });
      const sentAt = clock.now();
      for (let n = 2; handedOutAt === undefined && n < 1_000; n += 2) {
        for (const one of [urgent(n), urgent(n + 1)]) await queue.send(one, { priority: rival });
        await clock.advance(1_000);
      }
      return ((handedOutAt ?? Number.POSITIVE_INFINITY) - sentAt) / 1_000;
    };

    test.each([
      { priority: 'high', rival: 'high', seconds: 1 },
      { priority: 'normal', rival: 'high', seconds: AGEING_SECONDS },
      { priority: 'low', rival: 'normal', seconds: AGEING_SECONDS },
      { priority: 'low', rival: 'high', seconds: 2 * AGEING_SECONDS },
    ] as const)('$priority waits behind $rival for $seconds s, and no longer', async ({ priority, rival, seconds }) => {
      const waited = await waitOf(wakeUp(1_000), priority, wakeUp, rival);
      expect(waited).toBeGreaterThanOrEqual(seconds - 1);
      expect(waited).toBeLessThanOrEqual(seconds + 2);
    });

    test('nor does one tenant’s wait longer behind another’s, where there is room for no more than one', async () => {
      const other = (n: number): WakeUp => ({ v: 1, id: `other/${wakeUp(n).id.split('/')[1]}` as WakeUp['id'] });
      expect(await waitOf(other(1_000), 'low', wakeUp, 'high')).toBeLessThanOrEqual(2 * AGEING_SECONDS + 2);
    });
  });

  test('many delays keep one timer, and none after close', async () => {
    const { queue, clock } = open();
    for (let n = 1; n <= 1_000; n++) await queue.send(wakeUp(n), { priority: 'normal', delaySeconds: 2_000 - n });
    expect(clock.sleepers()).toBe(1);
    await queue.close();
    expect(clock.sleepers()).toBe(0);
  });
});
