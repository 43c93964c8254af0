import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Condition,
  count,
  DEFAULT_HEALTH_RULES,
  expectedStartMs,
  isFailing,
  judge,
  newCondition,
  newTally,
  type Sign,
  withStart,
} from '../../../shared/domain/health.ts';

const RULES = DEFAULT_HEALTH_RULES;
const SECOND = 1_000;
const GOOD: Sign = { ok: true };
const FAULT: Sign = { ok: false, why: 'It answers 503.' };

/** A target whose signs come from one process: what is counted there, and what follows. */
const follow = (signs: readonly (readonly [seconds: number, sign: Sign])[], from: Condition = newCondition(0)) => {
  let condition = from;
  let tally = newTally(0);
  const seen: Condition[] = [];
  for (const [seconds, sign] of signs) {
    const now = seconds * SECOND;
    tally = count(tally, sign, now, RULES);
    const failing = isFailing(tally, RULES);
    if (failing) tally = newTally(now);
    condition = judge(condition, sign, { now, rules: RULES, failing });
    seen.push(condition);
  }
  return { condition, states: seen.map(({ state }) => state) };
};
const down = (over: Partial<Condition> = {}): Condition => ({
  ...newCondition(0),
  state: 'down',
  why: FAULT.why,
  downUntil: 30 * SECOND,
  falls: 1,
  ...over,
});

describe('the health of a target', () => {
  test.for<[string, readonly (readonly [number, Sign])[], readonly string[]]>([
    [
      'two faults in a row leave it healthy',
      [
        [1, FAULT],
        [2, FAULT],
        [3, GOOD],
        [4, FAULT],
        [5, FAULT],
      ],
      ['healthy', 'healthy', 'healthy', 'healthy', 'healthy'],
    ],
    [
      'three put it down',
      [
        [1, FAULT],
        [2, FAULT],
        [3, FAULT],
      ],
      ['healthy', 'healthy', 'down'],
    ],
    [
      'so do five of ten within a minute, none in a row',
      [1, 2, 3, 4, 5].flatMap((n) => [[n, GOOD] as const, [n, FAULT] as const]),
      ['healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'down'],
    ],
    [
      'five of ten over more than a minute do not',
      [10, 20, 30, 50, 70].flatMap((n) => [[n, GOOD] as const, [n, FAULT] as const]),
      Array.from({ length: 10 }, () => 'healthy'),
    ],
  ])('%s', ([, signs, states]) => {
    expect(follow(signs).states).toEqual(states);
  });

  test('says why, since when and until when it is left alone', () => {
    const { condition } = follow([
      [1, FAULT],
      [2, FAULT],
      [3, FAULT],
    ]);
    expect(condition).toEqual({
      state: 'down',
      since: 3_000,
      why: 'It answers 503.',
      good: 0,
      downUntil: 33_000,
      falls: 1,
    });
  });

  test.for<[string, readonly (readonly [number, Sign])[], readonly string[]]>([
    [
      'not by good signs too early',
      [
        [5, GOOD],
        [10, GOOD],
        [29, GOOD],
      ],
      ['down', 'down', 'down'],
    ],
    [
      'by two good ones on trial, by three more healthy',
      [
        [30, GOOD],
        [31, GOOD],
        [32, GOOD],
        [33, GOOD],
        [34, GOOD],
      ],
      ['down', 'degraded', 'degraded', 'degraded', 'healthy'],
    ],
    [
      'not by two with a fault in between',
      [
        [30, GOOD],
        [31, FAULT],
        [32, GOOD],
      ],
      ['down', 'down', 'down'],
    ],
    [
      'and falls again by one fault on trial',
      [
        [30, GOOD],
        [31, GOOD],
        [32, GOOD],
        [33, FAULT],
      ],
      ['down', 'degraded', 'degraded', 'down'],
    ],
  ])('comes back %s', ([, signs, states]) => {
    expect(follow(signs, down()).states).toEqual(states);
  });

  test('is left alone for twice as long with each fall, ten minutes at most, and as at first after a calm while', () => {
    const fallFrom = (from: Condition, seconds: number) =>
      judge(from, FAULT, { now: seconds * SECOND, rules: RULES, failing: true });
    const secondsDown = ({ since, downUntil = 0 }: Condition) => (downUntil - since) / SECOND;
    const onTrial: Condition = { ...newCondition(0), state: 'degraded' };
    expect([0, 1, 2, 3, 4, 5, 50].map((falls) => secondsDown(fallFrom({ ...onTrial, falls }, 1)))).toEqual([
      30, 60, 120, 240, 480, 600, 600,
    ]);
    const healthy = { ...newCondition(0), falls: 3 };
    expect(secondsDown(fallFrom(healthy, 599))).toBe(240);
    expect(secondsDown(fallFrom(healthy, 600))).toBe(30);
  });

  test('is not left alone for as long as a clock that was wrong would have it', () => {
    const { state } = follow(
      [
        [1, GOOD],
        [2, GOOD],
      ],
      down({ downUntil: 10_000 * SECOND }),
    ).condition;
    expect(state).toBe('degraded');
  });

  test('changes nothing by a good sign of a healthy one, so that nothing is written', () => {
    const healthy = newCondition(0);
    expect(judge(healthy, GOOD, { now: 1, rules: RULES, failing: false })).toBe(healthy);
    expect(judge(healthy, FAULT, { now: 1, rules: RULES, failing: false })).toBe(healthy);
    const fallen = down();
    expect(judge(fallen, FAULT, { now: 60 * SECOND, rules: RULES, failing: true })).toBe(fallen);
  });

  test('never flaps, whatever is seen: it is down for its time, and comes back by way of a trial', () => {
    const sign = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(sign, { maxLength: 200 }), (signs) => {
        let condition = newCondition(0);
        let now = 0;
        for (const [wait, ok] of signs) {
          now += wait * SECOND;
          const next = judge(condition, ok ? GOOD : FAULT, { now, rules: RULES, failing: !ok });
          if (condition.state === 'down' && next.state !== 'down') {
            expect(next.state).toBe('degraded');
            expect(now).toBeGreaterThanOrEqual(condition.since + RULES.downSeconds * SECOND);
          }
          if (condition.state === 'healthy' && next.state !== 'healthy') expect(next.state).toBe('down');
          if (next.state === 'down') expect([next.why, next.downUntil]).toEqual([FAULT.why, expect.any(Number)]);
          condition = next;
        }
      }),
    );
  });
});

describe('the time that starts take', () => {
  test('is a mean in which the newest counts for a fifth', () => {
    expect(withStart(withStart(undefined, 1_000, 1), 2_000, 2)).toEqual({ ms: 1_200, at: 2 });
  });

  test('counts for less, the longer ago it was measured, and for nothing when it never was', () => {
    const measured = { ms: 1_000, at: 0 };
    expect([0, 300, 600].map((seconds) => expectedStartMs(measured, seconds * SECOND))).toEqual([1_000, 500, 250]);
    expect(expectedStartMs(undefined, 0)).toBe(0);
  });
});
