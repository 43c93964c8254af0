import { afterWarmUp, type Sample, trendOf, type Watched } from './samples.ts';

const WIDTH = 720;
const PANEL = 96;
const GAP = 46;
const LEFT = 64;
const RIGHT = 16;
const TOP = 40;
/** Pixels are no finer. */
const MOST_POINTS = 360;

const PANELS: readonly { readonly column: Watched; readonly title: string; readonly unit: string }[] = [
  { column: 'rssMB', title: 'Resident memory of the server', unit: 'MB' },
  { column: 'heapMB', title: 'Its heap, after collections', unit: 'MB' },
  { column: 'descriptors', title: 'Open descriptors', unit: '' },
  { column: 'delayP99Ms', title: 'Delay of the event loop, p99', unit: 'ms' },
  { column: 'notFinal', title: 'Commands not final', unit: '' },
  { column: 'walMB', title: 'Log of the store (WAL)', unit: 'MB' },
  { column: 'dataMB', title: 'Data folder: records and output are kept', unit: 'MB' },
];

/** A panel for each thing that was watched, with the line that fits it once the server is warm; for light and dark pages. */
export const toSvg = (samples: readonly Sample[], rate: number): string => {
  const end = samples.at(-1)?.minutes ?? 0;
  const title = `${end.toFixed(0)} minutes at ${rate} commands a second: ${samples.at(-1)?.submitted ?? 0} commands`;
  const height = TOP + PANELS.length * (PANEL + GAP);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="t">`,
    `<title id="t">${title}</title>`,
    `<style>${STYLE}</style>`,
    text(LEFT, 18, title, 'note'),
    ...PANELS.flatMap((panel, i) => drawPanel(samples, panel, TOP + i * (PANEL + GAP))),
    '</svg>',
    '',
  ].join('\n');
};

/** Colours that can be read on white and on black. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .note { font-size: 12px; fill: #59636e } .tick { font-size: 11px; fill: #59636e; text-anchor: end }
  .frame { stroke: #d1d9e0; fill: none } .data { stroke: #0969da; stroke-width: 1.2; fill: none }
  .trend { stroke: #59636e; stroke-dasharray: 4 3; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note, .tick { fill: #9198a1 } .frame { stroke: #3d444d } .data { stroke: #4493f8 } .trend { stroke: #9198a1 }
  }
`;

const drawPanel = (samples: readonly Sample[], panel: (typeof PANELS)[number], y: number): string[] => {
  const { column, title, unit } = panel;
  const end = samples.at(-1)?.minutes || 1;
  const most = Math.max(1, ...samples.map((sample) => sample[column])) * 1.1;
  const toX = (minutes: number): number => LEFT + (minutes / end) * (WIDTH - LEFT - RIGHT);
  const toY = (value: number): number => y + 14 + PANEL * (1 - Math.max(0, value) / most);
  const trend = trendOf(samples, column);
  const warm = afterWarmUp(samples)[0]?.minutes ?? 0;
  const line = (minutes: number) => `${px(toX(minutes))},${px(toY(trend.at0 + trend.slope * minutes))}`;
  const points = thin(samples).map((sample) => `${px(toX(sample.minutes))},${px(toY(sample[column]))}`);
  const slope = `${signed(trend.slope)}${unit === '' ? '' : ` ${unit}`} a minute`;
  return [
    text(LEFT, y + 6, title, 'title'),
    `<text x="${WIDTH - RIGHT}" y="${y + 6}" class="tick">${slope}</text>`,
    `<rect x="${LEFT}" y="${y + 14}" width="${WIDTH - LEFT - RIGHT}" height="${PANEL}" class="frame"/>`,
    `<text x="${LEFT - 6}" y="${y + 22}" class="tick">${amount(most)}${unit === '' ? '' : ` ${unit}`}</text>`,
    `<text x="${LEFT - 6}" y="${y + 14 + PANEL}" class="tick">0</text>`,
    `<polyline points="${points.join(' ')}" class="data"/>`,
    `<polyline points="${line(warm)} ${line(end)}" class="trend"/>`,
  ];
};

const thin = (samples: readonly Sample[]): readonly Sample[] => {
  const step = Math.ceil(samples.length / MOST_POINTS);
  return samples.filter((_, i) => i % step === 0 || i === samples.length - 1);
};

const signed = (value: number): string => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(3)}`;

const amount = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

const text = (x: number, y: number, content: string, style: string): string =>
  `<text x="${px(x)}" y="${px(y)}" class="${style}">${content}</text>`;

const px = (value: number): string => value.toFixed(1);
