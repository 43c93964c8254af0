import type { Growth, OutputRate } from './long-rows.ts';
import type { Sample, Work } from './measure.ts';
import { compare, type Spread, show, spreadOf } from './statistics.ts';

/** All that a run measured. */
export interface Results {
  readonly samples: readonly Sample[];
  /** By system. */
  readonly restMB: Readonly<Record<string, number | undefined>>;
  readonly growth?: Growth | undefined;
  readonly output?: OutputRate | undefined;
}

/** Something that Errand has to hold, and whether it did. */
export interface Bar {
  readonly what: string;
  readonly limit: string;
  readonly verdict: 'met' | 'missed' | 'not measured';
  /** What was measured, or why nothing was. */
  readonly figure: string;
}

/** What was measured, or why nothing was. */
type Figure = { readonly isMet: boolean; readonly text: string } | { readonly why: string };

const MOST_MB = 120;
/** A heap that is collected now and then is never twice of one size. */
const MOST_GROWTH_MB = 10;
/** The same while much passes through: it is collected by the ten megabytes. */
const MOST_OUTPUT_GROWTH_MB = 64;

/** @param durable the peers that it is compared with as a durable system */
export const judge = (results: Results, durable: readonly string[]): readonly Bar[] => [
  bar('durable commands, 100 clients', '≥ 0.9 R', shareOfR(results, 'argv', 0.9)),
  bar('errors in all rows', '0', errors(results)),
  bar('durable commands, one client: p50', '≤ webhook’s, which is not durable', oneClient(results)),
  bar('durable commands, 100 clients: p99', '≤ 2 × p50', tail(results)),
  bar('scripts, 100 clients', '≥ 2 × webhook', times(results, 'script', ['webhook'], 2)),
  bar('sandboxed commands, 100 clients', '≥ 0.5 R', shareOfR(results, 'sandbox', 0.5)),
  bar('sandboxed commands, one client: p50', '≤ 2 × without', sandboxOneClient(results)),
  bar('durable commands, 100 clients', '≥ 5 × the best durable peer', times(results, 'argv', durable, 5)),
  bar('memory at rest, all processes', `≤ ${MOST_MB} MB`, rest(results)),
  bar('memory over 100,000 commands', `no growth (≤ ${MOST_GROWTH_MB} MB)`, growth(results)),
  bar('1 GB of one command, to a live reader', '≥ 200 MB/s', outputRate(results)),
  bar('the same: memory', `flat (≤ ${MOST_OUTPUT_GROWTH_MB} MB more in its second half)`, outputMemory(results)),
];

const bar = (what: string, limit: string, figure: Figure): Bar =>
  'why' in figure
    ? { what, limit, verdict: 'not measured', figure: figure.why }
    : { what, limit, verdict: figure.isMet ? 'met' : 'missed', figure: figure.text };

const of = ({ samples }: Results, system: string, work: Work['name'], clients: number): readonly Sample[] =>
  samples.filter((sample) => sample.system === system && sample.work === work && sample.clients === clients);

const spread = (samples: readonly Sample[], value: (sample: Sample) => number): Spread | undefined =>
  samples.length === 0 ? undefined : spreadOf(samples.map(value));

const WITHOUT: Readonly<Record<Work['name'], Figure>> = {
  argv: { why: 'errand was left out' },
  script: { why: 'errand was left out' },
  sandbox: { why: 'the server offers no isolation `sandbox` here' },
};

const shareOfR = (results: Results, work: Work['name'], least: number): Figure => {
  const ratio = spread(of(results, 'errand', work, 100), (sample) => sample.ratio);
  return ratio ? { isMet: ratio.median >= least, text: `${show(ratio)} R` } : WITHOUT[work];
};

const errors = ({ samples }: Results): Figure => {
  const own = samples.filter(({ system }) => system === 'errand');
  if (own.length === 0) return WITHOUT.argv;
  const count = own.reduce((sum, sample) => sum + sample.errors, 0);
  return { isMet: count === 0, text: String(count) };
};

