import type { Bar, Results } from './bars.ts';
import type { CpuUser, Machine } from './machine.ts';
import { type Sample, WORKS } from './measure.ts';
import type { BenchOptions } from './options.ts';
import { compare, type Spread, show, spreadOf } from './statistics.ts';

export interface SystemFacts {
  readonly name: string;
  readonly version: string;
  readonly durability: string;
}

/** A system, or a row of all of them, that was not measured or not always. */
export interface LeftOut {
  readonly name: string;
  readonly why: string;
}

/** All that a report says. */
export interface Run {
  readonly date: string;
  readonly options: Pick<BenchOptions, 'rounds' | 'seconds'>;
  readonly machine: Machine;
  readonly systems: readonly SystemFacts[];
  readonly leftOut: readonly LeftOut[];
  readonly results: Results;
  readonly bars: readonly Bar[];
  readonly foreign: { readonly before: readonly CpuUser[]; readonly after: readonly CpuUser[] };
}

/** The report as Markdown, which reads well in a terminal too. */
export const toMarkdown = (run: Run): string =>
  [
    facts(run),
    ...WORKS.flatMap(({ name, title }) => {
      const samples = run.results.samples.filter(({ work }) => work === name);
      return samples.length === 0 ? [] : [`### ${title}`, rowsTable(samples)];
    }),
    ...(run.results.samples.some(({ steady }) => !steady) ? [UNSTEADY] : []),
    '### The systems',
    table(
      ['system', 'version', 'on disk by the time of its answer', 'memory at rest'],
      run.systems.map(({ name, version, durability }) => [name, version, durability, memoryOf(run.results, name)]),
    ),
    ...(run.leftOut.length === 0
      ? []
      : [['Left out:', ...run.leftOut.map(({ name, why }) => `- **${name}**: ${why}`)].join('\n')]),
    '### What must hold',
    barsTable(run.bars),
  ].join('\n\n');

const UNSTEADY = '\\*n: R moved by more than 20 % across n of its rounds, each time they were tried.';

const barsTable = (bars: readonly Bar[]): string =>
  table(
    ['what', 'bar', 'verdict', 'measured'],
    bars.map(({ what, limit, verdict, figure }) => [
      what,
      limit,
      verdict === 'missed' ? '**missed**' : verdict,
      figure,
    ]),
  );

const facts = ({ date, machine, options, foreign, results }: Run): string => {
  const { cpu, cores, memoryGiB, kernel, fileSystem, node } = machine;
  const baselines = results.samples.flatMap((sample) => sample.baselines);
  return [
    `${date}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, data on ${fileSystem}, Node ${node}.`,
    `${options.rounds} shuffled rounds of ${options.seconds} s for each row.`,
    ...(baselines.length === 0 ? [] : [`R = ${show(spreadOf(baselines), 0)} starts a second.`]),
    `Others used ${total(foreign.before)} % of a core before and ${total(foreign.after)} % after.`,
  ].join('\n');
};

const total = (users: readonly CpuUser[]): number => users.reduce((sum, { percent }) => sum + percent, 0);

const memoryOf = ({ restMB }: Results, name: string): string => {
  const memory = restMB[name];
  return memory === undefined ? '' : `${memory.toFixed(0)} MB`;
};

/** By clients, the fastest first. */
const rowsTable = (samples: readonly Sample[]): string => {
  const byClients = Map.groupBy(samples, ({ clients }) => clients);
  const rows = [...byClients].toSorted(([a], [b]) => a - b).flatMap(([, here]) => rowsOf(here));
  return table(['clients', 'system', 'commands/s', 'of R', 'p50 ms', 'p99 ms', 'errors', 'errand does'], rows);
};

const rowsOf = (samples: readonly Sample[]): string[][] => {
  const spread = (own: readonly Sample[], value: (sample: Sample) => number) => spreadOf(own.map(value));
  const bySystem = Map.groupBy(samples, ({ system }) => system);
  const errand = bySystem.get('errand');
  return [...bySystem]
    .map(([system, own]) => ({ system, own, ratio: spread(own, (sample) => sample.ratio) }))
    .toSorted((a, b) => b.ratio.median - a.ratio.median)
    .map(({ system, own, ratio }) => [
      String(own[0]?.clients),
      system,
      show(
        spread(own, ({ rate }) => rate),
        0,
      ),
      `${show(ratio)}${mark(own)}`,
      show(
        spread(own, ({ p50Ms }) => p50Ms),
        1,
      ),
      show(
        spread(own, ({ p99Ms }) => p99Ms),
        1,
      ),
      String(own.reduce((sum, { errors }) => sum + errors, 0)),
      system === 'errand' || !errand
        ? ''
        : against(
            spread(errand, (sample) => sample.ratio),
            ratio,
          ),
    ]);
};

const mark = (samples: readonly Sample[]): string => {
  const unsteady = samples.filter(({ steady }) => !steady).length;
  return unsteady === 0 ? '' : ` \\*${unsteady}`;
};

const against = (errand: Spread, other: Spread): string => {
  const order = compare(errand, other);
  if (order === 'tie') return 'tie';
  const factor = `${(errand.median / other.median).toFixed(2)} ×`;
  return order === 'too few rounds' ? `${factor}, no finding` : factor;
};

/** Columns of one width, so that it can be read as it is. */
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
};

const BEGIN = '<!-- npm run bench writes from here -->';
const END = '<!-- npm run bench writes up to here -->';

/** The page with what lies between its marks replaced. @throws Error when it has no marks */
export const replaceReport = (page: string, report: string): string => {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`The page has no lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${report}\n\n${page.slice(end)}`;
};
