import { describe, expect, test } from 'vitest';
import {
  type Activity,
  type Alert,
  observeCommand,
  observeRefusal,
  type Profile,
} from '../../../shared/security/detector.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MONDAY = Date.parse('2026-11-02T00:00:00Z');

const watch = (activities: readonly Activity[], from?: Profile) => {
  let profile = from;
  const alerts: Alert[] = [];
  for (const activity of activities) {
    const seen = observeCommand(profile, activity);
    profile = seen.profile;
    alerts.push(...seen.alerts);
  }
  return { profile, alerts };
};

/** Two weeks of an ordinary developer: 9 to 17 UTC, six commands an hour, five programs, one network. */
const PROGRAMS = ['git', 'make', 'npm', 'ls', 'grep'];
const ORDINARY: readonly Activity[] = Array.from({ length: 14 }, (_, day) =>
  Array.from({ length: 9 }, (_, hour) =>
    Array.from({ length: 6 }, (_, i) => ({
      at: MONDAY + day * DAY + (9 + hour) * HOUR + i * 600_000,
      programs: [PROGRAMS[(day + hour + i) % PROGRAMS.length] as string],
      place: '192.0.2.0/24',
    })),
  ),
).flat(2);
const NEXT = MONDAY + 14 * DAY + 10 * HOUR;
const usual = (change: Partial<Activity> = {}): Activity => ({
  at: NEXT,
  programs: ['git'],
  place: '192.0.2.0/24',
  ...change,
});
const kindsOf = (alerts: readonly Alert[]) => alerts.map(({ kind }) => kind);

describe('an ordinary fortnight', () => {
  const { profile, alerts } = watch(ORDINARY);
  test('fires nothing', () => expect(alerts).toEqual([]));
  test('nor does an ordinary command after it', () => expect(watch([usual()], profile).alerts).toEqual([]));

  test('then a program that was never run does, once, and says what is usual', () => {
    const seen = watch([usual({ programs: ['nmap'] }), usual({ programs: ['nmap'] })], profile);
    expect(seen.alerts).toEqual([
      {
        kind: 'new-program',
        because: expect.stringMatching(/"nmap" for the first time, after 756 commands with 5 programs .*"git"/),
      },
    ]);
  });

  test('then an hour at which it never worked does, and the edge of its day does not', () => {
    expect(kindsOf(watch([usual({ at: NEXT + 17 * HOUR })], profile).alerts)).toEqual(['unusual-hour']);
    expect(watch([usual({ at: NEXT - 2 * HOUR })], profile).alerts).toEqual([]);
  });

  test('then a burst does, once in its hour', () => {
    const burst = Array.from({ length: 500 }, (_, i) => usual({ at: NEXT + i * 1_000 }));
    const { alerts: fired } = watch(burst, profile);
    expect(kindsOf(fired)).toEqual(['unusual-rate']);
    expect(fired[0]?.because).toContain('31 commands within an hour; usual are 6.0 ± 0.0');
  });

  test('then another network does, once', () => {
    const there = usual({ place: '198.51.100.0/24' });
    expect(kindsOf(watch([there, there], profile).alerts)).toEqual(['new-place']);
  });
});

test('whoever always runs something new is not told on for it', () => {
  const explorer = ORDINARY.map((activity, i) => ({ ...activity, programs: [i % 3 === 0 ? `tool-${i}` : 'git'] }));
  const { profile } = watch(explorer);
  expect(watch([usual({ programs: ['nmap'] })], profile).alerts).toEqual([]);
});

test('nothing is unusual of one of whom little was seen', () => {
  const { profile, alerts } = watch(ORDINARY.slice(0, 10));
  expect(alerts).toEqual([]);
  expect(
    watch([usual({ programs: ['nmap'], place: '198.51.100.0/24', at: NEXT + 17 * HOUR })], profile).alerts,
  ).toEqual([]);
});

test('ten refusals within ten minutes fire once, ten within a day do not', () => {
  const refuse = (times: readonly number[]) => {
    let profile: Profile | undefined;
    return times.flatMap((at) => {
      const seen = observeRefusal(profile, at);
      profile = seen.profile;
      return kindsOf(seen.alerts);
    });
  };
  expect(refuse(Array.from({ length: 30 }, (_, i) => MONDAY + i * 1_000))).toEqual(['refusals']);
  expect(refuse(Array.from({ length: 10 }, (_, i) => MONDAY + i * HOUR))).toEqual([]);
});

test('a profile stays small, and what is long past counts less', () => {
  const many = Array.from({ length: 12_000 }, (_, i) => ({
    at: MONDAY + i * 1_000,
    programs: [`p${i % 900}`],
    place: `net-${i % 400}`,
  }));
  const { profile } = watch(many);
  expect(Object.keys(profile?.programs ?? {}).length).toBeLessThanOrEqual(200);
  expect(Object.keys(profile?.places ?? {}).length).toBeLessThanOrEqual(50);
  expect(profile?.commands).toBeLessThan(10_000);
  expect(JSON.stringify(profile).length).toBeLessThan(20_000);
});
