import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeCreateMeter } from '../../../../shared/providers/azure-container-instances/create-meter.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

const AZURE = [
  { creates: 100, seconds: 300 },
  { creates: 300, seconds: 3_600 },
];

describe('the meter of creates', () => {
  test('lets a burst through up to the limit, and says when the next one may come', async () => {
    const clock = fakeClock();
    const meter = makeCreateMeter(clock, AZURE);
    for (let n = 0; n < 100; n++) expect(meter.take()).toBeUndefined();
    expect(meter.take()).toBe(300);
    await clock.advance(299_000);
    expect(meter.take()).toBe(1);
    await clock.advance(1_000);
    expect(meter.take()).toBeUndefined();
  });

  test('keeps to the limit of the hour too', async () => {
    const clock = fakeClock();
    const meter = makeCreateMeter(clock, AZURE);
    for (let burst = 0; burst < 3; burst++) {
      for (let n = 0; n < 100; n++) expect(meter.take()).toBeUndefined();
      await clock.advance(300_000);
    }
    expect(meter.take()).toBe(2_700);
    await clock.advance(2_700_000);
    expect(meter.take()).toBeUndefined();
  });

  test('what was refused does not count', () => {
    const meter = makeCreateMeter(fakeClock(), [{ creates: 1, seconds: 10 }]);
    meter.take();
    for (let n = 0; n < 5; n++) expect(meter.take()).toBe(10);
  });

  test('no window ever holds more than its limit, and whoever waits as told gets one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 80 }), async (pauses) => {
        const limits = [
          { creates: 3, seconds: 10 },
          { creates: 5, seconds: 40 },
        ];
        const clock = fakeClock();
        const meter = makeCreateMeter(clock, limits);
        const made: number[] = [];
        const take = () => {
          const wait = meter.take();
          if (wait === undefined) made.push(clock.now());
          return wait;
        };
        for (const pause of pauses) {
          await clock.advance(pause * 500);
          const wait = take();
          if (wait === undefined || pause % 2 === 0) continue;
          await clock.advance(wait * 1_000);
          expect(take()).toBeUndefined();
        }
        for (const { creates, seconds } of limits) {
          for (const at of made) {
            const within = made.filter((other) => other > at - seconds * 1_000 && other <= at);
            expect(within.length).toBeLessThanOrEqual(creates);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});
