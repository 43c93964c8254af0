import { describe, expect, test } from 'vitest';
import { type Actor, ownerOf } from '../../../shared/domain/actor.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { toNeighbourhood } from '../../../shared/limits/addresses.ts';
import { makeRates, RATES } from '../../../shared/limits/rates.ts';
import { tokenBuckets } from '../../../shared/limits/token-buckets.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const caller = (id: string, limits?: Actor['limits']): Actor => ({
  ...ownerOf(toTenantId('acme')),
  id,
  credential: { kind: 'api-key', id },
  limits,
});
const isRefused = (call: () => unknown): boolean => {
  try {
    call();
    return false;
  } catch (error) {
    expect(error).toMatchObject({
      code: 'rate-limited',
      headers: { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) },
    });
    return true;
  }
};

describe('a token bucket', () => {
  test('gives its burst at once, and then as many a second as its rate says', async () => {
    const clock = fakeClock();
    const buckets = tokenBuckets(clock, 10);
    const rate = { perSecond: 2, burst: 5 };
    const takeAll = () =>
      Array.from({ length: 20 }, () => buckets.take('a', rate)).filter(({ allowed }) => allowed).length;
    expect(takeAll()).toBe(5);
    expect(buckets.look('a', rate)).toMatchObject({
      allowed: false,
      remaining: 0,
      retryAfterSeconds: expect.closeTo(0.5, 6),
    });
    await clock.advance(1_500);
    expect(takeAll()).toBe(3);
    await clock.advance(3_600_000);
    expect(takeAll()).toBe(5);
  });

  test('of one that is used goes on when a million others were', () => {
    const buckets = tokenBuckets(fakeClock(), 100);
    const rate = { perSecond: 0.001, burst: 2 };
    for (let other = 0; other < 1_000; other++) {
      buckets.take(`other-${other}`, rate);
      buckets.take('used', rate);
    }
    expect(buckets.take('used', rate).allowed).toBe(false);
    // It was forgotten, which is to be full.
    expect(buckets.look('other-1', rate).remaining).toBe(2);
  });
});

describe('callers', () => {
  test('are told what is left, and refused with the time to wait when nothing is', () => {
    const rates = makeRates(fakeClock());
    expect(rates.admit(caller('a'), 'change')).toEqual({
      'ratelimit-policy': '"change";q=500;w=5, "tenant";q=2000;w=5',
      ratelimit: '"change";r=499;t=1, "tenant";r=1999;t=1',
    });
    for (let call = 1; call < RATES.change.burst; call++) rates.admit(caller('a'), 'change');
    expect(isRefused(() => rates.admit(caller('a'), 'change'))).toBe(true);
    expect(isRefused(() => rates.admit(caller('a'), 'read'))).toBe(false);
    expect(isRefused(() => rates.admit(caller('b'), 'change'))).toBe(false);
  });

  test('of a tenant share what its limits say', async () => {
    const clock = fakeClock();
    const rates = makeRates(clock);
    const limits = { requestsPerSecond: 3 };
    for (const id of ['a', 'b', 'c']) rates.admit(caller(id, limits), 'read');
    expect(isRefused(() => rates.admit(caller('d', limits), 'submit'))).toBe(true);
    await clock.advance(1_000);
    expect(isRefused(() => rates.admit(caller('d', limits), 'submit'))).toBe(false);
  });

  test('the installation’s own key has no limits', () => {
    const rates = makeRates(fakeClock());
    for (let call = 0; call < 50_000; call++) expect(rates.admit(ownerOf(toTenantId('default')), 'change')).toEqual({});
  });
});

describe('an address', () => {
  test('that showed fifty bad credentials is told to wait; its neighbours are not', async () => {
    const clock = fakeClock();
    const rates = makeRates(clock);
    for (let failure = 0; failure < 50; failure++) expect(rates.countFailure('2001:db8::1')).toBeUndefined();
    expect(rates.countFailure('2001:db8::ffff')).toMatchObject({
      refusal: { code: 'rate-limited', headers: { 'retry-after': '1' } },
      isNews: true,
    });
    expect(rates.countFailure('2001:db8::ffff')).toMatchObject({ isNews: false });
    expect(rates.countFailure('2001:db8:0:1::1')).toBeUndefined();
    await clock.advance(1_000);
    expect(rates.countFailure('2001:db8::1')).toBeUndefined();
  });

  test('that asks for nothing but what anyone may have is limited too', () => {
    const rates = makeRates(fakeClock());
    for (let call = 0; call < 500; call++) rates.admitAnyone('192.0.2.1');
    expect(isRefused(() => rates.admitAnyone('::ffff:192.0.2.1'))).toBe(true);
    expect(isRefused(() => rates.admitAnyone('192.0.2.2'))).toBe(false);
  });

  test.for([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ] as const)('%s is of %s', ([address, neighbourhood]) => {
    expect(toNeighbourhood(address)).toBe(neighbourhood);
  });
});
