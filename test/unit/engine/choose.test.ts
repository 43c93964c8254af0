import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Attempt, Command, Route } from '../../../shared/domain/command.ts';
import type { Pool } from '../../../shared/domain/pools.ts';
import { chooseTarget } from '../../../shared/engine/choose.ts';
import { DEFAULT_RULES } from '../../../shared/engine/rules.ts';
import type { TargetOutlook } from '../../../shared/engine/types.ts';
import { aCommand, anAttempt, SECOND, T0 } from '../../support/commands.ts';

const place = (target: string) => ({ target, isolation: 'none' }) as const;
const leg = (name: string, ...targets: string[]): Route[number] => ({ name, places: targets.map(place) });
const ABC: Route = [leg('a', 'a'), leg('b', 'b'), leg('c', 'c')];
const POOL: Route = [leg('eu', 'a', 'b', 'c'), leg('d', 'd')];

const DOWN: Partial<TargetOutlook> = { state: 'down', why: 'It answers 503.', downUntil: T0 + 40 * SECOND };

interface Situation {
  readonly route?: Route;
  readonly attempts?: readonly Partial<Attempt>[];
  readonly moveTo?: string;
  readonly outlooks?: Readonly<Record<string, Partial<TargetOutlook>>>;
  readonly pool?: Omit<Pool, 'name' | 'targets'>;
  readonly fraction?: number;
}

const choose = ({ route = ABC, attempts = [], moveTo, outlooks = {}, pool, fraction = 0.5 }: Situation) => {
  const command: Command = aCommand(
    {
      attempts: attempts.map((over, i) => anAttempt({ number: i + 1, endedAt: T0, ...over })),
      ...(moveTo === undefined ? {} : { moveTo }),
    },
    { target: route[0]?.name ?? '', route },
  );
  return chooseTarget(command, {
    now: T0,
    fraction,
    rules: DEFAULT_RULES,
    outlook: {
      of: (name) => ({ state: 'healthy', startMs: 0, ...outlooks[name] }),
      pool: (name) => (pool && name === 'eu' ? { name, targets: ['a', 'b', 'c'], ...pool } : undefined),
    },
  });
};
const chosen = (situation: Situation): string | undefined => {
  const choice = choose(situation);
  return choice.kind === 'place' ? choice.place.target : undefined;
};

const refusedBy = (target: string): Partial<Attempt> => ({ target, status: 'expired' });
const endedOn = (target: string, reason: 'exit' | 'lost' | 'provider-error', status: Attempt['status']) =>
  ({ target, status, startedAt: T0, result: { reason } as Attempt['result'] }) as Partial<Attempt>;

