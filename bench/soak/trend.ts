/** A straight line through points, by least squares. */
export interface Trend {
  /** Per unit of x. */
  readonly slope: number;
  readonly at0: number;
}

/** @throws RangeError for fewer than two points, through which there is no line */
export const fitTrend = (points: readonly (readonly [x: number, y: number])[]): Trend => {
  if (points.length < 2) throw new RangeError('A trend needs two points at least');
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (spread === 0) throw new RangeError('A trend needs two different times');
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  return { slope, at0: meanY - slope * meanX };
};
