import { describe, expect, test } from 'vitest';
import { bytesOfLines, percentile } from '../../../bench/scenarios/flood.ts';
import { leastShareOf } from '../../../bench/scenarios/queued.ts';
import { toSvg } from '../../../bench/soak/chart.ts';
import { parseOptions } from '../../../bench/soak/options.ts';
import { CSV_HEAD, judge, type Sample, toCsvLine, trendOf } from '../../../bench/soak/samples.ts';
import { fitTrend } from '../../../bench/soak/trend.ts';

/** A sample a minute, of a server whose memory grows as told. */
const samplesOf = (rssMB: (minute: number) => number): Sample[] =>
  Array.from({ length: 60 }, (_, minute) => ({
    ...{ minutes: minute, rssMB: rssMB(minute), heapMB: 40, launchersMB: 4, descriptors: 60 + (minute % 2), files: 30 },
    ...{ walMB: 4, dataMB: minute * 20, delayP99Ms: 10, delayMaxMs: 30, submitted: minute * 3_000, notFinal: 3 },
  }));

describe('a trend', () => {
  test('is the line through points that lie on one', () => {
    const { slope, at0 } = fitTrend([0, 1, 5, 9].map((x) => [x, 3 + 2 * x]));
    expect(slope).toBeCloseTo(2);
    expect(at0).toBeCloseTo(3);
  });

  test('is the one with the least squares through those that do not', () => {
    expect(
      fitTrend([
        [0, 0],
        [1, 3],
        [2, 0],
      ]).slope,
    ).toBeCloseTo(0);
    expect(
      fitTrend([
        [0, 1],
        [1, 1],
        [2, 4],
      ]).slope,
    ).toBeCloseTo(1.5);
  });

  test.for([
    [[]],
    [[[1, 2]]],
    [
      [
        [1, 2],
        [1, 3],
      ],
    ],
  ] as [[number, number][]][])('is not made up of %j', ([points]) => {
    expect(() => fitTrend(points)).toThrow(RangeError);
  });
});

describe('a soak', () => {
  const missed = (samples: readonly Sample[]) =>
    judge(samples)
      .filter(({ held }) => !held)
      .map(({ title }) => title);

  test('holds when nothing grows', () => expect(missed(samplesOf(() => 200))).toEqual([]));

  test('holds when the server grew into its work at the start', () => {
    expect(missed(samplesOf((minute) => Math.min(200, 100 + 20 * minute)))).toEqual([]);
  });

  test('does not hold when memory grows by more than a megabyte a minute', () => {
    expect(missed(samplesOf((minute) => 100 + 1.1 * minute))).toEqual(['resident memory of the server, MB']);
  });

  test('writes a line for each sample, and a chart with each of its trends', () => {
    const samples = samplesOf((minute) => 100 + 2 * minute);
    expect(CSV_HEAD.split(',')).toHaveLength(toCsvLine(samples[3] as Sample).split(',').length);
    expect(trendOf(samples, 'dataMB').slope).toBeCloseTo(20);
    const svg = toSvg(samples, 50);
    expect(svg.match(/class="trend"/g)).toHaveLength(7);
    expect(svg).toContain('+2.000 MB a minute');
  });

  test.for<[string[], unknown]>([
    [[], { minutes: 60, rate: 50, everySeconds: 10 }],
    [
      ['--minutes', '2', '--rate', '5', '--every', '1', '--out', 'x'],
      { minutes: 2, rate: 5, everySeconds: 1, out: 'x' },
    ],
  ])('is asked for by %j', ([args, options]) => expect(parseOptions(args)).toMatchObject(options as object));

  test.for([['--minutes', '0'], ['--rate', 'fast'], ['--nonsense']])('is not asked for by %j', (args) => {
    expect(parseOptions(args)).toEqual(expect.any(String));
  });
});

describe('the figures of a load', () => {
  test.for([
    [0, 0],
    [1, 2],
    [9, 18],
    [10, 21],
    [12_345, 62_964],
  ])('seq %i writes %i bytes', ([lines, bytes]) => {
    expect(bytesOfLines(lines as number)).toBe(bytes);
  });

  test('a percentile is one of the values', () => {
    expect(percentile([3, 1, 2], 0.99)).toBe(3);
    expect(percentile([], 0.5)).toBeNaN();
  });

  test('shares are compared only while every tenant has something that waits', () => {
    expect(
      leastShareOf(
        [
          [10, 11, 12, 30],
          [10, 11, 13],
        ],
        10,
      ),
    ).toBeCloseTo(2 / 3);
    expect(
      leastShareOf(
        [
          [1, 2],
          [1, 2],
        ],
        10,
      ),
    ).toBeUndefined();
  });
});
