import { stripVTControlCharacters } from 'node:util';
import type { CommandSummary } from '../../shared/contract/schemas.ts';
import { paint, plain, type Terminal } from './terminal.ts';

const COLOURS = { succeeded: 'green', running: 'cyan', starting: 'cyan', queued: 'yellow' } as const;

/** The status with what makes it readable at a glance: the exit code or signal. */
export const statusText = (
  terminal: Terminal,
  { status, result }: Pick<CommandSummary, 'status' | 'result'>,
): string => {
  const how =
    status !== 'failed'
      ? ''
      : result?.exitCode != null
        ? ` (${result.exitCode})`
        : result?.signal
          ? ` (${result.signal})`
          : '';
  const colour = status in COLOURS ? COLOURS[status as keyof typeof COLOURS] : 'red';
  return paint(terminal, terminal.stdout, colour, status + how);
};

/** What runs, as a person would type it, harmless to print. */
export const commandLine = ({ argv, script, shell }: Pick<CommandSummary, 'argv' | 'script' | 'shell'>): string =>
  plain(argv ? argv.map(quote).join(' ') : `${shell} -c ${quote(script ?? '')}`);

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** How long ago, roughly. */
export const ago = (timestamp: string): string => {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(timestamp)) / 1_000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h ago`;
  return `${Math.floor(seconds / 86_400)}d ago`;
};

/** Less of the last column than this says nothing. */
const LEAST_WIDTH = 8;

/** Columns side by side; the last one, which must be plain, cut so that lines fit `width` if there is one. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[], width?: number): string => {
  const lengthOf = (cell: string | undefined): number => stripVTControlCharacters(cell ?? '').length;
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => lengthOf(row[i]))));
  const before = widths.slice(0, -1).reduce((sum, columns) => sum + columns + 2, 0);
  // A terminal that does not know its size has 0 columns.
  const last = width ? Math.max(LEAST_WIDTH, width - before) : Number.POSITIVE_INFINITY;
  const fit = (cell: string, i: number): string =>
    i < head.length - 1 ? cell + ' '.repeat((widths[i] ?? 0) - lengthOf(cell)) : cut(cell, last);
  return [head, ...rows].map((row) => `${row.map(fit).join('  ').trimEnd()}\n`).join('');
};

const cut = (text: string, length: number): string =>
  text.length <= length
    ? text
    : `${text
        .slice(0, length - 1)
        .toWellFormed()
        .replace(/\ufffd$/, '')}…`;
