import { describe, expect, test } from 'vitest';
import { inProcessQueue } from '../../shared/queue/in-process.ts';
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

  test('many delays keep one timer, and none after close', async () => {
    const { queue, clock } = open();
    for (let n = 1; n <= 1_000; n++) await queue.send(wakeUp(n), { priority: 'normal', delaySeconds: 2_000 - n });
    expect(clock.sleepers()).toBe(1);
    await queue.close();
    expect(clock.sleepers()).toBe(0);
  });
});
