import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../shared/domain/limits.ts';
import {
  admit,
  dueOf,
  enable,
  nextTryAt,
  type Outcome,
  RETRY_SECONDS,
  reopen,
  settle,
} from '../../../shared/domain/webhook-steps.ts';
import type { EndedDelivery, Webhook } from '../../../shared/domain/webhooks.ts';
import { T0 } from '../../support/commands.ts';
import { aWebhook } from '../../support/webhook-receivers.ts';

const event = (sequence: number, subject = `subject-${sequence}`) => ({
  sequence,
  subject,
  type: 'command.submitted' as const,
});
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
/** Told of events up to one, none of them sent yet. */
const told = (events: readonly ReturnType<typeof event>[], over: Partial<Webhook> = {}): Webhook =>
  admit(aWebhook(over), { events, to: events.at(-1)?.sequence ?? 0 }, T0);
const outcome = (sequence: number, statusCode: number, over: Partial<Outcome> = {}): Outcome => ({
  sequence,
  attempt: { at: T0, durationMs: 5, statusCode },
  fraction: 0,
  ...over,
});
const due = (webhook: Webhook, now = T0, most = 100) => dueOf(webhook, now, most).map(({ sequence }) => sequence);
const openOf = ({ open }: Webhook) => open.map(({ sequence }) => sequence);

describe('what is found', () => {
  test('is taken in once, up to where the log was read', () => {
    const once = told([event(1), event(3)]);
    expect([openOf(once), once.after]).toEqual([[1, 3], 3]);
    const again = admit(once, { events: [event(1), event(3), event(7)], to: 9 }, T0);
    expect([openOf(again), again.after]).toEqual([[1, 3, 7], 9]);
    expect(admit(again, { events: [], to: 12 }, T0).after).toBe(12);
    expect(admit(again, { events: [], to: 4 }, T0).after).toBe(9);
  });

  test('is left in the log where there is no room, and found again', () => {
    const full = told(numbers(1, LIMITS.webhookOpen + 5).map((n) => event(n)));
    expect([full.open.length, full.after]).toEqual([LIMITS.webhookOpen, LIMITS.webhookOpen]);
    const none = admit(full, { events: [event(LIMITS.webhookOpen + 1)], to: 500 }, T0);
    expect([none.open.length, none.after]).toEqual([LIMITS.webhookOpen, LIMITS.webhookOpen]);
  });
});

describe('what is sent', () => {
  test('is the oldest of each subject, and of so many at most', () => {
    const webhook = told([event(1, 'a'), event(2, 'a'), event(3, 'b'), event(4, 'c'), event(5, 'b')]);
    expect(due(webhook)).toEqual([1, 3, 4]);
    expect(due(webhook, T0, 2)).toEqual([1, 3]);
  });

  test('after one failed, those behind it of the same subject wait, and no others', () => {
    const webhook = told([event(1, 'a'), event(2, 'a'), event(3, 'b'), event(4, 'b')]);
    const settled = settle(webhook, [outcome(1, 500), outcome(3, 200)], T0);
    expect([due(settled.webhook), openOf(settled.webhook)]).toEqual([[4], [1, 2, 4]]);
    expect(due(settled.webhook, T0 + 5_000)).toEqual([1, 4]);
    expect(settled.ended).toMatchObject([{ sequence: 3, outcome: 'delivered', tries: 1 }]);
  });

  test('what was given up holds back no longer what is behind it', () => {
    const tried = { ...told([event(1, 'a'), event(2, 'a')]) };
    const last = { ...tried, open: tried.open.map((one) => ({ ...one, tries: one.sequence === 1 ? 9 : 0 })) };
    const { webhook, ended } = settle(last, [outcome(1, 500)], T0);
    expect(ended).toMatchObject([{ sequence: 1, outcome: 'dead', tries: 10 }]);
    expect(due(webhook)).toEqual([2]);
  });
});

