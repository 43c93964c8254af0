import { expect, test } from 'vitest';
import { systemRandom } from '../../../machine/system-clock.ts';
import { fireDue } from '../../../shared/app/fire-due.ts';
import { parentOf, toTraceparent } from '../../../shared/domain/trace-context.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import { withinTrace } from '../../../shared/telemetry/trace-scope.ts';
import { noTracing, type Span, type Tracing } from '../../../shared/telemetry/tracing.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { schedule } from '../../support/schedules.ts';

const MINUTE = 60_000;
const OTHER = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };

/** What several workers of one installation tell of, together. */
const workers = async (count: number) => {
  const [clock, store, spans] = [fakeClock(), sqliteStore({ file: ':memory:' }), [] as Span[]];
  const tracing: Tracing = {
    ...noTracing,
    exports: true,
    async begin(parent, _, spanId = systemRandom.hex(8)) {
      const traceId = parent ? parentOf(parent).traceId : systemRandom.hex(16);
      return { traceparent: toTraceparent({ traceId, spanId, sampled: true }) };
    },
    record: (span) => void spans.push(span),
  };
  const all: TestWorker[] = [];
  for (let n = 1; n <= count; n++) {
    all.push({ ...(await testWorker({ clock, store, work: false, name: `worker-${n}` })), tracing });
  }
  return { all, first: all[0] as TestWorker, clock, told: () => spans.filter(({ name }) => name === 'fire schedule') };
};

test('an instant that several fire is told of once, in the trace of its command', async () => {
  const { all, first, clock, told } = await workers(3);
  await schedule(first);
  await clock.advance(MINUTE + 250);
  await withinTrace(OTHER, () => Promise.all(all.map((worker) => fireDue(worker, clock.now()))));
  const { commands } = await first.commands.list(owner.tenant, {}, { limit: 10 });
  const [span] = told();
  expect([commands.length, told().length]).toEqual([1, 1]);
  // The command's parent is the span, whoever's work led to it.
  expect(commands[0]?.trace && parentOf(commands[0].trace)).toEqual(span?.at);
  expect(span?.at.traceId).not.toBe(parentOf(OTHER).traceId);
  expect(span?.attributes).toMatchObject({ 'errand.status': 'submitted', 'errand.schedule.late_ms': 250 });
  expect(span).not.toHaveProperty('parentSpanId');
});

test('one that fires nothing is told of with the reason', async () => {
  const { first, clock, told } = await workers(1);
  await schedule(first, { overlap: 'skip' });
  for (let minutes = 0; minutes < 2; minutes++) {
    await clock.advance(MINUTE);
    await fireDue(first, clock.now());
  }
  expect(told().map(({ attributes }) => [attributes['errand.status'], attributes['errand.reason']])).toEqual([
    ['submitted', undefined],
    ['skipped', 'overlap'],
  ]);
  expect(new Set(told().map(({ at }) => at.traceId)).size).toBe(2);
});