describe('the next target of a command', () => {
  test.for<[string, Situation, string]>([
    ['the one that it names', {}, 'a'],
    ['the next, when that is down', { outlooks: { a: DOWN } }, 'b'],
    ['the one that it names, also on trial', { outlooks: { a: { state: 'degraded' } } }, 'a'],
    ['the next, when that did not take it', { attempts: [refusedBy('a')] }, 'b'],
    ['the one after, when the next did not either', { attempts: [refusedBy('a'), refusedBy('b')] }, 'c'],
    ['the first again, when none did', { attempts: ['a', 'b', 'c'].map(refusedBy) }, 'a'],
    ['the second then', { attempts: ['a', 'b', 'c', 'a'].map(refusedBy) }, 'b'],
    ['not one that is down, though it refused less often', { attempts: [refusedBy('a')], outlooks: { b: DOWN } }, 'c'],
    [
      'the only one that is not down, however often it refused',
      { attempts: [refusedBy('a'), refusedBy('a')], outlooks: { b: DOWN, c: DOWN } },
      'a',
    ],
    ['the next, when a run was lost', { attempts: [endedOn('a', 'lost', 'lost')] }, 'b'],
    ['the next, after an error of its provider', { attempts: [endedOn('a', 'provider-error', 'failed')] }, 'b'],
    ['the same, after an exit code of the command', { attempts: [endedOn('b', 'exit', 'failed')] }, 'b'],
    ['another than that, when it is down', { attempts: [endedOn('b', 'exit', 'failed')], outlooks: { b: DOWN } }, 'a'],
    [
      'as at first, once it ran: what refused it before is forgotten',
      { attempts: [refusedBy('a'), endedOn('b', 'exit', 'failed'), refusedBy('b')] },
      'a',
    ],
    ['where it was moved to', { moveTo: 'c' }, 'c'],
    ['elsewhere, when that is down', { moveTo: 'c', outlooks: { c: DOWN } }, 'a'],
    ['a target of its pool before the rest', { route: POOL, attempts: [refusedBy('a')] }, 'b'],
    ['the rest, when all of its pool are down', { route: POOL, outlooks: { a: DOWN, b: DOWN, c: DOWN } }, 'd'],
    [
      'the cheapest of the pool',
      { route: POOL, pool: { by: 'price' }, outlooks: { a: {}, b: { pricePerHour: 2 }, c: { pricePerHour: 1 } } },
      'c',
    ],
    [
      'the first of the cheapest',
      { route: POOL, pool: { by: 'price' }, outlooks: { b: { pricePerHour: 1 }, c: { pricePerHour: 1 } } },
      'b',
    ],
    [
      'the fastest of the pool',
      {
        route: POOL,
        pool: { by: 'latency' },
        outlooks: { a: { startMs: 90 }, b: { startMs: 20 }, c: { startMs: 30 } },
      },
      'b',
    ],
    [
      'one that was never measured, to measure it',
      { route: POOL, pool: { by: 'latency' }, outlooks: { a: { startMs: 90 }, b: { startMs: 20 } } },
      'c',
    ],
    [
      'a healthy one before a cheaper one on trial',
      {
        route: POOL,
        pool: { by: 'price' },
        outlooks: { a: { pricePerHour: 0, state: 'degraded' }, b: { pricePerHour: 2 }, c: DOWN },
      },
      'b',
    ],
    [
      'by weight: the first part of the line',
      { route: POOL, pool: { by: 'weight', weights: { a: 1, b: 0, c: 3 } }, fraction: 0.2 },
      'a',
    ],
    [
      'by weight: the last part, past one that weighs nothing',
      { route: POOL, pool: { by: 'weight', weights: { a: 1, b: 0, c: 3 } }, fraction: 0.25 },
      'c',
    ],
    [
      'one that weighs nothing, when no other is up',
      { route: POOL, pool: { by: 'weight', weights: { a: 1, b: 0, c: 3 } }, outlooks: { a: DOWN, c: DOWN } },
      'b',
    ],
    ['the first, of a pool that is configured no more', { route: POOL }, 'a'],
  ])('is %s', ([, situation, expected]) => {
    expect(chosen(situation)).toBe(expected);
  });

  test('is none while all of them are down; it is looked for again when the first may be back, not all at once', () => {
    const later = { ...DOWN, downUntil: T0 + 600 * SECOND };
    expect(choose({ outlooks: { a: DOWN, b: later, c: later }, fraction: 0 })).toEqual({
      kind: 'none',
      target: 'a',
      why: 'It answers 503.',
      lookAgainAt: T0 + 40 * SECOND,
    });
    expect(choose({ outlooks: { a: DOWN, b: later, c: later }, fraction: 0.5 })).toMatchObject({
      lookAgainAt: T0 + 47_500,
    });
    // Within a minute, in case that a check or an operator brings one back.
    expect(choose({ outlooks: { a: later, b: later, c: later }, fraction: 0 })).toMatchObject({
      lookAgainAt: T0 + 60 * SECOND,
    });
  });

  const target = fc.constantFrom('a', 'b', 'c', 'd');
  const outlook = fc.record({
    state: fc.constantFrom('healthy', 'degraded', 'down'),
    startMs: fc.integer({ min: 0, max: 10_000 }),
    pricePerHour: fc.option(fc.double({ min: 0, max: 10, noNaN: true }), { nil: undefined }),
  }) as fc.Arbitrary<TargetOutlook>;
  const situations = fc.record({
    route: fc.constantFrom(ABC, POOL),
    attempts: fc.array(
      fc.oneof(
        target.map(refusedBy),
        target.map((name) => endedOn(name, 'lost', 'lost')),
        target.map((name) => endedOn(name, 'exit', 'failed')),
      ),
      { maxLength: 12 },
    ),
    outlooks: fc.record({ a: outlook, b: outlook, c: outlook, d: outlook }),
    pool: fc.record({ by: fc.constantFrom('order', 'weight', 'latency', 'price') }) as fc.Arbitrary<Pool>,
    fraction: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });

  test('is one of its route that is not down, and there is one if any is', () => {
    fc.assert(
      fc.property(situations, (situation) => {
        const names = situation.route.flatMap(({ places }) => places.map((one) => one.target));
        const up = names.filter((name) => situation.outlooks[name as 'a'].state !== 'down');
        const found = chosen(situation);
        if (up.length === 0) expect(found).toBeUndefined();
        else expect(up).toContain(found);
      }),
    );
  });

  test('is each of those that are up once, before any is tried again', () => {
    fc.assert(
      fc.property(situations, ({ attempts: _, ...situation }) => {
        const names = situation.route.flatMap(({ places }) => places.map((one) => one.target));
        const up = names.filter((name) => situation.outlooks[name as 'a'].state !== 'down');
        const tried: string[] = [];
        for (let i = 0; i < 3 * up.length; i++) {
          tried.push(chosen({ ...situation, attempts: tried.map(refusedBy) }) ?? '');
        }
        for (let round = 0; round < 3; round++) {
          const [from, to] = [round * up.length, (round + 1) * up.length];
          expect(tried.slice(from, to).toSorted()).toEqual(up.toSorted());
        }
      }),
    );
  });

  test('is taken in proportion to its weight', () => {
    const weights = { a: 1, b: 2, c: 7 };
    const counts: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (let i = 0; i < 1_000; i++) {
      const name = chosen({ route: POOL, pool: { by: 'weight', weights }, fraction: i / 1_000 }) ?? '';
      counts[name] = (counts[name] ?? 0) + 1;
    }
    expect(counts).toEqual({ a: 100, b: 200, c: 700 });
  });
});