const oneClient = (results: Results): Figure => {
  const own = spread(of(results, 'errand', 'argv', 1), (sample) => sample.p50Ms);
  const other = spread(of(results, 'webhook', 'argv', 1), (sample) => sample.p50Ms);
  if (!own) return WITHOUT.argv;
  if (!other) return { why: 'webhook was left out' };
  const tie = compare(own, other) === 'tie' ? ', a tie' : '';
  return { isMet: own.median <= other.median, text: `${show(own)} ms, webhook ${show(other)} ms${tie}` };
};

const tail = (results: Results): Figure => {
  const ratio = spread(of(results, 'errand', 'argv', 100), ({ p50Ms, p99Ms }) => p99Ms / p50Ms);
  return ratio ? { isMet: ratio.median <= 2, text: `${show(ratio)} × p50` } : WITHOUT.argv;
};

/** Against the best of them, round by round. */
const times = (results: Results, work: Work['name'], peers: readonly string[], least: number): Figure => {
  const own = of(results, 'errand', work, 100);
  const [best] = peers
    .map((peer) => ({ peer, samples: of(results, peer, work, 100) }))
    .filter(({ samples }) => samples.length > 0)
    .map((one) => ({ ...one, median: spreadOf(one.samples.map(({ ratio }) => ratio)).median }))
    .toSorted((a, b) => b.median - a.median);
  if (own.length === 0) return WITHOUT[work];
  if (!best) return { why: `left out: ${peers.join(', ')}` };
  const byRound = new Map(best.samples.map(({ round, ratio }) => [round, ratio]));
  const factor = spreadOf(own.map(({ ratio, round }) => ratio / (byRound.get(round) ?? best.median)));
  return { isMet: factor.median >= least, text: `${show(factor)} × ${best.peer}` };
};

const sandboxOneClient = (results: Results): Figure => {
  const inside = spread(of(results, 'errand', 'sandbox', 1), (sample) => sample.p50Ms);
  const outside = spread(of(results, 'errand', 'argv', 1), (sample) => sample.p50Ms);
  if (!inside || !outside) return WITHOUT.sandbox;
  const factor = inside.median / outside.median;
  return { isMet: factor <= 2, text: `${factor.toFixed(2)} ×: ${show(inside)} ms, without ${show(outside)} ms` };
};

const NO_MEMORY: Figure = { why: 'this machine does not tell' };

const rest = ({ restMB: { errand } }: Results): Figure =>
  errand === undefined ? NO_MEMORY : { isMet: errand <= MOST_MB, text: `${errand.toFixed(0)} MB` };

const growth = ({ growth }: Results): Figure => {
  if (!growth) return { why: 'asked for by --long' };
  const { beforeMB, afterMB } = growth;
  const text = `${beforeMB.toFixed(0)} MB in the first commands, ${afterMB.toFixed(0)} MB in the last`;
  return { isMet: afterMB - beforeMB <= MOST_GROWTH_MB, text };
};

const NO_OUTPUT: Figure = { why: 'left out' };

const outputRate = ({ output }: Results): Figure => {
  if (!output) return NO_OUTPUT;
  const rate = output.megabytesPerSecond;
  return { isMet: rate >= 200, text: `${rate.toFixed(0)} MB/s` };
};

const outputMemory = ({ output }: Results): Figure => {
  if (!output) return NO_OUTPUT;
  const { restMB, peakMB } = output;
  if (restMB === undefined || peakMB === undefined) return NO_MEMORY;
  const [first, second] = peakMB;
  const text = `${restMB.toFixed(0)} MB before, at most ${first.toFixed(0)} MB in the first half, ${second.toFixed(0)} MB in the second`;
  return { isMet: second - first <= MOST_OUTPUT_GROWTH_MB, text };
};
