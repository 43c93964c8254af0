import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Timing } from '../../../shared/domain/schedules.ts';
import { cronFault, lastInstants, nextInstant, nextInstants } from '../../../shared/domain/timing.ts';

const cron = (expression: string, timeZone: string): Timing => ({ kind: 'cron', cron: expression, timeZone });
const iso = (instants: readonly number[]): string[] =>
  instants.map((instant) => new Date(instant).toISOString().replace(':00.000Z', 'Z'));

/* By https://data.iana.org/time-zones/, 2026 and 2027: what the wall shows and when that is in UTC. */
describe('a job of one time of day runs once on each day', () => {
  test.for<[what: string, zone: string, expression: string, after: string, instants: string[]]>([
    [
      'at the end of a gap of an hour',
      'Europe/Berlin',
      '30 2 * * *',
      '2026-03-28T12:00Z',
      ['2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ],
    [
      'at the first of two 02:30',
      'Europe/Berlin',
      '30 2 * * *',
      '2026-10-24T12:00Z',
      ['2026-10-25T00:30Z', '2026-10-26T01:30Z'],
    ],
    [
      'at the end of a gap, west of Greenwich',
      'America/New_York',
      '30 2 * * *',
      '2026-03-07T12:00Z',
      ['2026-03-08T07:00Z', '2026-03-09T06:30Z'],
    ],
    [
      'at the first of two 01:30',
      'America/New_York',
      '30 1 * * *',
      '2026-10-31T12:00Z',
      ['2026-11-01T05:30Z', '2026-11-02T06:30Z'],
    ],
    [
      'at the end of a gap of half an hour',
      'Australia/Lord_Howe',
      '15 2 * * *',
      '2026-10-03T00:00Z',
      ['2026-10-03T15:30Z', '2026-10-04T15:15Z'],
    ],
    [
      'at the first of two 01:45, half an hour apart',
      'Australia/Lord_Howe',
      '45 1 * * *',
      '2027-04-03T00:00Z',
      ['2027-04-03T14:45Z', '2027-04-04T15:15Z'],
    ],
    [
      'at the end of a gap at midnight',
      'America/Santiago',
      '30 0 * * *',
      '2026-09-05T12:00Z',
      ['2026-09-06T04:00Z', '2026-09-07T03:30Z'],
    ],
    [
      'at the first of two 23:30',
      'America/Santiago',
      '30 23 * * *',
      '2026-04-04T12:00Z',
      ['2026-04-05T02:30Z', '2026-04-06T03:30Z'],
    ],
    [
      'at one o’clock where midnight does not exist',
      'Africa/Cairo',
      '0 0 * * *',
      '2026-04-23T12:00Z',
      ['2026-04-23T22:00Z', '2026-04-24T21:00Z'],
    ],
  ])('%s: %s', ([, zone, expression, after, instants]) => {
    expect(iso(nextInstants(cron(expression, zone), Date.parse(after), instants.length))).toEqual(instants);
  });
});

describe('a job of many times of day runs at all that exist, twice where one does', () => {
  test.for<[zone: string, expression: string, after: string, instants: string[]]>([
    ['Europe/Berlin', '*/30 * * * *', '2026-03-29T00:15Z', ['2026-03-29T00:30Z', '2026-03-29T01:00Z']],
    [
      'Europe/Berlin',
      '*/30 2 * * *',
      '2026-10-24T12:00Z',
      ['2026-10-25T00:00Z', '2026-10-25T00:30Z', '2026-10-25T01:00Z', '2026-10-25T01:30Z', '2026-10-26T01:00Z'],
    ],
    [
      'Australia/Lord_Howe',
      '*/15 * * * *',
      '2027-04-03T14:40Z',
      ['2027-04-03T14:45Z', '2027-04-03T15:00Z', '2027-04-03T15:15Z', '2027-04-03T15:30Z'],
    ],
  ])('%s %s after %s', ([zone, expression, after, instants]) => {
    expect(iso(nextInstants(cron(expression, zone), Date.parse(after), instants.length))).toEqual(instants);
  });
});

describe('an expression', () => {
  test.for(['* * * * *', '*/10 * * * * *', '0 3 * * 1-5', '0 0 L * *', '0 0 * JAN MON#2', '@daily', '@hourly'])(
    '%s can be read',
    (expression) => {
      expect(cronFault(expression, 'UTC')).toBeUndefined();
    },
  );
  test.for(['', 'x', '* * * *', '60 * * * *', '* * * * * * *', '2030-01-01T00:00:00', '@never', '* * * * mun'])(
    '%s cannot, and is told why',
    (expression) => {
      expect(cronFault(expression, 'UTC')).toMatch(/\w/);
    },
  );
  test('that never comes has no next instant', () => {
    expect(nextInstant(cron('0 0 30 2 *', 'UTC'), 0)).toBeUndefined();
  });
});

describe('a rate', () => {
  const anchor = Date.parse('2030-01-01T00:00:00.250Z');
  const each = (seconds: number): Timing => ({ kind: 'every', everySeconds: seconds, anchor });
  test('is counted from its anchor, whenever one looks', () => {
    expect(nextInstants(each(60), anchor + 90_000, 2)).toEqual([anchor + 120_000, anchor + 180_000]);
  });
  test('begins with its start', () => {
    const startAt = anchor + 1_000;
    const timing: Timing = { kind: 'every', everySeconds: 60, anchor: startAt, startAt };
    expect(nextInstants(timing, 0, 2)).toEqual([startAt, startAt + 60_000]);
  });
});

test('a time comes once', () => {
  const at = Date.parse('2030-01-01T00:00:00Z');
  expect(nextInstants({ kind: 'at', at }, at - 1, 5)).toEqual([at]);
  expect(nextInstant({ kind: 'at', at }, at)).toBeUndefined();
});

describe('for any timing and moment', () => {
  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'Australia/Lord_Howe',
    'America/Santiago',
    'Asia/Kathmandu',
  ];
  const moment = fc.integer({ min: Date.parse('2026-01-01'), max: Date.parse('2027-12-31') });
  const window = fc.record({
    startAt: fc.option(moment, { nil: undefined }),
    endAt: fc.option(moment, { nil: undefined }),
  });
  const timing: fc.Arbitrary<Timing> = fc
    .tuple(
      fc.oneof(
        fc.record({
          kind: fc.constant('cron' as const),
          cron: fc.constantFrom('*/20 * * * *', '30 2 * * *', '0 0 * * 0', '15 */6 * * *', '0 0 0 1 * *'),
          timeZone: fc.constantFrom(...zones),
        }),
        fc.record({
          kind: fc.constant('every' as const),
          everySeconds: fc.integer({ min: 10, max: 1e6 }),
          anchor: moment,
        }),
        fc.record({ kind: fc.constant('at' as const), at: moment }),
      ),
      window,
    )
    .map(([kind, within]) => ({ ...kind, ...within }));

  test('the next instant is later, within the window, and nothing lies between', () => {
    fc.assert(
      fc.property(timing, moment, (one, after) => {
        const next = nextInstant(one, after);
        if (next === undefined) return;
        expect(next).toBeGreaterThan(after);
        expect(next).toBeGreaterThanOrEqual(one.startAt ?? 0);
        expect(next).toBeLessThanOrEqual(one.endAt ?? next);
        // From any moment between, it is the next one too.
        expect(nextInstant(one, after + Math.floor((next - after - 1) / 2))).toBe(next);
        expect(nextInstant(one, next - 1)).toBe(next);
      }),
      { numRuns: 300 },
    );
  });

  test('the last instants are those that one comes to by the next ones', () => {
    fc.assert(
      fc.property(timing, moment, (one, from) => {
        const forth = nextInstants(one, from, 6);
        const until = forth.at(-1);
        if (until === undefined) return;
        expect(lastInstants(one, until, forth.length).filter((instant) => instant > from)).toEqual(forth);
      }),
      { numRuns: 300 },
    );
  });
});
