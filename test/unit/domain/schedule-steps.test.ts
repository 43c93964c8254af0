import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lookAtSchedule, passRestored, pause, resume, settle, stateOf } from '../../../shared/domain/schedule-steps.ts';
import { CATCH_UPS, dueAtOf, jitterOf, type Schedule } from '../../../shared/domain/schedules.ts';
import { commandId, SECOND, T0 } from '../../support/commands.ts';
import { aSchedule, scheduleId } from '../../support/schedules.ts';

const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** All that is fired and passed at a moment, as fast as can be. */
const runAt = (schedule: Schedule, now: number): { fired: number[]; schedule: Schedule } => {
  const fired: number[] = [];
  let one = schedule;
  for (;;) {
    const look = lookAtSchedule(one, now);
    if (look.kind === 'nothing') return { fired, schedule: one };
    if (look.kind === 'pass') one = look.schedule;
    else {
      fired.push(look.at);
      const firing = { at: look.at, decidedAt: now, outcome: 'submitted', command: commandId(fired.length) } as const;
      one = settle(one, firing) ?? one;
    }
  }
};

describe('what was missed', () => {
  // Each minute; down from T0 on.
  test.for<[catchUp: Schedule['catchUp'], downMs: number, fired: number[]]>([
    ['none', 3 * MINUTE, [3 * MINUTE]],
    ['none', 3 * MINUTE + 59 * SECOND, [3 * MINUTE]],
    ['last', 10 * MINUTE + 59 * SECOND, [10 * MINUTE]],
    ['all', 4 * MINUTE, [1, 2, 3, 4].map((n) => n * MINUTE)],
    ['all', DAY, Array.from({ length: 100 }, (_, i) => DAY - (99 - i) * MINUTE)],
  ])('catch-up %s after %i ms', ([catchUp, downMs, fired]) => {
    const ran = runAt(aSchedule({ catchUp }), T0 + downMs);
    expect(ran.fired.map((at) => at - T0)).toEqual(fired);
    expect(ran.schedule.next).toBe(Math.floor(T0 / MINUTE) * MINUTE + (Math.floor(downMs / MINUTE) + 1) * MINUTE);
  });

  const at = (over: Partial<Schedule>) => aSchedule({ timing: { kind: 'at', at: T0 + MINUTE }, ...over });
  test.for<[catchUp: Schedule['catchUp'], lateMs: number, fired: number]>([
    ['none', 2 * MINUTE, 1],
    ['none', 2 * MINUTE + 1, 0],
    ['last', 31 * DAY, 1],
    ['last', 31 * DAY + 1, 0],
    ['all', 31 * DAY + 1, 0],
  ])('one time with catch-up %s that is %i ms late', ([catchUp, lateMs, fired]) => {
    const ran = runAt(at({ catchUp }), T0 + MINUTE + lateMs);
    expect(ran.fired).toHaveLength(fired);
    expect(ran.schedule.history).toMatchObject([{ at: T0 + MINUTE, outcome: fired ? 'submitted' : 'missed' }]);
    expect(stateOf(ran.schedule)).toBe('ended');
  });
});

test('for any moments of looking, each instant is fired once at most, in order, and never before its time', () => {
  const schedules = fc.record({
    id: fc.nat().map(scheduleId),
    catchUp: fc.constantFrom(...CATCH_UPS),
    jitterSeconds: fc.constantFrom(0, 30, 600),
    everySeconds: fc.constantFrom(10, 60, 3_600),
  });
  const waits = fc.array(fc.oneof(fc.nat(2_000), fc.nat(10 * MINUTE), fc.nat(3 * DAY)), { maxLength: 12 });
  fc.assert(
    fc.property(schedules, waits, ({ everySeconds, ...over }, moments) => {
      const timing = { kind: 'every', everySeconds, anchor: T0 } as const;
      let one = aSchedule({ ...over, timing, next: T0 + everySeconds * SECOND });
      let now = T0;
      const fired: number[] = [];
      for (const wait of moments) {
        now += wait;
        const ran = runAt(one, now);
        for (const at of ran.fired) expect(at + jitterOf(one, at)).toBeLessThanOrEqual(now);
        fired.push(...ran.fired);
        one = ran.schedule;
        expect(dueAtOf(one)).toBeGreaterThan(now);
      }
      expect(fired).toEqual([...new Set(fired)].toSorted((a, b) => a - b));
    }),
  );
});

test('a jitter is the same for the same schedule and instant, and spreads', () => {
  const one = aSchedule({ jitterSeconds: 60 });
  const jitters = Array.from({ length: 500 }, (_, n) => jitterOf(one, T0 + n * MINUTE));
  expect(jitterOf(one, T0)).toBe(jitterOf(aSchedule({ jitterSeconds: 60 }), T0));
  expect(Math.min(...jitters)).toBeLessThan(3_000);
  expect(Math.max(...jitters)).toBeGreaterThan(57_000);
  expect(new Set(jitters).size).toBeGreaterThan(400);
});

describe('an instant', () => {
  const submitted = { at: T0 + MINUTE, decidedAt: T0 + MINUTE, outcome: 'submitted', command: commandId() } as const;

  test('is settled once, whoever comes first', () => {
    const first = settle(aSchedule(), submitted);
    expect(first).toMatchObject({ next: T0 + 2 * MINUTE, history: [submitted] });
    expect(settle(first as Schedule, submitted)).toBeUndefined();
    expect(
      settle(first as Schedule, { ...submitted, command: undefined as never, outcome: 'refused' }),
    ).toBeUndefined();
  });

  test('that another took for missed was submitted, if it was', () => {
    const missed = settle(aSchedule(), { at: T0 + MINUTE, decidedAt: T0, outcome: 'missed' }) as Schedule;
    expect(settle(missed, submitted)).toMatchObject({ next: missed.next, history: [submitted] });
  });
});

test('in a restored store nothing is fired that may have been since, and what is to come is', () => {
  const waiting = [T0, T0 + MINUTE];
  const passed = passRestored(aSchedule({ waiting, next: T0 + 2 * MINUTE, catchUp: 'all' }), T0 + DAY);
  expect(passed).toMatchObject({ next: T0 + DAY + MINUTE, waiting: [] });
  expect(passed?.history).toMatchObject([
    { at: T0 + 2 * MINUTE, outcome: 'missed', reason: 'restored' },
    { at: T0, outcome: 'missed', reason: 'restored', count: 2 },
  ]);
  expect(passRestored(passed as Schedule, T0 + DAY)).toBeUndefined();
});

test('a pause drops what waits, and what passes meanwhile is not made up for', () => {
  const waiting = [T0 + MINUTE, T0 + 2 * MINUTE];
  const paused = pause(aSchedule({ waiting, next: T0 + 3 * MINUTE, catchUp: 'all' }), T0 + 3 * MINUTE);
  expect(paused.history).toMatchObject([{ at: T0 + MINUTE, outcome: 'skipped', reason: 'paused', count: 2 }]);
  expect([stateOf(paused), dueAtOf(paused)]).toEqual(['paused', undefined]);
  expect(runAt(paused, T0 + DAY).fired).toEqual([]);
  const resumed = resume(paused, T0 + DAY + 1);
  expect(resumed.next).toBe(T0 + DAY + MINUTE);
});
