import { type Sample, WORKS } from './measure.ts';
import { type Spread, spreadOf } from './statistics.ts';

const WIDTH = 720;
const LEFT = 130;
const RIGHT = 200;
const BAR = 18;
const STEP = 26;
const GROUP_GAP = 34;
const CLIENTS = 100;

interface ChartRow {
  readonly system: string;
  readonly ratio: Spread;
  readonly rate: number;
}

/** A bar for each system at 100 clients, as a share of R, with the range of its rounds; drawn for light and dark pages. */
export const toSvg = (samples: readonly Sample[]): string => {
  const groups = WORKS.map(({ name, title }) => ({
    title: title.replaceAll('`', ''),
    rows: rowsOf(samples.filter(({ work, clients }) => work === name && clients === CLIENTS)),
  })).filter(({ rows }) => rows.length > 0);
  const most = Math.max(1, ...groups.flatMap(({ rows }) => rows.map(({ ratio }) => ratio.max)));
  const x = (ratio: number): number => LEFT + (ratio / most) * (WIDTH - LEFT - RIGHT);
  const parts: string[] = [];
  let y = 50;
  for (const { title, rows } of groups) {
    parts.push(text(LEFT, y, title, 'title'));
    y += 12;
    for (const row of rows) {
      parts.push(...drawRow(row, y, x));
      y += STEP;
    }
    y += GROUP_GAP;
  }
  const height = y - GROUP_GAP + 14;
  const line = `<line x1="${px(x(1))}" y1="32" x2="${px(x(1))}" y2="${height - 8}" class="r"/>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="t">`,
    `<title id="t">Commands a second at ${CLIENTS} clients, as a share of R</title>`,
    `<style>${STYLE}</style>`,
    text(LEFT, 20, `Commands at ${CLIENTS} clients, as a share of R: median, and the range of the rounds`, 'note'),
    line,
    text(x(1) + 4, 40, 'R', 'note'),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
};

/** Colours that can be read on white and on black, and follow the page where it says which it is. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .note { font-size: 12px; fill: #59636e } .name { text-anchor: end }
  .bar { fill: #8c959f } .errand { fill: #0969da } .range { stroke: #1f2328; stroke-width: 1.5 }
  .r { stroke: #59636e; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 } .bar { fill: #656c76 } .errand { fill: #4493f8 }
    .range { stroke: #f0f6fc } .r { stroke: #9198a1 }
  }
`;

const rowsOf = (samples: readonly Sample[]): ChartRow[] =>
  [...new Set(samples.map(({ system }) => system))]
    .map((system) => samples.filter((sample) => sample.system === system))
    .map((own) => ({
      system: own[0]?.system ?? '',
      ratio: spreadOf(own.map(({ ratio }) => ratio)),
      rate: spreadOf(own.map(({ rate }) => rate)).median,
    }))
    .toSorted((a, b) => b.ratio.median - a.ratio.median);

const drawRow = ({ system, ratio, rate }: ChartRow, y: number, x: (ratio: number) => number): string[] => {
  const middle = y + BAR / 2;
  const style = system === 'errand' ? 'errand' : 'bar';
  const label = `${ratio.median.toFixed(2)} R, ${rate.toFixed(0)}/s`;
  return [
    text(LEFT - 8, middle + 4, system, 'name'),
    `<rect x="${LEFT}" y="${y}" width="${px(x(ratio.median) - LEFT)}" height="${BAR}" class="${style}"/>`,
    `<line x1="${px(x(ratio.min))}" y1="${middle}" x2="${px(x(ratio.max))}" y2="${middle}" class="range"/>`,
    text(x(ratio.max) + 8, middle + 4, label, ''),
  ];
};

const text = (x: number, y: number, content: string, style: string): string =>
  `<text x="${px(x)}" y="${px(y)}" class="${style}">${escapeXml(content)}</text>`;

const px = (value: number): string => value.toFixed(1);

const escapeXml = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
