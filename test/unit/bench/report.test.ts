import { describe, expect, test } from 'vitest';
import { judge } from '../../../bench/side-by-side/bars.ts';
import { toSvg } from '../../../bench/side-by-side/chart.ts';
import type { Sample } from '../../../bench/side-by-side/measure.ts';
import { type Run, replaceReport, toMarkdown } from '../../../bench/side-by-side/report.ts';
import { someSamples } from './samples.ts';

const aRun = (samples: readonly Sample[], but: Partial<Run> = {}): Run => {
  const results = { samples, restMB: { errand: 80.4 } };
  return {
    date: '2030-01-02',
    options: { rounds: 3, seconds: 2 },
    machine: { cpu: 'A CPU', cores: 2, memoryGiB: 8, kernel: 'Linux 6', fileSystem: 'ext4', node: '24.0.0' },
    systems: [{ name: 'errand', version: '1.2.3', durability: 'all' }],
    leftOut: [],
    results,
    bars: judge(results, []),
    foreign: { before: [{ pid: 5, name: 'somebody', percent: 30 }], after: [] },
    ...but,
  };
};

/** The cells of the first line of the table with these in its first columns. */
const cellsOf = (markdown: string, ...first: string[]): string[] => {
  const lines = markdown.split('\n').map((line) =>
    line
      .split('|')
      .map((cell) => cell.trim())
      .slice(1, -1),
  );
  return lines.find((cells) => first.every((cell, i) => cells[i] === cell)) ?? [];
};

describe('the report', () => {
  test('has medians, ranges and errors, and the fastest first', () => {
    const slow = someSamples([0.1, 0.2, 0.3], { system: 'slow', errors: 2 });
    const report = toMarkdown(aRun([...slow, ...someSamples([0.9, 0.8, 1])]));
    expect(cellsOf(report, '100', 'slow')).toEqual([
      ...['100', 'slow', '200 [100–300]', '0.20 [0.10–0.30]'],
      ...['50.0 [50.0–50.0]', '90.0 [90.0–90.0]', '6', '4.50 ×'],
    ]);
    expect(report.indexOf('| errand ')).toBeLessThan(report.indexOf('| slow '));
  });

  test.for<[string, number[], string]>([
    ['ranges that overlap are a tie', [0.7, 0.8, 0.9], 'tie'],
    ['ranges apart are a factor', [0.4, 0.5, 0.45], '2.00 ×'],
    ['two rounds are no finding', [0.45, 0.45], '2.00 ×, no finding'],
  ])('%s', ([, peer, expected]) => {
    const samples = [...someSamples([0.9, 0.88, 1]), ...someSamples(peer, { system: 'peer' })];
    expect(cellsOf(toMarkdown(aRun(samples)), '100', 'peer').at(-1)).toBe(expected);
  });

  test('marks rows across which R moved, and says so', () => {
    const [first, ...others] = someSamples([0.9, 0.8, 1]);
    const report = toMarkdown(aRun([{ ...(first as Sample), steady: false }, ...others]));
    expect(cellsOf(report, '100', 'errand')[3]).toBe('0.90 [0.80–1.00] \\*1');
    expect(report).toContain('R moved by more than 20 %');
    expect(toMarkdown(aRun(others))).not.toContain('R moved');
  });

  test('tells machine, date, who else was there, what was left out, and each bar', () => {
    const report = toMarkdown(aRun(someSamples([0.9, 0.8, 1]), { leftOut: [{ name: 'peer', why: 'not installed' }] }));
    expect(report).toContain('2030-01-02: A CPU, 2 cores, 8 GiB, Linux 6, data on ext4, Node 24.0.0.');
    expect(report).toContain('Others used 30 % of a core before and 0 % after.');
    expect(report).toContain('- **peer**: not installed');
    expect(cellsOf(report, 'errand', '1.2.3').at(-1)).toBe('80 MB');
    expect(cellsOf(report, 'memory at rest, all processes').slice(2)).toEqual(['met', '80 MB']);
  });

  test('can be made when nothing was measured', () => {
    expect(toMarkdown(aRun([]))).toContain('not measured');
  });
});

describe('the page', () => {
  const page =
    'before\n<!-- npm run bench writes from here -->\nold\n<!-- npm run bench writes up to here -->\nafter\n';

  test('keeps what is outside the marks, however often it is written', () => {
    const once = replaceReport(page, 'new');
    expect(once).toContain('before\n<!--');
    expect(once).toContain('-->\nafter\n');
    expect(once).toContain('\n\nnew\n\n');
    expect(once).not.toContain('old');
    expect(replaceReport(once, 'new')).toBe(once);
  });

  test.for(['no marks', page.split('\n').toReversed().join('\n')])('%j is left alone', (text) => {
    expect(() => replaceReport(text, 'new')).toThrow('has no lines');
  });
});

describe('the chart', () => {
  test('is well-formed XML, also with names that are not', () => {
    const samples = [...someSamples([0.9, 0.8, 1]), ...someSamples([0.5], { system: '<a & "b">' })];
    expectWellFormed(toSvg(samples));
    expectWellFormed(toSvg([]));
  });

  test('has a bar for each system at each work, as long as its share', () => {
    const svg = toSvg([
      ...someSamples([1, 0.8, 1.2]),
      ...someSamples([0.5, 0.5, 0.5], { system: 'half' }),
      ...someSamples([0.5], { work: 'script' }),
      ...someSamples([0.5], { clients: 1, system: 'not at 100 clients' }),
    ]);
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
    expect(widths).toHaveLength(3);
    expect((widths[0] ?? 0) / (widths[1] ?? 0)).toBeCloseTo(2, 1);
    expect(svg).not.toContain('not at 100 clients');
  });
});

/** Every element is closed in order, and nothing else has a character of markup. */
const expectWellFormed = (xml: string): void => {
  const open: string[] = [];
  for (const [, end, name = '', rest = ''] of xml.matchAll(/<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<&]*")*\s*\/?)>/gi)) {
    if (end) expect(open.pop()).toBe(name);
    else if (!rest.endsWith('/')) open.push(name);
  }
  expect(open).toEqual([]);
  const text = xml.replaceAll(/<\/?[a-z]+(?:\s+[\w:-]+="[^"<&]*")*\s*\/?>/gi, '').replaceAll(/&(amp|lt|gt|quot);/g, '');
  expect(text).not.toMatch(/[<>&]/);
};
