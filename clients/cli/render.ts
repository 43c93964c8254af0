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

/** Columns side by side, cut at `width` if there is one. Cells may be coloured. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[], width?: number): string => {
  const lengthOf = (cell: string | undefined): number => stripVTControlCharacters(cell ?? '').length;
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => lengthOf(row[i]))));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - lengthOf(cell)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) =>
      width !== undefined && lengthOf(line) > width
        ? `${line.slice(0, width - 1 + line.length - lengthOf(line))}…`
        : line,
    )
    .map((line) => `${line}\n`)
    .join('');
};
