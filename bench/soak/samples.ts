import { fitTrend, type Trend } from './trend.ts';

/** What is seen of the server at a time. */
export interface Sample {
  readonly minutes: number;
  readonly rssMB: number;
  /** The least of the last seconds: what is left after the garbage was collected. */
  readonly heapMB: number;
  readonly launchersMB: number;
  readonly descriptors: number;
  /** Of these all but connections, whose number is up to the callers. */
  readonly files: number;
  readonly walMB: number;
  readonly dataMB: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  readonly submitted: number;
  /** Acknowledged, and their end not seen yet. */
  readonly notFinal: number;
}

const COLUMNS = [
  'minutes',
  'rssMB',
  'heapMB',
  'launchersMB',
  'descriptors',
  'files',
  'walMB',
  'dataMB',
  'delayP99Ms',
  'delayMaxMs',
  'submitted',
  'notFinal',
] as const satisfies readonly (keyof Sample)[];

export const CSV_HEAD = `${COLUMNS.join(',')}\n`;

export const toCsvLine = (sample: Sample): string =>
  `${COLUMNS.map((column) => Number(sample[column].toFixed(3))).join(',')}\n`;

/** A server that has just started still grows into its work. */
const WARM_UP_SHARE = 1 / 4;

export const afterWarmUp = (samples: readonly Sample[]): readonly Sample[] => {
  const end = samples.at(-1)?.minutes ?? 0;
  return samples.filter(({ minutes }) => minutes >= end * WARM_UP_SHARE);
};

export type Watched = Exclude<keyof Sample, 'minutes' | 'delayMaxMs' | 'submitted'>;

/** What grows with each minute, once the server is warm. */
export const trendOf = (samples: readonly Sample[], column: Watched): Trend =>
  fitTrend(afterWarmUp(samples).map((sample) => [sample.minutes, sample[column]]));

/** What must not grow by more than so much in a minute. */
const BARS: readonly { readonly column: Watched; readonly title: string; readonly mostPerMinute: number }[] = [
  { column: 'rssMB', title: 'resident memory of the server, MB', mostPerMinute: 1 },
  { column: 'heapMB', title: 'its heap after collections, MB', mostPerMinute: 0.5 },
  { column: 'launchersMB', title: 'resident memory of its launchers, MB', mostPerMinute: 0.1 },
  { column: 'files', title: 'open descriptors other than connections', mostPerMinute: 0.1 },
  { column: 'walMB', title: 'the log of the store, MB', mostPerMinute: 0.1 },
  { column: 'notFinal', title: 'commands not final', mostPerMinute: 1 },
];

export interface Finding {
  readonly title: string;
  readonly perMinute: number;
  readonly mostPerMinute: number;
  readonly held: boolean;
}

export const judge = (samples: readonly Sample[]): readonly Finding[] =>
  BARS.map(({ column, title, mostPerMinute }) => {
    const perMinute = trendOf(samples, column).slope;
    return { title, perMinute, mostPerMinute, held: perMinute <= mostPerMinute };
  });
