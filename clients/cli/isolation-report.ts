import type { BatteryReport, Check, Finding, LevelReport, Outcome } from './embedded.ts';
import { table } from './render.ts';
import { paint, plain, type Terminal } from './terminal.ts';

const MARKS = {
  held: { text: '✓ held', style: 'green' },
  hit: { text: '✗ HIT', style: 'red' },
  open: { text: '○ open', style: 'yellow' },
  unproven: { text: '– proves nothing', style: 'gray' },
  broken: { text: '! broken', style: 'red' },
} as const satisfies Record<Outcome, { text: string; style: string }>;

const CHECK_MARKS = {
  ok: { text: '✓', style: 'green' },
  weak: { text: '!', style: 'yellow' },
  missing: { text: '✗', style: 'red' },
} as const;

/** What is known of each level beside its probes. */
const ABOUT: Readonly<Record<string, string>> = {
  none: 'no walls: a command may do all that the server may',
  process: 'no new privileges, limits, and a user of its own where the server was started by root',
  sandbox: 'a private root, no network of the host, no other processes, a filter of system calls',
};

/** Machine checks as a table, and what to do below each that asks for something. */
export const checksText = (terminal: Terminal, checks: readonly Check[]): string => {
  const rows = checks.map(({ name, status, found }) => {
    const { text, style } = CHECK_MARKS[status];
    return [paint(terminal, terminal.stdout, style, text), name, plain(found)];
  });
  const fixes = checks.flatMap(({ name, fix }) => (fix === undefined ? [] : [`  ${name}: ${fix}\n`]));
  return table(['', 'CHECK', 'FOUND'], rows) + (fixes.length > 0 ? `\nWhat to do:\n${fixes.join('')}` : '');
};

/** A table for each level, by group, and a line that sums it up. */
export const reportText = (terminal: Terminal, report: BatteryReport): string =>
  report.levels.map((level) => levelText(terminal, level, report.asRoot)).join('\n');

const levelText = (terminal: Terminal, { level, counts, findings }: LevelReport, asRoot: boolean): string => {
  const bold = (text: string) => paint(terminal, terminal.stdout, 'bold', text);
  const about = ABOUT[level] === undefined ? '' : `: ${ABOUT[level]}`;
  const head = `${bold(`Isolation ${level}`)}${about} (server of ${asRoot ? 'root' : 'a plain user'})\n`;
  const groups = [...new Set(findings.map(({ group }) => group))];
  const tables = groups.map((group) => {
    const rows = findings.filter((finding) => finding.group === group).map((finding) => toRow(terminal, finding));
    return `\n${bold(group)}\n${table(['RESULT', 'PROBE', 'TRIES TO', 'DETAIL'], rows, terminal.stdout.columns)}`;
  });
  return `${head}${tables.join('')}\n${summaryText(terminal, level, counts)}`;
};

const toRow = (terminal: Terminal, { name, tries, outcome, severity, detail }: Finding): string[] => {
  const { text, style } = MARKS[outcome];
  const got = outcome === 'hit' ? `${severity}: ${detail}` : detail;
  return [paint(terminal, terminal.stdout, style, text), name, tries, plain(got)];
};

const summaryText = (terminal: Terminal, level: string, counts: LevelReport['counts']): string => {
  const parts = [
    counts.hit === 1 ? '1 hit' : `${counts.hit} hits`,
    `${counts.held} held`,
    ...(counts.open > 0 ? [`${counts.open} open, as this level does not claim to hold them`] : []),
    ...(counts.unproven > 0
      ? [counts.unproven === 1 ? '1 proves nothing here' : `${counts.unproven} prove nothing here`]
      : []),
    ...(counts.broken > 0 ? [`${counts.broken} broken, so that nothing is known of them`] : []),
  ];
  const style = counts.hit + counts.broken > 0 ? 'red' : 'green';
  return `${paint(terminal, terminal.stdout, style, `${level}: ${parts.join(', ')}`)}\n`;
};
