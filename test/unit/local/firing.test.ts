import { expect, onTestFinished, test } from 'vitest';
import { fireSchedulesEachMinute } from '../../../functions/workers/fire-schedules.ts';
import { keepFiring } from '../../../local/firing.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { settle } from '../../support/fake-clock.ts';
import { schedule } from '../../support/schedules.ts';

/** How late commands were submitted after their instants, in milliseconds. */
const lateness = async ({ commands }: TestWorker): Promise<number[]> =>
  (await commands.list(owner.tenant, {}, { limit: 100 })).commands.map(
    ({ submittedAt, scheduledBy }) => submittedAt - (scheduledBy?.at ?? 0),
  );

test('a server wakes when the next schedule is due, to the millisecond, also for one that was stored a moment before', async () => {
  const deps = await testWorker({ work: false });
  const closing = new AbortController();
  const firing = keepFiring({ ...deps, closing: closing.signal });
  onTestFinished(async () => {
    closing.abort();
    await firing;
  });
  await settle();
  await schedule(deps, { overlap: 'allow', everySeconds: 10 });
  await deps.clock.advance(1_234);
  await schedule(deps, { everySeconds: undefined, at: new Date(deps.clock.now() + 777).toISOString() } as never);
  await deps.clock.advance(60_000);
  expect(await lateness(deps)).toEqual([0, 0, 0, 0, 0, 0, 0]);
});

test('a server that is told to end does so at once', async () => {
  const deps = await testWorker({ work: false });
  const closing = new AbortController();
  const firing = keepFiring({ ...deps, closing: closing.signal });
  await settle();
  closing.abort();
  await firing;
});

test('the cloud’s worker fires on time what is due within the minute, and ends', async () => {
  const deps = await testWorker({ work: false });
  await schedule(deps, { overlap: 'allow', everySeconds: 25 });
  const called = fireSchedulesEachMinute(deps)();
  await deps.clock.advance(65_000);
  expect(await called).toBeGreaterThan(2);
  expect(await lateness(deps)).toEqual([0, 0]);
});

test('it does not wait where nothing is due', async () => {
  const deps = await testWorker({ work: false });
  await schedule(deps, { everySeconds: 3_600 });
  expect(await fireSchedulesEachMinute(deps)()).toBe(1);
});

test('two of them at once fire each instant once', async () => {
  const deps = await testWorker({ work: false });
  await schedule(deps, { overlap: 'allow', everySeconds: 10 });
  const called = [fireSchedulesEachMinute(deps)()];
  await deps.clock.advance(60_000);
  called.push(fireSchedulesEachMinute(deps)());
  await deps.clock.advance(65_000);
  await Promise.all(called);
  expect(await lateness(deps)).toHaveLength(12);
});