describe('the next try', () => {
  test.for(RETRY_SECONDS.map((seconds, i) => [i + 1, seconds] as const))(
    'after try %i is in %i s, and up to a fifth more',
    ([tries, seconds]) => {
      for (const [fraction, factor] of [
        [0, 1],
        [0.5, 1.1],
        [0.999_999, 1.2],
      ] as const) {
        const webhook = told([event(1)]);
        const tried = { ...webhook, open: webhook.open.map((one) => ({ ...one, tries: tries - 1 })) };
        const next = settle(tried, [outcome(1, 503, { fraction })], T0).webhook;
        expect((nextTryAt(next) ?? 0) - T0).toBeCloseTo(seconds * 1_000 * factor, -2);
      }
    },
  );

  test('there are ten in three days and some hours', () => {
    expect(RETRY_SECONDS).toHaveLength(9);
    const hours = RETRY_SECONDS.reduce((sum, one) => sum + one, 0) / 3_600;
    expect([hours > 75, hours < 76]).toEqual([true, true]);
  });

  test.for<[number, number]>([
    [1, 5_000],
    [60, 60_000],
    [86_400, 86_400_000],
    [10_000_000, 86_400_000],
  ])('a receiver that asks to wait %i s is left alone for %i ms', ([retryAfterSeconds, ms]) => {
    const { webhook } = settle(told([event(1)]), [outcome(1, 429, { retryAfterSeconds })], T0);
    expect(nextTryAt(webhook)).toBe(T0 + ms);
  });
});

describe('a receiver', () => {
  test('that is gone is told nothing more', () => {
    const { webhook, ended } = settle(told([event(1), event(2)]), [outcome(1, 410)], T0);
    expect(webhook).toMatchObject({ enabled: false, disabled: { at: T0, reason: 'gone' } });
    expect([openOf(webhook), ended]).toEqual([[1, 2], []]);
  });

  test('that fails for five days without a success is told nothing more; one success begins the days anew', () => {
    const days = (n: number) => T0 + n * 86_400_000;
    const failing = (webhook: Webhook, sequence: number, now: number) =>
      settle(webhook, [outcome(sequence, 500)], now).webhook;
    const first = failing(told([event(1), event(2), event(3)]), 1, days(0));
    expect(failing(first, 2, days(5) - 1).enabled).toBe(true);
    expect(failing(first, 2, days(5))).toMatchObject({ enabled: false, disabled: { reason: 'failing' } });
    const well = settle(first, [outcome(2, 200)], days(3)).webhook;
    expect(well.failingSince).toBeUndefined();
    expect(failing(failing(well, 1, days(4)), 3, days(6)).enabled).toBe(true);
  });

  test('that is full of failures is tried now and then, and sent all at once when it answers', () => {
    const all = numbers(1, LIMITS.webhookOpen).map((n) => event(n));
    const full = settle(
      told(all),
      all.map(({ sequence }) => outcome(sequence, 500)),
      T0,
    ).webhook;
    const later = { ...full, open: full.open.map((one) => ({ ...one, retryAt: T0 + 86_400_000 })) };
    expect(nextTryAt(later)).toBe(T0 + 300_000);
    expect([due(later, T0 + 299_999), due(later, T0 + 300_000)]).toEqual([[], [1]]);
    const { webhook } = settle(later, [outcome(1, 200)], T0 + 300_000);
    expect(due(webhook, T0 + 300_000)).toEqual(numbers(2, LIMITS.webhookOpen));
  });

  test('that takes others is not hurried with the one that it refuses', () => {
    const { webhook } = settle(told([event(1), event(2)]), [outcome(1, 500), outcome(2, 200)], T0);
    expect(due(webhook, T0 + 4_999)).toEqual([]);
  });
});

test('what came of something that is not open (any more) changes nothing', () => {
  const webhook = told([event(2)]);
  const settled = settle(webhook, [outcome(1, 200)], T0);
  expect([openOf(settled.webhook), settled.ended]).toEqual([[2], []]);
});

test('one that is enabled again sends what waited, and begins at the head that it is given, never before', () => {
  const off = { ...settle(told([event(1)]), [outcome(1, 410)], T0).webhook };
  const on = enable(off, { head: 50, now: T0 + 1 });
  expect([on.enabled, on.disabled, on.after, due(on, T0 + 1)]).toEqual([true, undefined, 50, [1]]);
  expect(enable(off, { head: 0, now: T0 }).after).toBe(1);
});

test('those that are sent again have all their tries, stand in order, and fit', () => {
  const dead = (sequence: number): EndedDelivery => ({
    ...event(sequence),
    tries: 10,
    outcome: 'dead',
    last: { at: T0, durationMs: 1, statusCode: 500 },
  });
  const webhook = told([event(5)]);
  const { webhook: next, reopened } = reopen(webhook, [dead(2), dead(5), dead(9)], T0);
  expect([openOf(next), reopened.map(({ sequence }) => sequence)]).toEqual([
    [2, 5, 9],
    [2, 9],
  ]);
  expect(next.open[0]).toMatchObject({ tries: 0, retryAt: T0 });
  const full = told(numbers(1, LIMITS.webhookOpen - 1).map((n) => event(n)));
  expect(reopen(full, [dead(200), dead(201)], T0).reopened).toHaveLength(1);
});
