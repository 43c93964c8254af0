import { describe, expect, test } from 'vitest';
import { compare, drift, show, shuffle, spreadOf } from '../../../bench/side-by-side/statistics.ts';

test.for<[number[], number, number, number]>([
  [[3], 3, 3, 3],
  [[10, 9], 9.5, 9, 10],
  [[5, 1, 100], 5, 1, 100],
  [[4, 1, 3, 2], 2.5, 1, 4],
])('%j has the median %d from %d to %d', ([values, median, min, max]) => {
  expect(spreadOf(values)).toEqual({ median, min, max, rounds: values.length });
});

test('nothing has no median', () => {
  expect(() => spreadOf([])).toThrow('No rounds were measured');
});

test.for<[string, number[], number[], ReturnType<typeof compare>]>([
  ['apart', [5, 6, 7], [1, 2, 3], 'more'],
  ['apart the other way', [1, 2, 3], [5, 6, 7], 'less'],
  ['that overlap', [1, 2, 5], [4, 6, 7], 'tie'],
  ['that touch', [1, 2, 3], [3, 4, 5], 'tie'],
  ['of which one lies inside the other', [1, 5, 9], [4, 5, 6], 'tie'],
  ['of two rounds, however far apart', [1, 2], [100, 200, 300], 'too few rounds'],
])('ranges %s: %j against %j is %s', ([, a, b, expected]) => {
  expect(compare(spreadOf(a), spreadOf(b))).toBe(expected);
});

test.for<[number, number, number]>([
  [100, 100, 0],
  [100, 80, 0.2],
  [80, 100, 0.2],
  [50, 200, 0.75],
])('from %d to %d is a drift of %d', ([a, b, expected]) => {
  expect(drift(a, b)).toBeCloseTo(expected);
});

test('a range is shown, and is none for a single round', () => {
  expect(show(spreadOf([1, 2, 4]))).toBe('2.00 [1.00–4.00]');
  expect(show(spreadOf([1234.4]), 0)).toBe('1234');
});

describe('shuffled', () => {
  test('all that was there still is, once', () => {
    expect(shuffle([1, 2, 3, 4, 5], Math.random).toSorted()).toEqual([1, 2, 3, 4, 5]);
  });

  test('it is the random numbers that decide on the order', () => {
    const [lowest, highest] = [() => 0, () => 1 - Number.EPSILON];
    expect(shuffle(['a', 'b', 'c'], highest)).toEqual(['a', 'b', 'c']);
    expect(shuffle(['a', 'b', 'c'], lowest)).toEqual(['b', 'c', 'a']);
  });
});
